// The photo pipeline of main.cc as one would write it by hand: two passes, the second one fused as far as it goes.
#include "examples/photo/hand_written.h"

#include <algorithm>
#include <cmath>

namespace photo {

void develop_by_hand(const std::uint8_t* rgb, std::size_t height, std::size_t width, float* scratch,
                     std::uint8_t* grey) {
  constexpr float kTaps[5] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};
  float* luma = scratch;
  float* rows = scratch + height * width;
  std::size_t out_height = height - 4, out_width = width - 4;

  for (std::size_t i = 0; i < height * width; ++i) {
    luma[i] = (0.2126f * rgb[3 * i] + 0.7152f * rgb[3 * i + 1] + 0.0722f * rgb[3 * i + 2]) * (1.0f / 255.0f);
  }
  for (std::size_t y = 0; y < out_height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      float sum = 0;
      for (int k = 0; k < 5; ++k) sum += kTaps[k] * luma[(y + k) * width + x];
      rows[y * width + x] = sum;
    }
  }
  for (std::size_t y = 0; y < out_height; ++y) {
    float v = (static_cast<float>(y) - 0.5f * (out_height - 1)) / out_height;
    for (std::size_t x = 0; x < out_width; ++x) {
      float blurred = 0;
      for (int k = 0; k < 5; ++k) blurred += kTaps[k] * rows[y * width + x + k];
      float centre = luma[(y + 2) * width + x + 2];
      float sharp = std::clamp(centre + 1.2f * (centre - blurred), 0.0f, 1.0f);
      float tone = 1.0f / (1.0f + std::exp(-7.0f * (sharp - 0.45f)));
      float u = (static_cast<float>(x) - 0.5f * (out_width - 1)) / out_width;
      float vignette = std::exp(-1.1f * (u * u + v * v));
      float value = std::clamp(tone * vignette * 255.0f, 0.0f, 255.0f);
      grey[y * out_width + x] = static_cast<std::uint8_t>(std::nearbyint(value));
    }
  }
}

}  // namespace photo
