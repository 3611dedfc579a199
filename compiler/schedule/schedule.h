// Schedule: the kernels that compute a graph, in order, over planned buffers; and how fusion chose them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "compiler/schedule/kernel.h"
#include "runtime/library.h"

namespace etch {

/// Where a value lies that kernels read or write: always row-major. Several values lie in the same memory, one after the
/// other, where one takes over the other (take_over.h).
struct ScheduledBuffer {
  enum class Kind : uint8_t { input, output, temporary };
  Kind kind = Kind::temporary;
  int index = 0;           // of the input, or of the output whose memory it is
  int64_t bytes = 0;
  int64_t offset = 0;      // of a temporary in the arena, a multiple of 64
  Value value;             // what it holds
};

/// A library function in the place of a kernel's code.
struct ScheduledCall {
  Library function{};
  DType dtype = DType::f32;
  int num_operands = 0;  // whose buffers come first; the others are those of the results
};

/// Indices that a kernel or call looks at while it runs.
struct ScheduledCheck {
  Shape shape;         // of the indices
  int64_t extent = 0;  // they have to be in 0 .. extent - 1
  std::string text;    // whose indices they are, such as `demo.cc:12: gather(f32[10,4], i64[3]) axis=0`
};

/// One kernel on its sizes, or one call of a library function.
struct ScheduledKernel {
  std::string name;                 // such as `loop_3_tanh_add`: readable and unique in the schedule
  KernelProgram program;
  std::optional<ScheduledCall> call;  // then the program is empty
  std::vector<int> buffers;         // per access, or operand and result of a call: index into Schedule::buffers
  std::vector<int64_t> sizes;       // see SizesLayout; of a call what its function says
  std::vector<ScheduledCheck> checks;  // one for each check of the program, or that of the call
  int64_t errors = -1;              // where their IndexErrors lie in the arena, -1 if there are no checks
  int64_t iterations = 0;           // of begin..end
  int64_t additions = 0;            // rough cost of one iteration
  int64_t touches = 0;              // elements that it loads and stores; of a call they are among the additions
  std::vector<Value> values;        // the nodes it computes
  std::string why;                  // why these stand in one kernel
};

/// An edge of the graph that was not fused and the reason.
struct UnfusedEdge {
  Value producer;
  Value consumer;
  std::string why;
};

struct Schedule {
  std::vector<ScheduledBuffer> buffers;
  std::vector<ScheduledKernel> kernels;   // in execution order
  std::vector<UnfusedEdge> unfused;
  std::vector<int> outputs;               // per output of the graph: the buffer that holds it; an input's buffer, or
                                          // that of an earlier output, where the output is the same elements
  std::vector<int> overwrites;            // per output: the input in whose memory it may lie, since nothing reads that
                                          // once it is written, or -1: those of ScheduleOptions that the order allows
  int64_t arena_bytes = 0;
  int64_t arena_bound = -1;               // what the arena may take; -1 where it is small enough in any case
  int undone = 0;                         // kernels that fusion would have made, but for the bound
  bool gave_up = false;                   // nothing is fused, for no fusion was found that keeps to the bound
};

struct ScheduleOptions {
  bool fuse = true;  // false: every op is a kernel of its own, as in eager mode
  // Fusion may need so many times the arena of the schedule without fusion, and so many bytes more.
  double arena_ratio = 1.25;
  int64_t arena_slack = int64_t{1} << 20;
  BlockSizes blocks = {};
  // Per output: its memory is that of another output too, as the trace returned them. Empty: all are apart.
  std::vector<bool> shared_outputs = {};
  // Per output: the input whose new value it is, so that it would best overwrite that one, or -1. Empty: none would.
  std::vector<int> overwrites = {};
};

/// Partitions the graph into kernels and plans the buffers. The graph has been through the lowering passes: every reduce
/// has one axis, and no op has regions.
absl::StatusOr<Schedule> make_schedule(const Graph& graph, const ScheduleOptions& options);

/// The schedule as text: buffers, kernels with why, edges that were not fused and why not.
std::string to_string(const Schedule& schedule, const Graph& graph);

}  // namespace etch
