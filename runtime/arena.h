// ScratchArena: memory for a run's temporaries, kept from run to run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "etch/buffer.h"

namespace etch {

/// Scratch memory of at least `bytes`, aligned to Buffer::kAlignment, for as long as it stands. Each thread keeps the
/// last one of up to kMaxKeptBytes, so that a repeated run allocates nothing. Throws std::bad_alloc.
class ScratchArena {
 public:
  static constexpr int64_t kMaxKeptBytes = int64_t{64} << 20;

  explicit ScratchArena(int64_t bytes);
  ~ScratchArena();
  ScratchArena(const ScratchArena&) = delete;
  ScratchArena& operator=(const ScratchArena&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

}  // namespace etch
