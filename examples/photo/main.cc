// Develops a photograph with one traced function: grey, Gaussian blur by shifted slices, unsharp mask, tone curve and
// vignette. Writes the picture and shows what Etch made of the function, and how fast it is beside hand-written C++.
#include <etch/etch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <vector>

#include "examples/photo/hand_written.h"
#include "examples/photo/png_io.h"

namespace {

using etch::DType;
using etch::Slice;
using etch::Tensor;

// A weighted sum of five neighbours along an axis; the axis gets four elements shorter.
Tensor blur(Tensor x, int axis) {
  const float taps[] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};
  int64_t length = x.shape()[axis] - 4;
  Tensor sum;
  for (int k = 0; k < 5; ++k) {
    Slice part(k, k + length);
    Tensor shifted = axis == 0 ? x.slice({part}) : x.slice({Slice(), part});
    sum = k == 0 ? taps[k] * shifted : sum + taps[k] * shifted;
  }
  return sum;
}

// Coordinates from about -0.5 to 0.5 along an axis of the shape.
Tensor centred(const etch::Shape& shape, int axis) {
  float extent = static_cast<float>(shape[axis]);
  return (etch::iota(shape, axis, DType::f32) - 0.5f * (extent - 1)) / extent;
}

Tensor develop(Tensor rgb) {
  Tensor channels = cast(rgb, DType::f32);
  auto channel = [&](int i) { return channels.slice({Slice(), Slice(), i}); };
  Tensor luma = (0.2126f * channel(0) + 0.7152f * channel(1) + 0.0722f * channel(2)) * (1 / 255.0f);

  Tensor blurred = blur(blur(luma, 0), 1);
  Tensor centre = luma.slice({Slice(2, -2), Slice(2, -2)});
  Tensor sharp = clip(centre + 1.2f * (centre - blurred), 0, 1);
  Tensor tone = sigmoid(7.0f * (sharp - 0.45f));

  Tensor v = centred(tone.shape(), 0), u = centred(tone.shape(), 1);
  Tensor vignette = exp(-1.1f * (u * u + v * v));
  return cast(round(clip(tone * vignette * 255.0f, 0, 255)), DType::u8);
}

// The median time of each of the jobs in microseconds; they run in turn, so that a busy moment meets all of them.
std::vector<double> medians(const std::vector<std::function<void()>>& jobs) {
  constexpr int kRounds = 41;
  std::vector<std::vector<double>> times(jobs.size());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      auto start = std::chrono::steady_clock::now();
      jobs[i]();
      times[i].push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
  }
  std::vector<double> result;
  for (std::vector<double>& t : times) {
    std::nth_element(t.begin(), t.begin() + kRounds / 2, t.end());
    result.push_back(t[kRounds / 2]);
  }
  return result;
}

void run(const char* in, const char* out) {
  photo::Image image = photo::read_png(in);
  auto height = static_cast<int64_t>(image.height), width = static_cast<int64_t>(image.width);
  if (height < 5 || width < 5) throw std::runtime_error(std::string(in) + ": the picture must be at least 5x5");
  Tensor rgb = Tensor::from(image.pixels, {height, width, 3});

  auto fused = etch::function(develop, {.threads = 1});
  auto unfused = etch::function(develop, {.fuse = false, .threads = 1});
  Tensor grey = fused(rgb);

  std::vector<uint8_t> pixels;
  for (uint8_t value : grey.data<uint8_t>()) pixels.insert(pixels.end(), 3, value);
  photo::write_png(out, {image.width - 4, image.height - 4, 3, pixels});

  auto concrete = fused.concrete(rgb);
  std::printf("== trace ==\n%s\n", concrete.text("trace").c_str());
  std::printf("== schedule ==\n%s\n", concrete.text("schedule").c_str());

  Tensor other = unfused(rgb);
  std::vector<float> scratch(2 * image.height * image.width);
  std::vector<uint8_t> by_hand((image.height - 4) * (image.width - 4));
  std::vector<double> times = medians({
      [&] { fused.call_into(grey, rgb); },
      [&] { unfused.call_into(other, rgb); },
      [&] { photo::develop_by_hand(image.pixels.data(), image.height, image.width, scratch.data(), by_hand.data()); },
  });
  std::printf("== times, one thread ==\n");
  const char* names[] = {"fused", "unfused", "hand-written C++"};
  for (int i = 0; i < 3; ++i) std::printf("%-18s %8.0f us  %5.2f x fused\n", names[i], times[i], times[i] / times[0]);

  bool same = std::ranges::equal(grey.data<uint8_t>(), other.data<uint8_t>());
  int difference = 0;
  for (size_t i = 0; i < by_hand.size(); ++i) {
    difference = std::max(difference, std::abs(by_hand[i] - grey.data<uint8_t>()[i]));
  }
  std::printf("\nfused and unfused bits are %s; hand-written C++ differs by at most %d of 255\nwrote %s\n",
              same ? "equal" : "DIFFERENT", difference, out);
  if (!same || difference > 1) throw std::runtime_error("the three ways disagree");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: photo IN.png OUT.png\n");
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "photo: %s\n", error.what());
    return 2;
  }
}
