// Executable: the compiled form of a function as plain data, a list of steps, and its run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "etch/shape.h"
#include "runtime/host_function.h"
#include "runtime/kernel_abi.h"
#include "runtime/packs.h"

namespace etch {

/// The most buffers that one launch may have.
inline constexpr int32_t kMaxSlots = 512;

/// Where a slot's memory comes from at run time.
struct Slot {
  enum class Kind : uint8_t { input, output, arena, moving, guard, stripe, pack };
  Kind kind = Kind::arena;
  int64_t index = 0;  // of the input or output; the offset in the arena, of a stripe in the memory of a block; moving: none,
                      // steps say where it lies; guard: none, it is the TurnGuard of the run; pack: of the pack, -1 for none
  int64_t row_bytes = 0;  // of a stripe
};

/// One call of a function on buffers and sizes: a kernel, or a function of a library. Ranges index the pools of the
/// Executable.
struct Launch {
  KernelFn fn = nullptr;
  int32_t first_slot = 0, num_slots = 0;  // one per access, into slot_pool
  int32_t first_size = 0;                 // into sizes_pool
  int32_t error_slot = -1;                // of its slots, the one of the IndexErrors that it may write
  int32_t num_errors = 0;
  int64_t iterations = 0;
  int64_t grain = 1;                      // iterations a task takes at the least; a split happens at multiples of it
  int64_t piece = 1;                      // that are best done in one go: less is for threads that would have nothing else
  int64_t scratch_bytes = 0;              // that each thread of it needs
};

/// Launches none of which writes what another one reads or writes, so that they may run at the same time: those of one kernel
/// on different buffers, each too small to be split, or the pieces of a loop. They follow each other in `launches`.
struct LaunchGroup {
  int32_t first = 0, count = 0;
  int64_t parts = 0;  // the work of all of them, see parts_of
};

/// Launches that run as one parallel loop over blocks of rows: for each block one after the other, on its rows. What lies in
/// stripes is there for the rows of a block only, in memory that each thread has for itself. They follow each other in
/// `launches`.
struct Stripes {
  LaunchGroup group;
  int64_t rows = 0;     // of each launch: its iterations are a multiple of them
  int64_t segment = 0;  // no block goes over a multiple of so many rows
  int64_t block = 0;    // rows of a block, at the most
  int64_t grain = 1;    // rows that a task takes at the least
  int64_t bytes = 0;    // of memory for a block
};

/// The work of a launch in parts, of which kTaskParts are as much as a task takes at the least.
inline constexpr int64_t kTaskParts = 1024;
int64_t parts_of(const Launch& launch);

/// Looks at an entry of the error slot of an earlier launch, and throws if it holds an index.
struct Check {
  int32_t error_slot = -1;
  int32_t entry = 0;
  Shape shape;         // of the indices
  int64_t extent = 0;  // they have to be in 0 .. extent - 1
  std::string text;    // such as `demo.cc:12: gather(f32[10,4], i64[3]) axis=0`; the Error adds which index it was
};

/// A copy of what a slot holds.
struct Copy {
  int32_t to = -1, from = -1;  // slots; nothing is copied where both lie in the same place
  int64_t bytes = 0;
};

/// A call of a function of the host. It stands for one effect.
struct HostCall {
  std::shared_ptr<const HostFunction> function;
  int32_t first_slot = 0;  // into slot_pool: the token, operands, the next token, results
  std::vector<HostType> operands, results;  // behind the tokens
  std::string place;       // `demo.cc:12: `, or nothing

  int32_t num_slots() const { return static_cast<int32_t>(2 + operands.size() + results.size()); }
};

/// The effects of a run, so that another run on the same inputs can begin where it stopped: it does not do those again, and
/// finds what they gave.
struct EffectLog {
  struct Given {
    int64_t effect = 0;
    std::vector<std::byte> bytes;  // of all results
  };
  int64_t done = 0;           // effects, the first ones of the run
  std::vector<Given> given;   // by those of them that have results, in order
  int64_t bytes = 0;          // of all that they gave: beyond kMostGiven nothing is kept

  static constexpr int64_t kMostGiven = int64_t{256} << 20;
};

/// What an effect gave as another run found it. False if the log does not hold it.
bool repeat_effect(const EffectLog& log, int64_t effect, std::span<const HostValue> results);

/// A step of a run, by its kind and its number in the list of that kind, or the slots that it moves.
struct Step {
  enum class Kind : uint8_t {
    launch,  // a kernel; `index` into `launches`
    call,    // a library's function; `index` into `launches`
    group,   // kernels as one parallel loop; `index` into `groups`
    stripes, // kernels as one parallel loop, block by block; `index` into `stripes`
    check,   // `index` into `checks`
    copy,    // `index` into `copies`
    host,    // a function of the host; `index` into `hosts`
    unless,  // goes on at step `to` unless the bool in slot `index` is true
    jump,    // goes on at step `to`
    point,   // slot `index` lies now where slot `b` lies
    rotate,  // slot `index` lies now where `b` lies, that where `c` lies, and `c` where `b` lay
    begin,   // the turns in slot `index` are 0
    turn,    // counts one more turn in slot `index`; ends the run if it may not take that
    guard,   // ends the run if a loop in the kernel before could not take a turn
  };
  Kind kind = Kind::launch;
  int32_t index = 0;
  int32_t b = -1, c = -1;
  int32_t to = -1;
};

/// An output, and whose memory holds its elements.
struct Output {
  enum class SameAs : uint8_t { nothing, input, output };
  int64_t bytes = 0;
  SameAs same_as = SameAs::nothing;  // nothing: steps write it; else nobody does, since it is the same elements
  int32_t index = -1;                // of the input or of the earlier output
  int32_t overwrites = -1;           // the input in whose memory it may lie: no step reads that once it is written
};

/// An input that products read in panels: calls share a pack of it (see packs.h), where RunOptions say who holds the input. Its
/// slot holds the panels, or null, and then the kernel makes its own.
struct Pack {
  int32_t input = -1;
  PackLayout layout;
  bool operator==(const Pack&) const = default;
};

/// How to run.
struct RunOptions {
  int threads = 1;    // how many may work on it, the caller included; 1 creates none
  int64_t grain = 0;  // not 0: takes the place of every launch's own grain, so that tests can split small work
  TurnGuard* guard = nullptr;  // of guarded loops; nullptr: they take as many turns as they want
  EffectLog* effects = nullptr;  // if given, effects that it holds are not done again, and it grows by those that are done
  bool mute = false;             // no effect is done; what they would give is 0
  // Per input, if given: the buffer that holds its elements, or null where these may change without drop_packs().
  const Buffer* const* holders = nullptr;
};

/// A compiled function: no graph, no LLVM, no lock. Safe to run from many threads at once.
class Executable {
 public:
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::vector<Launch> launches;
  std::vector<LaunchGroup> groups;
  std::vector<Stripes> stripes;
  std::vector<Check> checks;
  std::vector<Copy> copies;
  std::vector<HostCall> hosts;
  std::vector<Pack> packs;
  std::vector<int32_t> slot_pool;
  std::vector<int64_t> sizes_pool;
  std::vector<Output> outputs;
  int64_t arena_bytes = 0;
  bool needs_scratch = true;  // false only if no launch has scratch_bytes, and there are no stripes
  bool is_one_launch = false;  // true only if a run is one launch on inputs and outputs, without errors
  std::vector<std::string> names;  // of the kernels and library functions, per launch
  std::shared_ptr<const void> code;  // keeps the machine code alive

  /// Runs all steps. `inputs` and `outputs` hold one base pointer each; an output that is the same as another value is
  /// not touched. All memory is taken before the first step, and nothing is allocated where the pool of scratch memory
  /// has it. Throws Error where a check or a function of the host fails, and std::bad_alloc if there is no memory for temporaries.
  void run(const void* const* inputs, void* const* outputs, const RunOptions& options) const;

  /// True if it has loops that RunOptions::guard may stop.
  bool has_guarded_loops() const;

  /// Runs all steps `runs` times, without effects: the median microseconds of each launch, of all its turns in a run together.
  std::vector<double> profile(const void* const* inputs, void* const* outputs, const RunOptions& options,
                              int runs) const;

  /// The launches of a step, none or more.
  LaunchGroup launches_of(const Step& step) const;

  /// True if a step may throw, or end the run, after one that may have written to an output.
  bool can_fail_after_writing(int output) const;

  /// Bytes that a run takes: for temporaries, and as scratch of its launches.
  int64_t memory_bytes(const RunOptions& options) const;

 private:
  struct Run;
  int64_t scratch_bytes(const RunOptions& options) const;
  bool has_jumps() const;
  /// Runs all steps; `launch` runs those of a step that has launches.
  template <class RunLaunches>
  void run_steps(Run& run, const RunLaunches& launch) const;
  void run_launches(const Step& step, const Run& run) const;
  void run_launch(const Launch& launch, const Run& run) const;
  void run_one_launch(const void* const* inputs, void* const* outputs, const RunOptions& options) const;
  void run_group(const LaunchGroup& group, const Run& run) const;
  /// Parts begin..end of all launches of a group.
  void run_parts(const LaunchGroup& group, const Run& run, int worker, int64_t begin, int64_t end) const;
  void run_stripes(const Stripes& stripes, const Run& run) const;
  /// Rows begin..end of all launches. `memory` is that of a block, with what launches need behind it.
  void run_block(const Stripes& stripes, const Run& run, std::byte* memory, int64_t begin, int64_t end) const;
  /// The scratch memory of the launches of stripes, and of a block.
  int64_t bytes_of_worker(const Stripes& stripes) const;
  void run_check(const Check& check, const Run& run) const;
  void run_copy(const Copy& copy, const Run& run) const;
  void run_host(const HostCall& host, const Run& run) const;
};

/// The steps, slots and outputs as text, a line each.
std::string to_string(const Executable& executable);

}  // namespace etch
