// Graph -> Executable: the way of the data, in five visible lines.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/codegen.h"
#include "compiler/ir/graph.h"
#include "compiler/passes/run_passes.h"
#include "compiler/schedule/schedule.h"
#include "runtime/executable.h"

namespace etch {

struct CompileOptions {
  bool prune_and_simplify = true;  // false: only the passes that lowering needs
  bool fuse = true;
  bool native_regions = true;      // see ScheduleOptions
  bool group = true;               // equal small kernels go out as one parallel loop
  bool fast_math = false;
  bool masked_regions = true;      // see ScheduleOptions
  StripeOptions stripes = {};      // see ScheduleOptions
  Target target = host_target();   // the processor that the code is for
  BlockSizes blocks = {};          // tests make them small, and so
  int64_t cache_bytes = last_level_cache_bytes();  // the cache; see ScheduleOptions
  std::vector<bool> shared_outputs = {};  // see ScheduleOptions
  std::vector<int> overwrites = {};       // see ScheduleOptions
  bool verify = false;             // verify after each pass, the schedule, and each LLVM module
  int threads = 1;                 // that may compile kernels; no code depends on it

  CodegenOptions codegen() const { return {.target = target, .fast_math = fast_math}; }
};

/// What of it the passes want to know.
PassOptions pass_options(const CompileOptions& options);

struct Compiled {
  Graph graph;          // after the passes
  std::vector<std::string_view> changing_passes;  // those that changed the graph, in order
  Schedule schedule;
  std::shared_ptr<const Executable> executable;
  CompileCounts counts;
  double pass_milliseconds = 0;
  double schedule_milliseconds = 0;
};

/// Compiles a graph.
absl::StatusOr<Compiled> compile(const Graph& graph, const CompileOptions& options, const PassObserver& observe = {});

}  // namespace etch
