// The pass driver: all passes of passes.def over a graph, in order.
#include "compiler/passes/run_passes.h"

#include "compiler/ir/cat.h"
#include "compiler/passes/pass.h"
#include "runtime/check.h"

namespace etch {

absl::StatusOr<Graph> run_passes(const Graph& graph, const PassOptions& options, const PassObserver& observe) {
  Graph current = graph;
  for (const Pass& pass : passes()) {
    if (pass.use == PassUse::improving && !options.prune_and_simplify) continue;
    if (pass.use == PassUse::fusing && !options.fuse) continue;
    const Node* const before = current.nodes().data();
    absl::StatusOr<Graph> next = pass.run(std::move(current));
    if (!next.ok()) return next.status();
    if (options.verify) {
      const absl::Status status = verify(*next);
      ETCH_CHECK(status.ok(), cat("after pass ", pass.name, ": ", std::string(status.message())));
    }
    current = *std::move(next);
    const bool is_handed_back = current.nodes().data() == before;  // its nodes lie where they lay
    if (observe && !is_handed_back) observe(pass.name, current);
  }
  return current;
}

}  // namespace etch
