// What the decoders of pictures share.
#pragma once

#include <cstdint>
#include <string_view>

#include "etch/data/images.h"

namespace etch::data::detail {

/// Decodes a PNG or a JPEG; errors begin with `what`, such as `decode_png` or `cannot read PATH`.
Tensor decode_png(std::string_view bytes, const DecodeImageOptions& options, std::string_view what, Location where);
Tensor decode_jpeg(std::string_view bytes, const DecodeImageOptions& options, std::string_view what, Location where);
Tensor decode_picture(std::string_view bytes, const DecodeImageOptions& options, std::string_view what, Location where);

/// Error for more pixels than allowed.
void check_pixels(uint64_t width, uint64_t height, uint64_t most, std::string_view what, Location where);

/// Pixels with other channels.
void convert_channels(const uint8_t* from, int channels, uint8_t* to, int wanted, int64_t pixels);

}  // namespace etch::data::detail
