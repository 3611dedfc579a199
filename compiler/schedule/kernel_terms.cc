// What a kernel computes, and in which of its stages: the plan from which lower_kernel writes its program.
#include "compiler/schedule/kernel_terms.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/costs.h"
#include "compiler/schedule/pieces.h"
#include "runtime/check.h"
#include "runtime/flat_map.h"

namespace etch::schedule {
namespace {

/// The map through a node, which fusion has found to exist.
Affine existing(const Graph& graph, Value value, const Continued& next) {
  ETCH_CHECK(next.map, cat("the map through %", value.id, " = ", name(graph.node(value).op),
                           " cannot be expressed in its kernel:\n", print(graph)));
  return *next.map;
}

/// Resolves values at maps to terms.
class Resolver {
 public:
  Resolver(const Graph& graph, const Partition& partition, int self, const Cluster& cluster, KernelTerms& result)
      : graph_(graph), partition_(partition), cluster_(cluster), self_(self), domain_(cluster_.domain),
        folded_(domain_.folded_axis()), result_(result), terms_(result.terms) {}

  void run() {
    for (const Root& root : cluster_.roots) {
      const int term = resolve(root.value, cluster_.maps[root.map]);
      const Affine& address = cluster_.maps[root.address];
      const int64_t cost = has_rows() ? 2 * cost::of_stride(address.coef[vector_axis(cluster_)]) : 0;
      result_.roots.push_back({term, terms_[term].stage, !varies(address), cost});
    }
  }

 private:
  bool is_product() const { return domain_.has(Role::row); }
  bool has_rows() const { return folded_ >= 0 && !is_product(); }
  /// What the kernel folds, element by element.
  Affine elements() const { return cluster_.in_whole.value_or(linear_index(domain_)); }
  bool varies(const Affine& map) const { return !has_rows() || map.coef[folded_] != 0; }

  bool computes(Value value) const {
    int32_t home = partition_.home[value.id];
    return home == kInline || home == self_ || (home >= 0 && home == cluster_.blocks_of);
  }

  Affine next_map(const Node& node, Value value, int operand, const Affine& map) const {
    return existing(graph_, value, operand_map(graph_, node, operand, map, domain_));
  }

  /// A value at a map.
  struct Use {
    Value value;
    Affine map;
  };

  /// The term of a value at a map, made with all it needs where it is new. Chains are long: what waits for its operands
  /// stands in a list.
  int resolve(Value value, const Affine& map) {
    std::vector<Use> open{source_of(value, map)};
    while (true) {
      const Use use = open.back();
      int term = known(use);
      if (term < 0) {
        const size_t count = open.size();
        add_unknown_operands(use, open);
        if (open.size() > count) continue;
        term = make_term(use);
      }
      open.pop_back();
      if (open.empty()) return term;
    }
  }

  /// Where movement ops and parts that the kernel looks through lead to, at the map that terms are known by.
  Use source_of(Value value, Affine map) const {
    while (computes(value)) {
      const Node& node = graph_.node(value);
      if (place(node.op) == Place::boxes && graph_.type(value).size() > 0) {
        if (cluster_.sweeps) break;  // the kernel knows borders, and sizes do not say which windows reach beyond them
        const std::optional<PartUse> part = part_read(graph_, value, map, domain_);
        ETCH_CHECK(part, cat("a piece of a kernel reads several parts of %", value.id, ":\n", print(graph_)));
        map = part->map;
        value = part->value;
        continue;
      }
      if (!is_movement(node.op)) break;
      map = next_map(node, value, 0, map);
      value = node.operands[0];
    }
    // What has no elements is never read; only a loop that runs zero times may ask for it.
    if (graph_.type(value).size() == 0 && folded_ >= 0) map.coef[folded_] = 1;
    if (is_constant(value)) map = Affine{};
    return {value, map};
  }

  bool is_constant(Value value) const { return place(graph_.node(value).op) == Place::splat && computes(value); }
  bool is_made(Value value) const { return is_constant(value) || (computes(value) && graph_.type(value).size() > 0); }

  /// The term of what source_of gave, or -1.
  int known(const Use& use) {
    for (int term : terms_of_[use.value.id]) {
      if (terms_[term].map == use.map && terms_[term].dot_operand == side_) return term;
    }
    return -1;
  }

  /// Appends the operands of a term that is about to be made and that have none yet, the first one last.
  void add_unknown_operands(const Use& use, std::vector<Use>& open) {
    if (!is_made(use.value)) return;
    const Node& node = graph_.node(use.value);
    const auto add = [&](Value operand, const Affine& map) {
      Use source = source_of(operand, map);
      // An index has no term that is known by its value.
      const bool waits = place(graph_.node(source.value).op) != Place::index || !computes(source.value);
      if (waits && known(source) < 0) open.push_back(std::move(source));
    };
    switch (place(node.op)) {
      case Place::elementwise:
        for (size_t i = node.operands.size(); i-- > 0;) {
          add(node.operands[i], next_map(node, use.value, static_cast<int>(i), use.map));
        }
        return;
      case Place::reduction:
        if (!domain_.has(Role::results)) add(node.operands[0], elements());
        return;
      case Place::indexed: return add(node.operands[1], maps_of(use).index);
      default: return;
    }
  }

  int make_term(const Use& use) {
    const auto& [value, map] = use;
    Term term = is_made(value) ? make(value, map) : leaf(InstrKind::load, value, map);
    const bool is_index = term.kind == InstrKind::index;  // its map is that of one axis, not the key of the value
    if (!is_index) term.map = map;
    int index = add(std::move(term));
    if (!is_index) terms_of_[value.id].push_back(index);
    if (terms_[index].kind == InstrKind::reduce) result_.reduces.push_back(index);
    return index;
  }

  IndexedElement maps_of(const Use& use) const {
    const ContinuedIndexed maps = indexed_maps(graph_, graph_.node(use.value), use.map, domain_);
    ETCH_CHECK(maps.element, cat("the indices of %", use.value.id, " cannot be expressed in its kernel:\n", print(graph_)));
    return *maps.element;
  }

  int add(Term term) {
    terms_.push_back(std::move(term));
    return static_cast<int>(terms_.size()) - 1;
  }

  Term leaf(InstrKind kind, Value value, const Affine& map) const {
    Term term;
    term.kind = kind;
    term.value = value;
    term.dtype = graph_.type(value).dtype;
    term.map = map;
    term.stage = is_product() && side_ < 0 ? 1 : 0;
    term.dot_operand = side_;
    term.per_row = has_rows() && !varies(map);
    if (kind != InstrKind::load) return term;
    term.storage = storage_of(graph_, value).id;
    if (has_rows()) term.cost = cost::of_load(term.dtype, map.coef[vector_axis(cluster_)]);
    return term;
  }

  Term make(Value value, const Affine& map) {
    const Node& node = graph_.node(value);
    switch (place(node.op)) {
      case Place::splat: return leaf(InstrKind::param, value, Affine{});
      case Place::index: return make_index(value, map);
      case Place::reduction: return make_reduce(value);
      case Place::product: return make_dot(value);
      case Place::indexed: return make_indexed(value, map);
      case Place::boxes: return make_padded(value, map);
      case Place::elementwise: break;
      case Place::input:
      case Place::view:
      case Place::movement:
      case Place::call:
      case Place::region:
      case Place::host: return leaf(InstrKind::load, value, map);
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
    term.dot_operand = side_;
    term.per_row = has_rows();
    term.cost = term.kind == InstrKind::compute ? cost_of(term.op) : 0;
    for (int arg : term.args) {
      const Term& operand = terms_[arg];
      term.stage = std::max(term.stage, operand.stage);
      bool row_value = operand.per_row || operand.kind == InstrKind::reduce;
      term.per_row = term.per_row && row_value;
      if (!row_value) term.cost = std::min<int64_t>(term.cost + operand.cost, 1000);
    }
  }

  /// A load at an index, which a check looks at first.
  Term make_indexed(Value value, const Affine& map) {
    const Node& node = graph_.node(value);
    const IndexedElement element = maps_of({value, map});
    Term position = leaf(InstrKind::index, value, element.index);
    position.along = element.index;
    position.dtype = DType::i64;
    Term check;
    check.kind = InstrKind::check;
    check.value = value;
    check.args = {in_64_bits(resolve(node.operands[1], element.index), value), add(std::move(position))};
    complete(check);
    check.dtype = DType::i64;
    Term load = leaf(InstrKind::load, value, map);
    load.storage = storage_of(graph_, node.operands[0]).id;
    load.along = element.base;
    load.args = {add(std::move(check))};
    const Term& index = terms_[load.args[0]];
    load.stage = std::max(load.stage, index.stage);
    load.per_row = has_rows() && index.per_row && !varies(load.along);
    load.cost += cost_of(node.op);
    return load;
  }

  /// A load of what a border goes around.
  Term make_padded(Value value, const Affine& map) const {
    const Node& node = graph_.node(value);
    std::optional<PaddedElement> padded = padded_element(graph_, node, map, domain_);
    ETCH_CHECK(padded, cat("the borders of %", value.id, " cannot be expressed in its kernel:\n", print(graph_)));
    const Bordered of = *bordered(graph_, node);
    const auto [source, element] = source_of(node.operands[of.inside.operand], padded->element);
    Term load = leaf(InstrKind::load, source, element);
    load.along = element;
    load.bounds = std::move(padded->bounds);
    load.fill = *splat_bits(graph_.node(node.operands[of.border]).op);
    return load;
  }

  int in_64_bits(int index, Value user) {
    if (terms_[index].dtype == DType::i64) return index;
    Term cast;
    cast.kind = InstrKind::compute;
    cast.value = user;
    cast.op = kConversion;
    cast.args = {index};
    complete(cast);
    cast.dtype = DType::i64;
    return add(std::move(cast));
  }

  Term make_index(Value value, const Affine& map) {
    Continued along = axis_map(graph_.type(value).shape, index_axis(graph_.node(value).op), map, domain_);
    Term index = leaf(InstrKind::index, value, existing(graph_, value, along));
    index.along = *along.map;
    index.dtype = DType::i64;
    if (graph_.type(value).dtype == DType::i64) return index;
    Term term;
    term.kind = InstrKind::compute;
    term.value = value;
    term.op = kConversion;
    term.args.push_back(add(std::move(index)));
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
    int arg = domain_.has(Role::results) ? add(load_partial(value)) : resolve(node.operands[0], elements());
    term.args.push_back(arg);
    term.stage = terms_[arg].stage + 1;
    return term;
  }

  /// What the blocks came to, which another kernel left.
  Term load_partial(Value reduction) const {
    Term term = leaf(InstrKind::load, reduction, linear_index(domain_));
    term.storage = partition_.partial_of(reduction);
    return term;
  }

  Term make_dot(Value value) {
    const Node& node = graph_.node(value);
    Term term;
    term.kind = InstrKind::dot;
    term.value = value;
    term.dtype = graph_.type(value).dtype;
    for (int i = 0; i < 2; ++i) {
      side_ = i;
      term.args.push_back(resolve(node.operands[i], dot_operand_map(graph_, node, i, domain_)));
    }
    side_ = -1;
    term.stage = 1;
    return term;
  }

  const Graph& graph_;
  const Partition& partition_;
  const Cluster& cluster_;
  const int self_;
  const Domain& domain_;
  const int folded_;
  KernelTerms& result_;
  std::vector<Term>& terms_;
  FlatMap<int32_t, std::vector<int>> terms_of_;  // per value
  int side_ = -1;  // the operand of a product whose terms are made
};

/// Finds out which stages use a term, and whether a later one computes it again or memory keeps it.
class Stages {
 public:
  Stages(const Graph& graph, Partition& partition, int self, Cluster& cluster, KernelTerms& terms)
      : graph_(graph), partition_(partition), self_(self), cluster_(cluster), all_(terms),
        terms_(terms.terms), roots_(terms.roots) {}

  void run() {
    for (int stage = 0; stage <= all_.last_stage; ++stage) {
      for (int reduce : all_.reduces) {
        if (terms_[reduce].stage == stage + 1) use(terms_[reduce].args[0], stage);
      }
      for (size_t r = 0; r < roots_.size(); ++r) {  // their number grows
        if (roots_[r].stage == stage) use(roots_[r].term, stage);
      }
    }
  }

 private:
  void use(int index, int stage) {
    Term& term = terms_[index];
    const bool computes = term.kind == InstrKind::compute || term.kind == InstrKind::check;
    if (term.per_row || !(computes || term.kind == InstrKind::load) || term.last_stage == stage) return;
    bool again = term.first_stage >= 0;
    if (!again) term.first_stage = stage;
    term.last_stage = stage;
    if (again && keep(index, stage)) return;
    for (size_t i = 0; i < term.args.size(); ++i) use(term.args[i], stage);
  }

  /// Finds memory that keeps a term of an earlier stage until this one.
  bool keep(int index, int stage) {
    Term& term = terms_[index];
    if (term.kept_in >= 0) return all_.is_kept(index, stage);
    const auto pays = [&](const RootTerm& root) { return term.cost >= cost::of_keeping(term.dtype) + root.cost; };
    for (size_t r = 0; r < roots_.size(); ++r) {
      if (roots_[r].term == index && !roots_[r].per_row && roots_[r].stage == term.first_stage && pays(roots_[r])) {
        term.kept_in = static_cast<int>(r);
        return true;
      }
    }
    int best = -1;
    for (size_t r = 0; r < roots_.size(); ++r) {
      const RootTerm& root = roots_[r];
      bool fits = !root.per_row && !root.keeps && root.stage >= stage && terms_[root.term].dtype == term.dtype &&
                  pays(root);
      if (fits && (best < 0 || root.stage > roots_[best].stage)) best = static_cast<int>(r);
    }
    if (best < 0) return keep_in_own_memory(index);
    roots_[best].keeps = true;
    term.kept_in = best;
    return true;
  }

  /// Makes a dear value a root of the cluster, if the kernel visits its elements in order.
  bool keep_in_own_memory(int index) {
    Term& term = terms_[index];
    const Affine in_order = linear_index(cluster_.domain);
    const bool fits = term.kind == InstrKind::compute && term.cost >= cost::kOwnMemory &&
                      partition_.home[term.value.id] == self_ && term.map == in_order &&
                      graph_.type(term.value).size() == cluster_.domain.size();
    if (!fits) return false;
    const int map = intern(cluster_, in_order);
    cluster_.roots.push_back({term.value, term.value.id, map, map});
    term.kept_in = static_cast<int>(roots_.size());
    roots_.push_back({index, term.first_stage});
    return true;
  }

  const Graph& graph_;
  const Partition& partition_;
  const int self_;
  Cluster& cluster_;
  KernelTerms& all_;
  std::vector<Term>& terms_;
  std::vector<RootTerm>& roots_;
};

}  // namespace

bool KernelTerms::is_kept(int term, int stage) const {
  const RootTerm& keeper = roots[terms[term].kept_in];
  return keeper.term == term || keeper.stage >= stage;
}

KernelTerms plan_terms(const Graph& graph, Partition& partition, int number, Cluster& cluster) {
  KernelTerms result;
  Resolver(graph, partition, number, cluster, result).run();
  for (const RootTerm& root : result.roots) result.last_stage = std::max(result.last_stage, root.stage);
  const Domain& domain = cluster.domain;
  if (domain.folded_axis() >= 0 && !domain.has(Role::row)) Stages(graph, partition, number, cluster, result).run();
  return result;
}

}  // namespace etch::schedule
