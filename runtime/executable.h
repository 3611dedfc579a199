// Executable: the compiled form of a function as plain data, and its run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/kernel_abi.h"

namespace etch {

/// The most buffers that one launch may have.
inline constexpr int32_t kMaxSlots = 512;

/// Where a slot's memory comes from at run time.
struct Slot {
  enum class Kind : uint8_t { input, output, arena };
  Kind kind = Kind::arena;
  int64_t index = 0;  // of the input or output; the offset in the arena
};

/// One kernel call. Ranges index the pools of the Executable.
struct Launch {
  KernelFn fn = nullptr;
  int32_t first_slot = 0, num_slots = 0;  // one per access, into slot_pool
  int32_t first_size = 0;                 // into sizes_pool
  int64_t iterations = 0;
  int64_t grain = 0;                      // iterations a task takes at the least; a split happens at multiples of it
};

/// A compiled function: no graph, no LLVM, no lock. Safe to run from many threads at once.
class Executable {
 public:
  std::vector<Slot> slots;
  std::vector<Launch> launches;
  std::vector<int32_t> slot_pool;
  std::vector<int64_t> sizes_pool;
  std::vector<int64_t> output_bytes;
  /// Per output: -1 where kernels write it, else the input (>= 0) whose memory holds the same elements.
  std::vector<int32_t> output_is_input;
  /// Per output: -1, or the earlier output that is the same value.
  std::vector<int32_t> output_is_output;
  int64_t arena_bytes = 0;
  std::vector<std::string> names;  // of the kernels, per launch
  std::shared_ptr<const void> code;  // keeps the machine code alive

  /// Runs all launches. `inputs` and `outputs` hold one base pointer each; outputs that are an input's or another
  /// output's elements are not touched. Allocates nothing when a scratch arena of this size is free.
  /// @param threads how many threads may work on it, the caller included; 1 creates none.
  /// Throws std::bad_alloc if the arena cannot be allocated.
  void run(const void* const* inputs, void* const* outputs, int threads) const;

  /// Runs all launches `runs` times: the median microseconds of each launch.
  std::vector<double> profile(const void* const* inputs, void* const* outputs, int threads, int runs) const;

 private:
  void run_launch(const Launch& launch, const void* const* inputs, void* const* outputs, std::byte* arena,
                  int threads) const;
};

}  // namespace etch
