// Writes the kernel of a cluster down: its program and its sizes.
#include "compiler/schedule/lower_kernel.h"

#include <algorithm>
#include <memory>

#include "compiler/ir/cat.h"
#include "compiler/ir/field_text.h"
#include "compiler/schedule/kernel_terms.h"
#include "compiler/schedule/layout_kernel.h"
#include "compiler/schedule/pack_operands.h"
#include "compiler/schedule/pieces.h"
#include "runtime/flat_map.h"

namespace etch::schedule {
namespace {

/// What of a term was written.
struct Written {
  int slot = -1;      // load: access; index and param: theirs
  int stage = -1;     // the last one for which it was
  int position = -1;  // then: its instruction
  int access = -1;    // of the memory that keeps it for later stages
};

/// `demo.cc:12: `, or nothing.
std::string place_text(const Graph& graph, const Node& node) {
  const std::string_view file = graph.name_of(node.origin.file);
  return file.empty() ? "" : cat(file, ":", node.origin.line, ": ");
}

/// The check of a node's indices, those of operand 1.
ScheduledCheck check_of(const Graph& graph, const Node& node, int64_t extent) {
  std::string text = place_text(graph, node);
  text += name(node.op);
  for (size_t i = 0; i < node.operands.size(); ++i) text += cat(i ? ", " : "(", to_string(graph.type(node.operands[i])));
  text += cat(")", fields_text(node.op, graph.type(node.result()).dtype));
  return {graph.type(node.operands[1]).shape, extent, std::move(text)};
}

class Lowering {
 public:
  Lowering(const Graph& graph, Partition& partition, const Cluster& cluster, const KernelTerms& plan)
      : graph_(graph), partition_(partition), cluster_(cluster), plan_(plan), terms_(plan_.terms), roots_(plan_.roots),
        reduces_(plan_.reduces), written_(terms_.size()) {
    emit_in_graph_order();
    for (int stage = 0; stage <= plan_.last_stage; ++stage) emit_stage(stage);
    put_together();
  }

  /// What is to be arranged.
  KernelDraft& draft() { return draft_; }

  /// The kernel of the arranged draft.
  ScheduledKernel finish(int64_t total) {
    ScheduledKernel kernel = write_out(std::move(draft_), total);
    kernel.checks = std::move(checks_);
    for (const Root& root : cluster_.roots) note(partition_.value_of(root.storage));
    kernel.values = std::move(values_);
    return kernel;
  }

 private:
  // ---- Instructions

  struct Pending {
    Instr instr;
    int id = 0;
  };
  struct StageCode {
    std::vector<Pending> rows, elements;
  };

  int push(Instr&& instr) {
    if (static_cast<int>(code_.size()) <= instr.stage) code_.resize(instr.stage + 1);
    StageCode& stage = code_[instr.stage];
    (instr.per_row ? stage.rows : stage.elements).push_back({std::move(instr), next_id_});
    return next_id_++;
  }

  int access(int storage, DType dtype, const Affine& address, bool stores, int dot_operand = -1, bool indexed = false) {
    draft_.accesses.push_back({storage, dtype, address, stores, dot_operand, indexed});
    return static_cast<int>(draft_.accesses.size()) - 1;
  }

  void add_borders(const Term& term, AccessMap& access) {
    access.bounds = term.bounds;
    const auto known = std::ranges::find(fills_, term.fill, &std::pair<uint64_t, int>::first);
    access.fill = known != fills_.end() ? known->second : static_cast<int>(draft_.params.size());
    if (known != fills_.end()) return;
    fills_.emplace_back(term.fill, access.fill);
    draft_.params.push_back(term.fill);
  }

  void make_slot(const Term& term, int& slot) {
    if (slot >= 0) return;
    switch (term.kind) {
      case InstrKind::load:
        if (!term.args.empty()) {
          slot = access(term.storage, term.dtype, term.along, false, -1, true);
        } else if (!term.bounds.empty()) {
          slot = access(term.storage, term.dtype, term.along, false);
          add_borders(term, draft_.accesses.back());
        } else {
          slot = access(term.storage, term.dtype, term.map, false, side_of(term));
        }
        break;
      case InstrKind::check:
        slot = static_cast<int>(draft_.checks.size());
        draft_.checks.push_back(indexed_axis(graph_, graph_.node(term.value)));
        checks_.push_back(check_of(graph_, graph_.node(term.value), draft_.checks.back().extent));
        break;
      case InstrKind::index:
        slot = static_cast<int>(draft_.indices.size());
        draft_.indices.push_back(term.along);
        break;
      default:
        slot = static_cast<int>(draft_.params.size());
        draft_.params.push_back(*splat_bits(graph_.node(term.value).op));
    }
  }

  /// The operand of a product that a load belongs to, if its address changes: a number that an op of the operand reads is one
  /// for the whole kernel.
  int side_of(const Term& load) const {
    const bool varies = std::ranges::any_of(load.map.coef, [](int64_t step) { return step != 0; });
    return varies || is_multiplied(load) ? load.dot_operand : -1;
  }

  /// True if products take the term as it is.
  bool is_multiplied(const Term& term) const {
    const auto index = static_cast<int>(&term - terms_.data());
    return std::ranges::any_of(terms_, [&](const Term& dot) {
      return dot.kind == InstrKind::dot && std::ranges::count(dot.args, index) > 0;
    });
  }

  /// Emits a term for a stage, with all it needs, unless it is there; returns its instruction. Chains are long: what waits
  /// for its arguments stands in a list.
  int emit(int index, int stage) {
    std::vector<int> open{index};
    while (!open.empty()) {
      const int next = open.back();
      const size_t count = open.size();
      if (!is_written(next, stage) && !load_kept(next, stage)) {
        prepare(next);
        const std::vector<int>& args = terms_[next].args;
        for (size_t i = args.size(); i-- > 0;) {
          if (!is_written(args[i], stage)) open.push_back(args[i]);
        }
        if (open.size() > count) continue;
        emit_term(next, stage);
      }
      open.pop_back();
    }
    return written_[index].position;
  }

  /// True if the term's instruction stands where the stage can use it.
  bool is_written(int index, int stage) const {
    const Term& term = terms_[index];
    const bool lasting = term.per_row || term.kind == InstrKind::reduce || term.kind == InstrKind::dot;
    return written_[index].position >= 0 && (lasting || written_[index].stage == stage);
  }

  /// Loads a term that memory keeps for the stage; false if none does.
  bool load_kept(int index, int stage) {
    const Term& term = terms_[index];
    Written& written = written_[index];
    if (term.kept_in < 0 || stage <= term.first_stage || !plan_.is_kept(index, stage)) return false;
    written.stage = stage;
    written.position = push(memory_instr(InstrKind::load, written.access, term.dtype, stage));
    return true;
  }

  static bool has_slot(const Term& term) {
    return term.kind != InstrKind::compute && term.kind != InstrKind::reduce && term.kind != InstrKind::dot;
  }

  /// Slots are numbered before those of what the term needs.
  void prepare(int index) {
    if (has_slot(terms_[index])) make_slot(terms_[index], written_[index].slot);
  }

  /// Emits a term whose arguments are there.
  void emit_term(int index, int stage) {
    const Term& term = terms_[index];
    Written& written = written_[index];
    Instr instr;
    instr.kind = term.kind;
    instr.dtype = term.dtype;
    instr.stage = static_cast<int8_t>(term.kind == InstrKind::dot || term.dot_operand >= 0 ? 0 : stage);
    instr.per_row = term.per_row && term.kind != InstrKind::reduce;
    if (term.kind == InstrKind::compute) instr.op = term.op;
    if (term.kind == InstrKind::reduce) instr.reduce = term.reduce;
    if (term.kind == InstrKind::dot) draft_.program.sums_in_lanes = is_of_vector(graph_, graph_.node(term.value));
    if (has_slot(term)) instr.slot = static_cast<int16_t>(written.slot);
    for (int arg : term.args) instr.args.push_back(written_[arg].position);
    if (written.slot < 0 || term.kind == InstrKind::check) note(term.value);
    written.stage = stage;
    written.position = push(std::move(instr));
  }

  static Instr memory_instr(InstrKind kind, int slot, DType dtype, int stage) {
    Instr instr;
    instr.kind = kind;
    instr.dtype = dtype;
    instr.stage = static_cast<int8_t>(stage);
    instr.slot = static_cast<int16_t>(slot);
    return instr;
  }

  /// Emits what a large loop computes in the order of the graph, by which fusion counted the values that are alive at a time.
  /// From the roots back, all operands of a long sum might come before the first addition.
  void emit_in_graph_order() {
    constexpr size_t kFew = 64;
    if (cluster_.domain.folded_axis() >= 0 || terms_.size() <= kFew) return;
    std::vector<int> order;
    for (size_t t = 0; t < terms_.size(); ++t) {
      if (terms_[t].kind == InstrKind::compute) order.push_back(static_cast<int>(t));
    }
    std::ranges::stable_sort(order, {}, [&](int t) { return terms_[t].value.id; });
    for (int t : order) emit(t, 0);
  }

  void emit_stage(int stage) {
    std::vector<std::pair<int, int>> stored;  // root, instruction
    for (size_t r = 0; r < roots_.size(); ++r) {
      if (roots_[r].stage == stage) stored.emplace_back(static_cast<int>(r), emit(roots_[r].term, stage));
    }
    for (int reduce : reduces_) {
      if (terms_[reduce].stage == stage + 1) emit(terms_[reduce].args[0], stage);
    }
    for (int reduce : reduces_) {
      if (terms_[reduce].stage == stage + 1) emit(reduce, stage);
    }
    // Stores come last: what a root's memory kept has been loaded by then.
    std::vector<int> access_of(roots_.size(), -1);
    for (auto [r, position] : stored) access_of[r] = store(r, position, stage, roots_[r].per_row);
    for (size_t t = 0; t < terms_.size(); ++t) {
      const int keeper = terms_[t].kept_in;
      if (keeper < 0 || terms_[t].first_stage != stage) continue;
      bool own = roots_[keeper].term == static_cast<int>(t);
      written_[t].access = own ? access_of[keeper] : store(keeper, written_[t].position, stage, false);
    }
  }

  int store(int root, int position, int stage, bool per_row) {
    const Root& target = cluster_.roots[root];
    DType dtype = graph_.type(target.value).dtype;
    int slot = access(target.storage, dtype, cluster_.maps[target.address], true);
    Instr instr = memory_instr(InstrKind::store, slot, dtype, stage);
    instr.per_row = per_row;
    instr.args.push_back(position);
    push(std::move(instr));
    return slot;
  }

  // ---- The end

  void note(Value value) {
    if (!noted_.insert(value.id).second) return;
    values_.push_back(value);
  }

  void put_together() {
    KernelProgram& program = draft_.program;
    program.blocks = partition_.blocks;
    std::vector<int> positions(next_id_, -1);
    for (StageCode& stage : code_) {
      for (std::vector<Pending>* list : {&stage.rows, &stage.elements}) {
        for (Pending& pending : *list) {
          for (int32_t& arg : pending.instr.args) arg = positions[arg];
          positions[pending.id] = static_cast<int>(program.body.size());
          program.body.push_back(std::move(pending.instr));
        }
      }
    }
    draft_.domain = cluster_.domain;
  }

  const Graph& graph_;
  Partition& partition_;
  const Cluster& cluster_;
  const KernelTerms& plan_;
  const std::vector<Term>& terms_;
  const std::vector<RootTerm>& roots_;
  const std::vector<int>& reduces_;
  std::vector<Written> written_;  // per term

  KernelDraft draft_;
  std::vector<ScheduledCheck> checks_;
  std::vector<StageCode> code_;
  int next_id_ = 0;
  std::vector<std::pair<uint64_t, int>> fills_;  // what accesses give beyond borders, and the number of the param
  FlatSet<int32_t> noted_;
  std::vector<Value> values_;
};

/// The kernel of a cluster that is one, behind those that pack operands for it.
void lower_whole(const Graph& graph, Partition& partition, int number, Lowered& lowered) {
  Cluster& cluster = partition.clusters[number];
  const KernelTerms terms = plan_terms(graph, partition, number, cluster);
  Lowering lowering(graph, partition, cluster, terms);
  const int64_t total = arrange(lowering.draft());
  std::vector<ScheduledKernel> kernels = pack_operands(lowering.draft(), partition);
  kernels.push_back(lowering.finish(total));
  for (ScheduledKernel& kernel : kernels) {
    lowered.cluster.push_back(number);
    lowered.kernels.push_back(std::move(kernel));
  }
}

/// `[0:1, 1:63]`
std::string section_text(const Section& section, int rank) {
  std::string text = "[";
  for (int axis = 0; axis < rank; ++axis) text += cat(axis > 0 ? ", " : "", section.begin[axis], ":", section.end[axis]);
  return text + "]";
}

/// A kernel for each piece of a cluster.
void lower_pieces(const Graph& graph, Partition& partition, int number, Lowered& lowered) {
  const std::vector<Piece> pieces = pieces_of(graph, partition, number);
  std::vector<std::unique_ptr<Lowering>> lowerings;
  std::vector<KernelDraft*> drafts;
  for (const Piece& piece : pieces) {
    lowerings.push_back(std::make_unique<Lowering>(graph, partition, piece.cluster, piece.terms));
    drafts.push_back(&lowerings.back()->draft());
  }
  arrange_alike(drafts);
  for (size_t i = 0; i < pieces.size(); ++i) {
    ScheduledKernel kernel = lowerings[i]->finish(0);
    kernel.piece_of = number;
    kernel.piece = section_text(pieces[i].section, pieces[i].cluster.domain.rank);
    lowered.cluster.push_back(number);
    lowered.kernels.push_back(std::move(kernel));
  }
}

/// Of a node whose operands and results are in memory.
ScheduledKernel opaque_kernel(const Graph& graph, const Node& node) {
  ScheduledKernel kernel;
  kernel.num_operands = static_cast<int>(node.operands.size());
  for (Value operand : node.operands) kernel.buffers.push_back(storage_of(graph, operand).id);
  for (Value result : results(node)) {
    kernel.buffers.push_back(result.id);
    kernel.values.push_back(result);
  }
  return kernel;
}

ScheduledKernel lower_call(const Graph& graph, const Node& node) {
  std::vector<Type> operands;
  for (Value operand : node.operands) operands.push_back(graph.type(operand));
  LibraryCall call = call_of(node.op, operands);
  ScheduledKernel kernel = opaque_kernel(graph, node);
  kernel.call = {call.function, call.dtype, call.overwrites};
  kernel.sizes = std::move(call.sizes);
  kernel.iterations = call.iterations;
  kernel.additions = call.work;
  if (call.index_extent) kernel.checks.push_back(check_of(graph, node, *call.index_extent));
  return kernel;
}

ScheduledKernel lower_host(const Graph& graph, const Node& node) {
  ScheduledKernel kernel = opaque_kernel(graph, node);
  ScheduledHost host{host_of(node.op).function(), {}, {}, place_text(graph, node)};
  const auto host_type = [&](Value value) { return HostType{graph.type(value).dtype, graph.type(value).shape}; };
  for (size_t i = 1; i < node.operands.size(); ++i) host.operands.push_back(host_type(node.operands[i]));
  for (size_t i = 1; i < kernel.values.size(); ++i) host.results.push_back(host_type(kernel.values[i]));
  kernel.host = std::move(host);
  kernel.iterations = 1;
  return kernel;
}

ScheduledKernel lower_regions(const Graph& graph, const Node& node, Partition& partition, Flows& flows) {
  ScheduledKernel kernel = opaque_kernel(graph, node);
  kernel.flow = flows.of(node.op, kernel.num_operands);
  kernel.iterations = 1;
  kernel.buffers.push_back(partition.num_storages());
  partition.partials.push_back({node.result(), kernel.flow->bytes});
  return kernel;
}

}  // namespace

void lower_cluster(const Graph& graph, Partition& partition, int cluster, Flows& flows, Lowered& lowered) {
  if (!partition.clusters[cluster].calls) {
    const bool is_whole = partition.clusters[cluster].seams.empty();
    return is_whole ? lower_whole(graph, partition, cluster, lowered) : lower_pieces(graph, partition, cluster, lowered);
  }
  lowered.cluster.push_back(cluster);
  const Node& node = graph.node(partition.clusters[cluster].roots[0].value);
  if (const ScheduledKernel* native = partition.native(node)) {
    lowered.kernels.push_back(*native);
    return;
  }
  switch (place(node.op)) {
    case Place::region: lowered.kernels.push_back(lower_regions(graph, node, partition, flows)); return;
    case Place::host: lowered.kernels.push_back(lower_host(graph, node)); return;
    default: lowered.kernels.push_back(lower_call(graph, node));
  }
}

std::vector<bool> stored_accesses(const ScheduledKernel& kernel) {
  std::vector<bool> stored(kernel.buffers.size());
  if (kernel.is_opaque()) std::fill(stored.begin() + kernel.num_operands, stored.end(), true);
  for (const Instr& instr : kernel.program.body) {
    if (instr.kind == InstrKind::store) stored[instr.slot] = true;
  }
  return stored;
}

}  // namespace etch::schedule
