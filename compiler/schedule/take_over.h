// 'This result takes over that operand': when a value may lie where another one lay.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

/// Whose memory a storage is.
enum class Owner : uint8_t {
  plan,    // a temporary
  caller,  // inputs, and outputs, which are wanted to the end
  several, // an output whose memory is that of another output too, since the trace returned both as one
};

/// An output that would best lie where an input lies, as the new value of a variable does. Whether it will is the caller's
/// choice at each run; the kernels know two buffers.
struct Overwrite {
  int result = -1;
  int operand = -1;  // the input; no output
};

/// Whose memory each storage takes over, so that both lie in the same; chains of any length. Besides this, two values share
/// memory only where one is a view of the other and so the same storage, or where the trace returned them so.
struct TakeOvers {
  std::vector<int> operand;  // per storage: the one that it takes over, or -1
  std::vector<int> result;   // per storage: the one that takes it over, or -1
  std::vector<bool> overwrites;  // per Overwrite: whether it may be

  /// The last of the chain: whatever memory that has is the memory of all.
  int last(int storage) const;
};

/// Finds them for kernels in execution order. `owners` and `bytes` are per storage; `overwrites` as they are wanted.
///
/// A result takes over an operand if that belongs to the plan, and the result to one owner; if its kernel reads the operand
/// last of all, reads it only where it stores the result, and reads a row of it before it stores to that row; if nothing
/// but this kernel stores the result; and if both have the same size. What an output takes over lies in its memory from
/// the start. What the products of a dot read is read many times and not taken over; its sums stand in scratch memory, so
/// what only its epilogue reads is. An op with regions and a library function read and write as they like: they take over
/// only what they say that they may. Kernels of stripes run at the same time: none takes over what another one of them reads,
/// unless they wrote it, for then all of them go by rows.
///
/// An output may overwrite an input if nothing reads that any more when the output's memory is first written, or if the
/// kernel that does so could take the input over. What the output takes over itself is cut off where it would lie in that
/// memory too early.
TakeOvers find_take_overs(const Lowered& lowered, const std::vector<ScheduledStripes>& stripes,
                          const std::vector<Owner>& owners, const std::vector<int64_t>& bytes,
                          const std::vector<Overwrite>& overwrites);

}  // namespace etch::schedule
