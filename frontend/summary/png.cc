// libpng's simplified interface.
#include "frontend/summary/png.h"

#include <png.h>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::detail {

std::string png_of(const uint8_t* pixels, int64_t width, int64_t height, int64_t channels) {
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = kFormats[channels - 1];
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels, 0, nullptr) == 0) {
    throw Error(cat("an image of ", width, " x ", height, " pixels cannot be a PNG: ", image.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace etch::detail
