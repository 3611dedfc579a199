// Reads and writes 8-bit RGB photographs as PNG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace photo {

/// An 8-bit RGB picture: rows from top to bottom, three bytes (red, green, blue) a pixel, no padding between rows.
struct Image {
  static constexpr std::size_t kChannels = 3;

  std::size_t width = 0;
  std::size_t height = 0;
  std::size_t channels = kChannels;
  std::vector<std::uint8_t> pixels;  // height * width * channels bytes
};

/// Reads a PNG file of any colour type and depth as 8-bit sRGB; transparent pixels are laid over black.
/// Throws std::runtime_error, with the path and the reason, if the file cannot be opened, is no PNG, is damaged,
/// or would take more than 1 GiB of memory.
Image read_png(const std::string& path);

/// Writes `image` as an 8-bit RGB PNG file, over a file that is there.
/// Throws std::runtime_error, with the path and the reason, if `image` is empty, has other than three channels or too
/// few or too many pixel bytes for its size, or if the file cannot be written.
void write_png(const std::string& path, const Image& image);

}  // namespace photo
