// Writes the kernel of a cluster down: its program and its sizes.
#include "compiler/schedule/lower_kernel.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/layout_kernel.h"
#include "runtime/check.h"

namespace etch::schedule {
namespace {

// From this cost on, a value per element that a later stage needs again is kept in the memory of an output: a store and
// a load in the cache cost about as much as eight additions.
constexpr int64_t kSpillCost = 8;

/// The map through a node, which fusion has found to exist.
Affine existing(const Graph& graph, Value value, const Continued& next) {
  ETCH_CHECK(next.map, cat("the map through %", value.id, " = ", name(graph.node(value).op),
                           " cannot be expressed in its kernel:\n", print(graph)));
  return *next.map;
}

/// Which kernel of a reduction in blocks is written, if it is one.
enum class Phase : uint8_t { whole, blocks, results };

/// A value of the kernel at one map: what computes it, and what of it was emitted.
struct Term {
  InstrKind kind = InstrKind::load;
  Value value;
  Op op = Op::add;
  ReduceKind reduce = ReduceKind::sum;
  DType dtype = DType::f32;
  Affine map;               // the element of the value; load: of its memory
  Affine along;             // index: the index along the iota's axis
  std::vector<int> args;    // terms
  int slot = -1;            // load: access; index and param: theirs; made when emitted
  int dot_operand = -1;
  int stage = 0;            // the first in which it is available; a reduce runs in the one before
  bool per_row = false;
  int64_t cost = 0;         // of computing it again in a later stage
  // Where the stages use it.
  int first_stage = -1;
  int last_stage = -1;
  int kept_in = -1;         // root whose memory keeps it for later stages
  // Emission.
  int emitted_in = -1;
  int position = -1;
  int reloaded_through = -1;  // access
};

struct RootPlan {
  int term = 0;
  int stage = 0;
  bool per_row = false;
  bool keeps = false;  // its memory keeps some other value until it is written
  int access = -1;
};

class Lowering {
 public:
  Lowering(const Graph& graph, const Partition& partition, int self, Phase phase, Lowered& lowered)
      : graph_(graph), partition_(partition), cluster_(partition.clusters[self]), self_(self), phase_(phase),
        lowered_(lowered), domain_(cluster_.domain), reduced_(cluster_.reduced) {}

  void run() {
    for (const Root& root : cluster_.roots) add_root(root);
    if (phase_ != Phase::whole) prepare_blocks();
    if (phase_ == Phase::blocks) {
      emit_blocks();
    } else {
      plan_stages();
      for (int stage = 0; stage <= last_stage_; ++stage) emit_stage(stage);
    }
    finish();
  }

 private:
  bool has_rows() const { return cluster_.kind == KernelKind::row || cluster_.kind == KernelKind::column; }
  bool is_dot() const { return cluster_.kind == KernelKind::dot; }
  bool varies(const Affine& map) const { return !has_rows() || map.coef[reduced_] != 0; }

  // ---- Terms

  void add_root(const Root& root) {
    RootPlan plan;
    plan.term = resolve(root.value, cluster_.maps[root.map]);
    plan.stage = terms_[plan.term].stage;
    plan.per_row = !varies(cluster_.maps[root.address]);
    roots_.push_back(plan);
  }

  bool computes(Value value) const {
    int32_t home = partition_.home[value.id];
    return home == kInline || home == self_;
  }

  Affine next_map(const Node& node, Value value, int operand, const Affine& map) const {
    return existing(graph_, value, operand_map(graph_, node, operand, map, domain_));
  }

  /// The term of a value at a map, made with all it needs where it is new.
  int resolve(Value value, Affine map) {
    while (is_movement(graph_.node(value).op) && computes(value)) {
      const Node& node = graph_.node(value);
      map = next_map(node, value, 0, map);
      value = node.operands[0];
    }
    const Node& node = graph_.node(value);
    bool constant = place(node.op) == Place::splat && computes(value);
    // What has no elements is never read; only a loop that runs zero times may ask for it.
    if (graph_.type(value).size() == 0 && reduced_ >= 0) map.coef[reduced_] = 1;
    if (constant) map = Affine{};
    for (int known : terms_of_[value.id]) {
      if (terms_[known].map == map) return known;
    }
    bool made = constant || (computes(value) && graph_.type(value).size() > 0);
    Term term = made ? make(value, map) : load(value, map);
    const bool is_index = term.kind == InstrKind::index;  // its map is that of one axis, not the key of the value
    if (!is_index) term.map = map;
    terms_.push_back(std::move(term));
    int index = static_cast<int>(terms_.size()) - 1;
    if (!is_index) terms_of_[value.id].push_back(index);
    if (terms_[index].kind == InstrKind::reduce) reduces_.push_back(index);
    return index;
  }

  Term leaf(InstrKind kind, Value value, const Affine& map) const {
    Term term;
    term.kind = kind;
    term.value = value;
    term.dtype = graph_.type(value).dtype;
    term.map = map;
    term.stage = is_dot() ? 1 : 0;
    term.per_row = has_rows() && !varies(map);
    return term;
  }

  Term load(Value value, const Affine& map) const { return leaf(InstrKind::load, value, map); }

  Term make(Value value, const Affine& map) {
    const Node& node = graph_.node(value);
    switch (place(node.op)) {
      case Place::splat: return leaf(InstrKind::param, value, Affine{});
      case Place::index: return make_index(value, map);
      case Place::reduction: return make_reduce(value);
      case Place::product: return make_dot(value);
      case Place::elementwise: break;
      case Place::input:
      case Place::view:
      case Place::movement:
      case Place::boxes: return load(value, map);
    }
    Term term;
    term.kind = InstrKind::compute;
    term.value = value;
    term.op = node.op;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      term.args.push_back(resolve(node.operands[i], next_map(node, value, static_cast<int>(i), map)));
    }
    complete(term);
    return term;
  }

  /// Type, stage and cost of a compute term, from its arguments.
  void complete(Term& term) const {
    term.dtype = graph_.type(term.value).dtype;
    term.per_row = has_rows();
    term.cost = cost_of(term.op);
    for (int arg : term.args) {
      const Term& operand = terms_[arg];
      term.stage = std::max(term.stage, operand.stage);
      bool row_value = operand.per_row || operand.kind == InstrKind::reduce;
      term.per_row = term.per_row && row_value;
      if (!row_value) term.cost = std::min<int64_t>(term.cost + operand.cost, 1000);
    }
  }

  Term make_index(Value value, const Affine& map) {
    Continued along = axis_map(graph_.type(value).shape, index_axis(graph_.node(value).op), map, domain_);
    Term index = leaf(InstrKind::index, value, existing(graph_, value, along));
    index.along = *along.map;
    index.dtype = DType::i64;
    if (graph_.type(value).dtype == DType::i64) return index;
    terms_.push_back(index);
    Term term;
    term.kind = InstrKind::compute;
    term.value = value;
    term.op = kConversion;
    term.args.push_back(static_cast<int>(terms_.size()) - 1);
    complete(term);
    return term;
  }

  Term make_reduce(Value value) {
    const Node& node = graph_.node(value);
    Term term;
    term.kind = InstrKind::reduce;
    term.value = value;
    term.reduce = reduction_of(node.op).kind;
    term.dtype = graph_.type(value).dtype;
    int arg = resolve(node.operands[0], linear_index(domain_));
    term.args.push_back(arg);
    term.stage = terms_[arg].stage + 1;
    return term;
  }

  Term make_dot(Value value) {
    const Node& node = graph_.node(value);
    Term term;
    term.kind = InstrKind::dot;
    term.value = value;
    term.dtype = graph_.type(value).dtype;
    for (int i = 0; i < 2; ++i) {
      Value operand = node.operands[i];
      Affine map = dot_operand_map(graph_, node, i, domain_);
      while (is_movement(graph_.node(operand).op) && computes(operand)) {
        const Node& movement = graph_.node(operand);
        map = next_map(movement, operand, 0, map);
        operand = movement.operands[0];
      }
      if (graph_.type(operand).size() == 0) map.coef[reduced_] = 1;
      Term operand_term = load(operand, map);
      operand_term.stage = 0;
      operand_term.dot_operand = i;
      terms_.push_back(operand_term);
      term.args.push_back(static_cast<int>(terms_.size()) - 1);
    }
    term.stage = 1;
    return term;
  }

  // ---- Stages

  void plan_stages() {
    for (const RootPlan& root : roots_) last_stage_ = std::max(last_stage_, root.stage);
    if (!has_rows()) return;
    for (int stage = 0; stage <= last_stage_; ++stage) {
      for (int reduce : reduces_) {
        if (terms_[reduce].stage == stage + 1) use(terms_[reduce].args[0], stage);
      }
      for (const RootPlan& root : roots_) {
        if (root.stage == stage) use(root.term, stage);
      }
    }
  }

  /// Notes that a stage needs a term, and decides whether it is computed again or kept.
  void use(int index, int stage) {
    Term& term = terms_[index];
    if (term.per_row || term.kind != InstrKind::compute || term.last_stage == stage) return;
    bool again = term.first_stage >= 0;
    if (!again) term.first_stage = stage;
    term.last_stage = stage;
    if (again && term.cost >= kSpillCost && keep(index, stage)) return;
    for (size_t i = 0; i < term.args.size(); ++i) use(term.args[i], stage);
  }

  /// Finds memory that keeps a term of an earlier stage until this one.
  bool keep(int index, int stage) {
    Term& term = terms_[index];
    if (term.kept_in >= 0) {
      const RootPlan& keeper = roots_[term.kept_in];
      return keeper.term == index || keeper.stage >= stage;
    }
    for (size_t r = 0; r < roots_.size(); ++r) {
      if (roots_[r].term == index && !roots_[r].per_row && roots_[r].stage == term.first_stage) {
        term.kept_in = static_cast<int>(r);
        return true;
      }
    }
    int best = -1;
    for (size_t r = 0; r < roots_.size(); ++r) {
      const RootPlan& root = roots_[r];
      bool fits = !root.per_row && !root.keeps && root.stage >= stage && terms_[root.term].dtype == term.dtype;
      if (fits && (best < 0 || root.stage > roots_[best].stage)) best = static_cast<int>(r);
    }
    if (best < 0) return false;
    roots_[best].keeps = true;
    term.kept_in = best;
    return true;
  }

  // ---- Emission

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

  void make_slot(Term& term) {
    if (term.slot >= 0) return;
    switch (term.kind) {
      case InstrKind::load:
        term.slot = access(storage_of(graph_, term.value).id, term.dtype, placed(term.map), false, term.dot_operand);
        break;
      case InstrKind::index:
        term.slot = static_cast<int>(draft_.indices.size());
        draft_.indices.push_back(placed(term.along));
        break;
      default:
        term.slot = static_cast<int>(draft_.params.size());
        draft_.params.push_back(*splat_bits(graph_.node(term.value).op));
    }
  }

  /// Emits a term for a stage, unless it is there; returns its instruction.
  int emit(int index, int stage) {
    Term& term = terms_[index];
    bool lasting = term.per_row || term.kind == InstrKind::reduce || term.kind == InstrKind::dot;
    if (term.position >= 0 && (lasting || term.emitted_in == stage)) return term.position;
    if (term.kept_in >= 0 && stage > term.first_stage && keep(index, stage)) return reload(term, stage);
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
      make_slot(term);
      instr.slot = static_cast<int16_t>(term.slot);
      if (term.dot_operand >= 0) instr.stage = 0;
    }
    for (size_t i = 0; i < term.args.size(); ++i) instr.args.push_back(emit(term.args[i], stage));
    if (term.slot < 0) note(term.value);
    term.emitted_in = stage;
    term.position = push(std::move(instr));
    return term.position;
  }

  int reload(Term& term, int stage) {
    term.emitted_in = stage;
    term.position = push(memory_instr(InstrKind::load, term.reloaded_through, term.dtype, stage));
    return term.position;
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
    for (auto [r, position] : stored) {
      RootPlan& root = roots_[r];
      root.access = store(r, position, stage, root.per_row);
    }
    for (Term& term : terms_) {
      if (term.kept_in < 0 || term.first_stage != stage) continue;
      const RootPlan& keeper = roots_[term.kept_in];
      bool own = &terms_[keeper.term] == &term;
      term.reloaded_through = own ? keeper.access : store(term.kept_in, term.position, stage, false);
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
        partial.slot = access(scratch(i), reduce.dtype, linear_index(phase_domain_), false);
        reduce.args = {static_cast<int>(terms_.size())};
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
      push_store(slot, reduce.dtype, reduce.position, 1, true);
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

  std::vector<Term> terms_;
  absl::flat_hash_map<int32_t, std::vector<int>> terms_of_;  // per node
  std::vector<int> reduces_;                                 // terms, in the order of their first use
  std::vector<RootPlan> roots_;
  int last_stage_ = 0;

  KernelDraft draft_;
  std::vector<StageCode> code_;
  int next_id_ = 0;
  std::vector<Value> values_;
};

}  // namespace

void lower_cluster(const Graph& graph, const Partition& partition, int cluster, Lowered& lowered) {
  if (!partition.clusters[cluster].in_blocks) {
    Lowering(graph, partition, cluster, Phase::whole, lowered).run();
    return;
  }
  Lowering(graph, partition, cluster, Phase::blocks, lowered).run();
  Lowering(graph, partition, cluster, Phase::results, lowered).run();
}

std::vector<bool> stored_accesses(const ScheduledKernel& kernel) {
  std::vector<bool> stored(kernel.buffers.size());
  for (const Instr& instr : kernel.program.body) {
    if (instr.kind == InstrKind::store) stored[instr.slot] = true;
  }
  return stored;
}

}  // namespace etch::schedule
