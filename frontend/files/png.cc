// PNG by libpng's simplified interface.
#include <png.h>

#include "compiler/ir/cat.h"
#include "frontend/files/picture.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

/// Frees what libpng holds, also after an error.
struct Image : png_image {
  Image() : png_image{} { version = PNG_IMAGE_VERSION; }
  Image(const Image&) = delete;
  ~Image() { png_image_free(this); }
};

constexpr png_uint_32 format_of(int channels) {
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  return kFormats[channels - 1];
}

Tensor allocate_picture(uint64_t height, uint64_t width, int channels, std::string_view what, Location where) {
  return etch::detail::allocate(DType::u8, {static_cast<int64_t>(height), static_cast<int64_t>(width), channels}, where,
                                what);
}

uint8_t* data_of(const Tensor& tensor) { return static_cast<uint8_t*>(etch::detail::TensorAccess::get(tensor)->data); }

}  // namespace

Tensor detail::decode_png(std::string_view bytes, const DecodeImageOptions& options, std::string_view what,
                          Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat(what, ": ", reason)); };
  if (options.channels < 0 || options.channels > 4) fail(cat("a picture of ", options.channels, " channels"));
  Image image;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    fail(cat("the PNG is corrupt: ", image.message));
  }
  check_pixels(image.width, image.height, options.most_pixels, what, where);
  // What libpng does with alpha that is not asked for mixes it into a background.
  const int channels =
      ((image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1) + ((image.format & PNG_FORMAT_FLAG_ALPHA) != 0);
  const int wanted = options.channels == 0 ? channels : options.channels;
  image.format = format_of(channels);
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  const Tensor pixels = allocate_picture(image.height, image.width, channels, what, where);
  const auto stride = static_cast<png_int_32>(PNG_IMAGE_ROW_STRIDE(image));
  if (png_image_finish_read(&image, nullptr, data_of(pixels), stride, nullptr) == 0) {
    fail(cat("the PNG is corrupt: ", image.message));
  }
  if (wanted == channels) return pixels;
  const Tensor converted = allocate_picture(image.height, image.width, wanted, what, where);
  convert_channels(data_of(pixels), channels, data_of(converted), wanted, int64_t{image.height} * image.width);
  return converted;
}

std::string encode_png(const Tensor& picture, Location where) {
  const etch::detail::TensorImpl& impl = etch::detail::impl_of(picture, where);
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat("encode_png: ", reason)); };
  if (impl.kind != etch::detail::TensorImpl::Kind::eager) fail("the tensor belongs to a trace and has no elements");
  const Shape& shape = impl.shape;
  constexpr int64_t kMostPixels = int64_t{1} << 27;
  if (impl.dtype != DType::u8 || shape.rank() != 3 || shape[2] < 1 || shape[2] > 4 || shape[0] < 1 || shape[1] < 1) {
    fail(cat("a picture is u8[height, width, channels] with 1 to 4 channels, not ", to_string(impl.type())));
  }
  if (shape[0] > kMostPixels / shape[1]) fail(cat(to_string(impl.type()), " has too many pixels"));
  Image image;
  image.width = static_cast<png_uint_32>(shape[1]);
  image.height = static_cast<png_uint_32>(shape[0]);
  image.format = format_of(static_cast<int>(shape[2]));
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, impl.data, 0, nullptr) == 0) {
    fail(cat("libpng: ", image.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace etch::data
