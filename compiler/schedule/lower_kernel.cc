// Writes the kernel of a cluster down: its program and its sizes.
#include "compiler/schedule/lower_kernel.h"

#include <algorithm>

#include "compiler/schedule/kernel_terms.h"
#include "compiler/schedule/layout_kernel.h"

namespace etch::schedule {
namespace {

/// Which kernel of a reduction in blocks is written, if it is one.
enum class Phase : uint8_t { whole, blocks, results };

/// What of a term was written.
struct Written {
  int slot = -1;      // load: access; index and param: theirs
  int stage = -1;     // the last one for which it was
  int position = -1;  // then: its instruction
  int access = -1;    // of the memory that keeps it for later stages
};

class Lowering {
 public:
  Lowering(const Graph& graph, const Partition& partition, int self, Phase phase, Lowered& lowered)
      : graph_(graph), partition_(partition), cluster_(partition.clusters[self]), self_(self), phase_(phase),
        lowered_(lowered), domain_(cluster_.domain), reduced_(cluster_.reduced),
        plan_(plan_terms(graph, partition, self)), terms_(plan_.terms), roots_(plan_.roots), reduces_(plan_.reduces),
        written_(terms_.size()) {}

  bool reduces() const { return !reduces_.empty(); }

  void run() {
    if (phase_ != Phase::whole) prepare_blocks();
    if (phase_ == Phase::blocks) {
      emit_blocks();
    } else {
      for (int stage = 0; stage <= plan_.last_stage; ++stage) emit_stage(stage);
    }
    finish();
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

  int access(int storage, DType dtype, const Affine& address, bool stores, int dot_operand = -1) {
    draft_.accesses.push_back({storage, dtype, address, stores, dot_operand});
    return static_cast<int>(draft_.accesses.size()) - 1;
  }

  /// A map of the cluster's domain on the domain of this phase.
  Affine placed(const Affine& map) const {
    Affine result = map;
    if (phase_ == Phase::blocks) apply(Split{reduced_, block_}, result);
    return result;
  }

  void make_slot(const Term& term, int& slot) {
    if (slot >= 0) return;
    switch (term.kind) {
      case InstrKind::load:
        slot = access(storage_of(graph_, term.value).id, term.dtype, placed(term.map), false, term.dot_operand);
        break;
      case InstrKind::index:
        slot = static_cast<int>(draft_.indices.size());
        draft_.indices.push_back(placed(term.along));
        break;
      default:
        slot = static_cast<int>(draft_.params.size());
        draft_.params.push_back(*splat_bits(graph_.node(term.value).op));
    }
  }

  /// Emits a term for a stage, unless it is there; returns its instruction.
  int emit(int index, int stage) {
    const Term& term = terms_[index];
    Written& written = written_[index];
    bool lasting = term.per_row || term.kind == InstrKind::reduce || term.kind == InstrKind::dot;
    if (written.position >= 0 && (lasting || written.stage == stage)) return written.position;
    if (term.kept_in >= 0 && stage > term.first_stage && plan_.is_kept(index, stage)) {
      written.stage = stage;
      return written.position = push(memory_instr(InstrKind::load, written.access, term.dtype, stage));
    }
    Instr instr;
    instr.kind = term.kind;
    instr.dtype = term.dtype;
    instr.stage = static_cast<int8_t>(stage);
    instr.per_row = term.per_row && term.kind != InstrKind::reduce;
    if (term.kind == InstrKind::compute) {
      instr.op = term.op;
    } else if (term.kind == InstrKind::reduce) {
      instr.reduce = term.reduce;
    } else if (term.kind == InstrKind::dot) {
      instr.stage = 0;
    } else {
      make_slot(term, written.slot);
      instr.slot = static_cast<int16_t>(written.slot);
      if (term.dot_operand >= 0) instr.stage = 0;
    }
    for (int arg : term.args) instr.args.push_back(emit(arg, stage));
    if (written.slot < 0) note(term.value);
    written.stage = stage;
    return written.position = push(std::move(instr));
  }

  static Instr memory_instr(InstrKind kind, int slot, DType dtype, int stage) {
    Instr instr;
    instr.kind = kind;
    instr.dtype = dtype;
    instr.stage = static_cast<int8_t>(stage);
    instr.slot = static_cast<int16_t>(slot);
    return instr;
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
    DType dtype = graph_.type(target.target).dtype;
    int slot = access(target.target.id, dtype, placed(cluster_.maps[target.address]), true);
    push_store(slot, dtype, position, stage, per_row);
    return slot;
  }

  void push_store(int slot, DType dtype, int position, int stage, bool per_row) {
    Instr instr = memory_instr(InstrKind::store, slot, dtype, stage);
    instr.per_row = per_row;
    instr.args.push_back(position);
    push(std::move(instr));
  }

  // ---- Reductions in blocks

  /// The domain of this phase, and where the blocks' results lie.
  void prepare_blocks() {
    int64_t n = domain_.extents[reduced_];
    block_ = cluster_.kind == KernelKind::row ? partition_.blocks.row : partition_.blocks.column;
    int64_t blocks = (n + block_ - 1) / block_;
    phase_domain_ = domain_;
    phase_domain_.extents[reduced_] = blocks;
    if (phase_ == Phase::results) {
      // The kernel over blocks left them in the order of the reductions.
      first_scratch_ = static_cast<int>(lowered_.scratch.size() - reduces_.size());
      for (size_t i = 0; i < reduces_.size(); ++i) {
        Term& reduce = terms_[reduces_[i]];
        Term partial;
        partial.kind = InstrKind::load;
        partial.value = reduce.value;
        partial.dtype = reduce.dtype;
        reduce.args = {static_cast<int>(terms_.size())};
        written_.push_back({access(scratch(i), reduce.dtype, linear_index(phase_domain_), false)});
        terms_.push_back(partial);
      }
      return;
    }
    first_scratch_ = static_cast<int>(lowered_.scratch.size());
    int64_t count = phase_domain_.size();
    for (int reduce : reduces_) {
      lowered_.scratch.push_back({count * size_of(terms_[reduce].dtype), terms_[reduce].value});
    }
    draft_.total = n;
    insert_axis(reduced_ + 1, block_, phase_domain_);
  }

  int scratch(size_t i) const { return graph_.num_values() + first_scratch_ + static_cast<int>(i); }

  void emit_blocks() {
    for (int reduce : reduces_) emit(terms_[reduce].args[0], 0);
    for (int reduce : reduces_) emit(reduce, 0);
    for (size_t i = 0; i < reduces_.size(); ++i) {
      const Term& reduce = terms_[reduces_[i]];
      int slot = access(scratch(i), reduce.dtype, linear_index(phase_domain_, reduced_ + 1), true);
      push_store(slot, reduce.dtype, written_[reduces_[i]].position, 1, true);
    }
  }

  // ---- The end

  void note(Value value) {
    if (std::find(values_.begin(), values_.end(), value) == values_.end()) values_.push_back(value);
  }

  void finish() {
    KernelProgram& program = draft_.program;
    program.kind = phase_ == Phase::results ? KernelKind::column : cluster_.kind;
    program.partial = phase_ == Phase::blocks;
    program.combine = phase_ == Phase::results;
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
    draft_.domain = phase_ == Phase::whole ? domain_ : phase_domain_;
    draft_.reduced = phase_ == Phase::blocks ? reduced_ + 1 : reduced_;
    ScheduledKernel kernel = lay_out(std::move(draft_));
    for (const Root& root : cluster_.roots) {
      if (phase_ != Phase::blocks) note(root.target);
    }
    kernel.values = std::move(values_);
    lowered_.kernels.push_back(std::move(kernel));
    lowered_.cluster.push_back(self_);
  }

  const Graph& graph_;
  const Partition& partition_;
  const Cluster& cluster_;
  const int self_;
  const Phase phase_;
  Lowered& lowered_;
  const Domain domain_;
  const int reduced_;
  Domain phase_domain_;
  int64_t block_ = 0;
  int first_scratch_ = 0;

  KernelTerms plan_;
  std::vector<Term>& terms_;
  const std::vector<RootTerm>& roots_;
  const std::vector<int>& reduces_;
  std::vector<Written> written_;  // per term

  KernelDraft draft_;
  std::vector<StageCode> code_;
  int next_id_ = 0;
  std::vector<Value> values_;
};

void lower_call(const Graph& graph, const Cluster& cluster, int self, Lowered& lowered) {
  const Node& node = graph.node(cluster.roots[0].value);
  std::vector<Type> operands;
  ScheduledKernel kernel;
  for (Value operand : node.operands) {
    operands.push_back(graph.type(operand));
    kernel.buffers.push_back(storage_of(graph, operand).id);
  }
  for (Value result : results(node)) {
    kernel.buffers.push_back(result.id);
    kernel.values.push_back(result);
  }
  LibraryCall call = call_of(node.op, operands);
  kernel.call = {call.function, call.dtype, static_cast<int>(operands.size())};
  kernel.sizes = std::move(call.sizes);
  kernel.iterations = call.iterations;
  kernel.work = call.work;
  lowered.kernels.push_back(std::move(kernel));
  lowered.cluster.push_back(self);
}

}  // namespace

void lower_cluster(const Graph& graph, const Partition& partition, int cluster, Lowered& lowered) {
  if (partition.clusters[cluster].calls) return lower_call(graph, partition.clusters[cluster], cluster, lowered);
  Lowering whole(graph, partition, cluster, Phase::whole, lowered);
  // A cluster may have made room for a reduction that another one took.
  if (!partition.clusters[cluster].in_blocks || !whole.reduces()) return whole.run();
  Lowering(graph, partition, cluster, Phase::blocks, lowered).run();
  Lowering(graph, partition, cluster, Phase::results, lowered).run();
}

std::vector<bool> stored_accesses(const ScheduledKernel& kernel) {
  std::vector<bool> stored(kernel.buffers.size());
  if (kernel.call) std::fill(stored.begin() + kernel.call->num_operands, stored.end(), true);
  for (const Instr& instr : kernel.program.body) {
    if (instr.kind == InstrKind::store) stored[instr.slot] = true;
  }
  return stored;
}

}  // namespace etch::schedule
