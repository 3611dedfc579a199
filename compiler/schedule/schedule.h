// Schedule: the kernels that compute a graph, in order, over planned buffers; and how fusion chose them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "compiler/schedule/kernel.h"
#include "runtime/caches.h"
#include "runtime/host_function.h"
#include "runtime/library.h"

namespace etch {

/// Where a value lies that kernels read or write: always row-major. Several values lie in the same memory, one after the
/// other, where one takes over the other (take_over.h).
struct ScheduledBuffer {
  enum class Kind : uint8_t { input, output, temporary, stripe };
  Kind kind = Kind::temporary;
  int index = 0;           // of the input, of the output whose memory it is, or of the ScheduledStripes
  int64_t bytes = 0;
  int64_t offset = 0;      // of a temporary in the arena, of a stripe in the memory of a block; a multiple of 64
  Value value;             // what it holds
  int64_t row_bytes = 0;   // of a stripe, of which only the rows of the block that is at work lie in memory
};

/// A library function in the place of a kernel's code.
struct ScheduledCall {
  Library function{};
  DType dtype = DType::f32;
  int overwrites = -1;  // the operand in whose memory the first result may lie, or -1
};

/// A function of the host in the place of a kernel's code. Its first operand is the token, as is its first result.
struct ScheduledHost {
  std::shared_ptr<const HostFunction> function;
  std::vector<HostType> operands, results;  // behind the tokens
  std::string place;                        // `demo.cc:12: `, or nothing
};

struct ScheduledFlow;

/// Indices that a kernel or call looks at while it runs.
struct ScheduledCheck {
  Shape shape;         // of the indices
  int64_t extent = 0;  // they have to be in 0 .. extent - 1
  std::string text;    // whose indices they are, such as `demo.cc:12: gather(f32[10,4], i64[3]) axis=0`
};

/// One kernel on its sizes, one call of a function of a library or of the host, or an op with regions.
struct ScheduledKernel {
  std::string name;                 // such as `loop_3_tanh_add`: readable and unique in the schedule
  KernelProgram program;
  std::optional<ScheduledCall> call;          // then the program is empty
  std::optional<ScheduledHost> host;          // then the program is empty
  std::shared_ptr<const ScheduledFlow> flow;  // of an op with regions; then the program is empty
  int num_operands = 0;             // of a call, host or flow, whose buffers come first; those of the results and of a flow's
                                    // own memory follow
  std::vector<int> buffers;         // per access, or operand and result: index into Schedule::buffers
  std::vector<int64_t> sizes;       // see SizesLayout; of a call what its function says
  std::vector<ScheduledCheck> checks;  // one for each check of the program, or that of the call
  int64_t errors = -1;              // where their IndexErrors lie in the arena, -1 if there are no checks
  int64_t iterations = 0;           // of begin..end
  int64_t additions = 0;            // rough cost of one iteration
  int64_t touches = 0;              // elements that it loads and stores; of a call they are among the additions
  std::vector<Value> values;        // the nodes it computes
  int piece_of = -1;                // kernels with one number are pieces of one loop: each writes other elements, and reads none
                                    // that another one writes
  std::string piece;                // which one, such as `[0:1, 1:63]`
  std::string why;                  // why these stand in one kernel

  /// True if no program says what it reads and writes: it may write all results before it read the last operand.
  bool is_opaque() const { return call || host || flow; }
};

/// Kernels that follow each other and run as one parallel loop over blocks of rows: all of them on the rows of a block, one
/// after the other, then on those of the next one. See stripes.h.
struct ScheduledStripes {
  int first = 0, count = 0;  // kernels
  int64_t rows = 0;          // of each kernel: its iterations are a multiple of them
  int64_t segment = 0;       // no block goes over a multiple of so many rows
  int64_t block = 0;         // rows of a block, at the most
  int64_t grain = 1;         // rows of a block at the least, where several threads share the work
  int64_t bytes = 0;         // of memory that each thread needs for a block
  std::string why;

  int end() const { return first + count; }
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
  std::vector<ScheduledStripes> stripes;  // likewise; no kernel stands in two
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

/// Where a value lies that enters or leaves a region.
struct FlowPlace {
  enum class Kind : uint8_t { buffer, frame, moving };
  Kind kind = Kind::moving;
  int64_t index = 0;  // of ScheduledKernel::buffers; the offset in the op's own memory; moving: a step says where it lies
};

/// A region and the schedule of its kernels.
struct ScheduledRegion {
  std::string_view name;
  Region region;
  Schedule schedule;
  std::vector<int> inputs;   // per input: its place
  std::vector<int> outputs;  // per output: its place; where it is an input or an earlier output, the place of that
  int64_t offset = 0;        // of its arena in the op's own memory
};

/// What an op with regions does, one after the other. The numbers are those of places but for `jump` and `to`.
struct FlowStep {
  enum class Kind : uint8_t {
    run,     // region `a`
    unless,  // goes on at step `to` unless the bool at `a` is true
    jump,    // goes on at step `to`
    copy,    // the bytes at `b` to `a`, if these are two
    point,   // `a` is now where `b` is
    rotate,  // `a` is now where `b` is, `b` where `c` is, and `c` where `b` was: what was written is current
    begin,   // the turns counted at `a` are 0
    turn,    // counts one more turn at `a`; ends the run if it may not take that
  };
  Kind kind = Kind::run;
  int a = -1, b = -1, c = -1;
  int to = -1;
  int64_t bytes = 0;
};

/// The regions of an op and the way through them. A carried value of a loop has one place if the body may write it where it
/// lies, else two in turn.
struct ScheduledFlow {
  std::vector<FlowPlace> places;
  std::vector<ScheduledRegion> regions;
  std::vector<FlowStep> steps;
  int64_t bytes = 0;  // of memory of its own, with the arenas of the regions
  // Operands that are only copied to a result at first, so that this may lie in their memory: numbers of both.
  struct Overwrite {
    int operand = -1, result = -1;
  };
  std::vector<Overwrite> overwrites = {};
};

/// Calls `visit(schedule, graph, kernel)` for every kernel and call in the order of the schedule, those in regions included.
/// What stands for an op with regions is no kernel, and neither is a function of the host.
template <class Visit>
void for_each_kernel(const Schedule& schedule, const Graph& graph, const Visit& visit) {
  for (const ScheduledKernel& kernel : schedule.kernels) {
    if (kernel.host) continue;
    if (!kernel.flow) {
      visit(schedule, graph, kernel);
      continue;
    }
    for (const ScheduledRegion& region : kernel.flow->regions) {
      for_each_kernel(region.schedule, region.region.graph(), visit);
    }
  }
}

/// Whether kernels run block by block, see ScheduledStripes.
struct StripeOptions {
  bool make = true;  // with fusion: where it pays
  int32_t rows = 0;  // for tests: wherever it is possible, in blocks of so many rows
};

struct ScheduleOptions {
  bool fuse = true;  // false: every op is a kernel of its own, as in eager mode
  bool native_regions = true;  // with fusion: control flow on small values is one kernel (native_region.h)
  bool group = true;  // equal small kernels stand together where nothing speaks against it
  bool masked_regions = true;  // with fusion: so is that which each element goes through by itself (masked_region.h)
  StripeOptions stripes = {};
  // Fusion may need so many times the arena of the schedule without fusion, and so many bytes more.
  double arena_ratio = 1.25;
  int64_t arena_slack = int64_t{1} << 20;
  BlockSizes blocks = {};
  int64_t cache_bytes = last_level_cache_bytes();  // results far beyond it are written past it
  // Per output: its memory is that of another output too, as the trace returned them. Empty: all are apart.
  std::vector<bool> shared_outputs = {};
  // Per output: the input whose new value it is, so that it would best overwrite that one, or -1. Empty: none would.
  std::vector<int> overwrites = {};
};

/// Partitions the graph into kernels and plans the buffers; regions have schedules of their own. The graph has been
/// through the lowering passes: every reduce has one axis.
absl::StatusOr<Schedule> make_schedule(const Graph& graph, const ScheduleOptions& options);

/// The schedule as text: buffers, kernels with why, edges that were not fused and why not.
std::string to_string(const Schedule& schedule, const Graph& graph);

}  // namespace etch
