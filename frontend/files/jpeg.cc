// JPEG by TurboJPEG.
#include <turbojpeg.h>

#include <memory>

#include "compiler/ir/cat.h"
#include "frontend/files/picture.h"
#include "frontend/tensor_impl.h"

namespace etch::data::detail {
namespace {

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};

}  // namespace

Tensor decode_jpeg(std::string_view bytes, const DecodeImageOptions& options, std::string_view what, Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat(what, ": ", reason)); };
  if (options.channels != 0 && options.channels != 1 && options.channels != 3 && options.channels != 4) {
    fail(cat("a JPEG has 1, 3 or 4 channels, not ", options.channels));
  }
  // Kept for each thread, since making one takes as long as a small picture; but not behind an error, which spoils it.
  thread_local std::unique_ptr<void, Destroy> handle;
  if (handle == nullptr) handle.reset(tjInitDecompress());
  if (handle == nullptr) fail("no memory to decode it");
  const auto check = [&](int result) {
    if (result == 0) return;
    const std::string reason = tjGetErrorStr2(handle.get());
    handle.reset();
    fail(cat("the JPEG is corrupt: ", reason));
  };
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  check(tjDecompressHeader3(handle.get(), data, bytes.size(), &width, &height, &subsampling, &colorspace));
  check_pixels(static_cast<uint64_t>(width), static_cast<uint64_t>(height), options.most_pixels, what, where);
  if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK) fail("the JPEG is CMYK; save it as RGB");
  const int channels = options.channels != 0 ? options.channels : colorspace == TJCS_GRAY ? 1 : 3;
  const Tensor pixels = etch::detail::allocate(DType::u8, {height, width, channels}, where, what);
  constexpr int kFormats[] = {TJPF_GRAY, -1, TJPF_RGB, TJPF_RGBA};
  check(tjDecompress2(handle.get(), data, bytes.size(),
                      static_cast<unsigned char*>(etch::detail::TensorAccess::get(pixels)->data), width, 0, height,
                      kFormats[channels - 1], TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS));
  return pixels;
}

}  // namespace etch::data::detail
