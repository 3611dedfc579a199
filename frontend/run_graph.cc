// The cache of compiled graphs, and their runs.
#include "frontend/run_graph.h"

#include <memory>
#include <new>

#include "absl/container/fixed_array.h"
#include "compiler/compile.h"
#include "compiler/ir/cat.h"
#include "frontend/compiled_cache.h"
#include "frontend/flags.h"
#include "runtime/parallel.h"

namespace etch::detail {
namespace {

/// What decides the code.
struct GraphKeyView {
  const Graph& graph;
  bool fuse;
  bool native_regions;
  bool masked_regions;
  bool group;
  bool stripes;
  bool simplify;
  bool fast_math;
  const Target* target;  // one of those that stay for the process

  template <class H>
  friend H AbslHashValue(H h, const GraphKeyView& key) {
    const auto& [graph, fuse, native_regions, masked_regions, group, stripes, simplify, fast_math, target] = key;
    for (const Node& node : graph.nodes()) {
      h = H::combine(std::move(h), node.op, node.operands, graph.result_types(node));
    }
    for (Value output : graph.outputs()) h = H::combine(std::move(h), output);
    return H::combine(std::move(h), graph.nodes().size(), fuse, native_regions, masked_regions, group, stripes, simplify,
                      fast_math, target);
  }
  /// In full: a field that is added does not compile until it stands here.
  friend bool operator==(const GraphKeyView& a, const GraphKeyView& b) {
    const auto& [graph, fuse, native_regions, masked_regions, group, stripes, simplify, fast_math, target] = a;
    return graph == b.graph && fuse == b.fuse && native_regions == b.native_regions && masked_regions == b.masked_regions &&
           group == b.group && stripes == b.stripes && simplify == b.simplify && fast_math == b.fast_math && target == b.target;
  }
};

/// The same with what it points to.
class GraphKey {
 public:
  explicit GraphKey(const GraphKeyView& key)
      : graph_(key.graph),
        view_{graph_,    key.fuse,     key.native_regions, key.masked_regions,
              key.group, key.stripes,  key.simplify,       key.fast_math,      key.target} {}
  GraphKey(const GraphKey&) = delete;
  GraphKey& operator=(const GraphKey&) = delete;
  const GraphKeyView& view() const { return view_; }

 private:
  const Graph graph_;
  const GraphKeyView view_;
};

class GraphCache : public CompiledCache<GraphKey, GraphKeyView, Executable> {
 public:
  static GraphCache& instance() {
    static auto* cache = new GraphCache;  // lives as long as the process, as that of eager ops
    return *cache;
  }

 private:
  GraphCache() : CompiledCache(ForkOrder::graph_cache) {}
};

std::shared_ptr<const Executable> compiled(const Graph& graph, const Flags& flags, std::string_view what,
                                           Location where) {
  const GraphKeyView key{graph,         flags.fuse,      flags.native_regions, flags.masked_regions, flags.group, flags.stripes,
                         flags.simplify, flags.fast_math, flags.target};
  if (std::shared_ptr<const Executable> known = GraphCache::instance().find(key)) return known;
  CompileOptions options;
  options.fuse = flags.fuse;
  options.native_regions = flags.native_regions;
  options.stripes.make = flags.stripes;
  options.masked_regions = flags.masked_regions;
  options.group = flags.group;
  options.prune_and_simplify = flags.simplify;
  options.fast_math = flags.fast_math;
  options.target = *flags.target;
  options.verify = flags.verify;
  options.threads = run_options(flags).threads;
  absl::StatusOr<Compiled> made = compile(graph, options);
  if (!made.ok()) fail(where, cat(what, ": ", std::string(made.status().message())));
  GraphCache::instance().insert(key, made->executable);
  return made->executable;
}

}  // namespace

int64_t graph_cache_misses() { return GraphCache::instance().misses(); }

std::vector<Tensor> run_graph(const Graph& graph, std::span<const Tensor* const> inputs, std::string_view what,
                              Location where) {
  constexpr size_t kFew = 16;
  const Flags& flags = current_flags();
  try {
    const std::shared_ptr<const Executable> executable = compiled(graph, flags, what, where);
    const RunOptions options = run_options(flags);
    absl::FixedArray<const void*, kFew> sources(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) sources[i] = TensorAccess::get(*inputs[i])->data;
    std::vector<Tensor> results;
    absl::FixedArray<void*, kFew> destinations(graph.outputs().size());
    for (size_t i = 0; i < destinations.size(); ++i) {
      results.push_back(allocate_legal(graph.type(graph.outputs()[i]), where, what, sources));
      destinations[i] = TensorAccess::get(results[i])->data;
    }
    try {
      executable->run(sources.data(), destinations.data(), options);
    } catch (const std::bad_alloc&) {
      fail_allocation(where, executable->memory_bytes(options), what);
    }
    for (size_t i = 0; i < destinations.size(); ++i) {
      const Output& output = executable->outputs[i];
      if (output.same_as == Output::SameAs::nothing) continue;
      const void* source = output.same_as == Output::SameAs::input ? sources[output.index] : destinations[output.index];
      copy_bytes(destinations[i], source, graph.type(graph.outputs()[i]).bytes(), options.threads);
    }
    return results;
  } catch (const std::bad_alloc&) {
    throw Error(cat(at(where), what, ": out of memory"));
  }
}

}  // namespace etch::detail
