// Graph -> Executable: the way of the data, in five visible lines.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/codegen.h"
#include "compiler/ir/graph.h"
#include "compiler/schedule/schedule.h"
#include "runtime/executable.h"

namespace etch {

struct CompileOptions {
  bool prune_and_simplify = true;  // false: only the passes that lowering needs
  bool fuse = true;
  bool fast_math = false;
  Target target = host_target();   // the processor that the code is for
  bool verify = false;             // verify after each pass, the schedule, and each LLVM module

  CodegenOptions codegen() const { return {.target = target, .fast_math = fast_math}; }
};

struct Compiled {
  Graph graph;          // after the passes
  Schedule schedule;
  std::shared_ptr<const Executable> executable;
  CompileCounts counts;
  double pass_milliseconds = 0;
  double schedule_milliseconds = 0;
};

/// Compiles a graph. Passes that changed the graph are told to `observe` (may be empty) with the pass name and result.
absl::StatusOr<Compiled> compile(const Graph& graph, const CompileOptions& options,
                                 const std::function<void(std::string_view pass, const Graph&)>& observe = {});

}  // namespace etch
