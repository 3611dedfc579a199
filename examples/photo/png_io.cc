// PNG files through libpng's simplified interface.
#include "png_io.h"

#include <png.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>

namespace photo {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

[[noreturn]] void fail(std::string_view action, const std::string& path, std::string_view reason) {
  std::string text = "cannot ";
  text.append(action).append(" '").append(path).append("': ").append(reason);
  throw std::runtime_error(text);
}

/// libpng's handle; released however the scope is left.
struct Handle {
  Handle() { image.version = PNG_IMAGE_VERSION; }
  ~Handle() { png_image_free(&image); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  png_image image{};
};

/// Returns height * width * 3, or 0 if that is more than `kMaxBytes`.
std::size_t byte_count(std::size_t width, std::size_t height) {
  if (width == 0 || height > kMaxBytes / Image::kChannels / width) return 0;
  return height * width * Image::kChannels;
}

}  // namespace

Image read_png(const std::string& path) {
  Handle handle;
  png_image& png = handle.image;
  if (!png_image_begin_read_from_file(&png, path.c_str())) fail("read", path, png.message);
  png.format = PNG_FORMAT_RGB;

  Image image;
  image.width = png.width;
  image.height = png.height;
  const std::size_t bytes = byte_count(image.width, image.height);
  if (bytes == 0) fail("read", path, "the picture takes more than 1 GiB");
  try {
    image.pixels.resize(bytes);
  } catch (const std::bad_alloc&) {
    fail("read", path, "out of memory");
  }

  const png_color black{};
  if (!png_image_finish_read(&png, &black, image.pixels.data(), /*row_stride=*/0, /*colormap=*/nullptr)) {
    fail("read", path, png.message);
  }
  return image;
}

void write_png(const std::string& path, const Image& image) {
  if (image.channels != Image::kChannels) fail("write", path, "a picture has three channels");
  const std::size_t bytes = byte_count(image.width, image.height);
  if (bytes == 0) fail("write", path, "the picture is empty or takes more than 1 GiB");
  if (bytes != image.pixels.size()) fail("write", path, "the number of pixel bytes does not match the picture's size");

  Handle handle;
  png_image& png = handle.image;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;

  // png_image_write_to_file would remove `path` on failure, be it a device; so the file is opened here.
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) fail("write", path, std::strerror(errno));
  const bool written = png_image_write_to_stdio(&png, file, /*convert_to_8_bit=*/0, image.pixels.data(),
                                                /*row_stride=*/0, /*colormap=*/nullptr) != 0;
  const bool closed = std::fclose(file) == 0;
  if (!written) fail("write", path, png.message);
  if (!closed) fail("write", path, std::strerror(errno));
}

}  // namespace photo
