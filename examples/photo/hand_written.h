// The photo pipeline of main.cc as one would write it by hand.
#pragma once

#include <cstddef>
#include <cstdint>

namespace photo {

/// Develops `rgb` (height x width x 3 bytes) into `grey` ((height - 4) x (width - 4) bytes); see develop() in main.cc.
/// `scratch` holds 2 * height * width floats.
void develop_by_hand(const std::uint8_t* rgb, std::size_t height, std::size_t width, float* scratch, std::uint8_t* grey);

}  // namespace photo
