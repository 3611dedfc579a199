// What the decoders of pictures share.
#include "frontend/files/picture.h"

#include "compiler/ir/cat.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace detail {
namespace {

struct Pixel {
  uint8_t red, green, blue, alpha;
};

Pixel load_pixel(const uint8_t* from, int channels) {
  if (channels <= 2) return {from[0], from[0], from[0], channels == 2 ? from[1] : uint8_t{255}};
  return {from[0], from[1], from[2], channels == 4 ? from[3] : uint8_t{255}};
}

uint8_t grey_of(Pixel pixel) {
  return static_cast<uint8_t>((19595u * pixel.red + 38470u * pixel.green + 7471u * pixel.blue + 32768u) >> 16);
}

}  // namespace

void check_pixels(uint64_t width, uint64_t height, uint64_t most, std::string_view what, Location where) {
  if (width * height <= most) return;  // both have 32 bits
  etch::detail::fail(where, cat(what, ": the picture has ", width, " x ", height, " pixels, more than the limit of ",
                                most, " (most_pixels)"));
}

void convert_channels(const uint8_t* from, int channels, uint8_t* to, int wanted, int64_t pixels) {
  for (int64_t i = 0; i < pixels; ++i, from += channels, to += wanted) {
    const Pixel pixel = load_pixel(from, channels);
    if (wanted <= 2) {
      to[0] = channels <= 2 ? pixel.red : grey_of(pixel);
      if (wanted == 2) to[1] = pixel.alpha;
    } else {
      to[0] = pixel.red;
      to[1] = pixel.green;
      to[2] = pixel.blue;
      if (wanted == 4) to[3] = pixel.alpha;
    }
  }
}

Tensor decode_picture(std::string_view bytes, const DecodeImageOptions& options, std::string_view what,
                      Location where) {
  if (bytes.starts_with("\x89PNG")) return decode_png(bytes, options, what, where);
  if (bytes.starts_with("\xff\xd8")) return decode_jpeg(bytes, options, what, where);
  etch::detail::fail(where, cat(what, ": it begins neither as a PNG nor as a JPEG"));
}

}  // namespace detail

Tensor decode_png(std::string_view bytes, DecodeImageOptions options, Location where) {
  return detail::decode_png(bytes, options, "decode_png", where);
}

Tensor decode_jpeg(std::string_view bytes, DecodeImageOptions options, Location where) {
  return detail::decode_jpeg(bytes, options, "decode_jpeg", where);
}

Tensor decode_image(std::string_view bytes, DecodeImageOptions options, Location where) {
  return detail::decode_picture(bytes, options, "decode_image", where);
}

}  // namespace etch::data
