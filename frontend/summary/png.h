// Images as PNG files in memory.
#pragma once

#include <cstdint>
#include <string>

namespace etch::detail {

/// Pixels of 1 to 4 bytes (grey, grey and alpha, RGB, RGBA), row by row, as a PNG file. Error with libpng's words.
std::string png_of(const uint8_t* pixels, int64_t width, int64_t height, int64_t channels);

}  // namespace etch::detail
