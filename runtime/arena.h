// ScratchArena: memory for a run's temporaries, kept from run to run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace etch {

/// Scratch memory of at least `bytes`, aligned to Buffer::kAlignment, for as long as it stands. All threads share what
/// they keep, a bounded pool without locks: a repeated run allocates nothing, also during static destruction. Throws
/// std::bad_alloc.
class ScratchArena {
 public:
  explicit ScratchArena(int64_t bytes);
  ~ScratchArena();
  ScratchArena(const ScratchArena&) = delete;
  ScratchArena& operator=(const ScratchArena&) = delete;

  std::byte* data() const { return data_; }

  /// Bytes that arenas of all threads hold now, and that the pool keeps for the next ones.
  static int64_t bytes_in_use();
  static int64_t bytes_kept();
  /// Gives what the pool keeps back to the system.
  static void free_kept() noexcept;

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t capacity_ = 0;
};

}  // namespace etch
