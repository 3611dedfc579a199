// Writes the body of a kernel out along a short axis.
#include "compiler/schedule/unroll_axis.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

namespace etch::schedule {
namespace {

/// The copies of a value, one for each index of the axis; just one where it does not vary along it.
using Copies = std::vector<int32_t>;

class Unroller {
 public:
  Unroller(KernelDraft& draft, int axis)
      : draft_(draft), axis_(axis), n_(draft.domain.extents[axis]), reduces_(axis == draft.domain.folded_axis()),
        becomes_loop_(reduces_ || draft.domain.folded_axis() < 0), along_lanes_(draft.domain.size_from(axis + 1) == 1),
        old_body_(std::move(draft.program.body)), old_accesses_(std::move(draft.accesses)),
        old_indices_(std::move(draft.indices)) {
    draft.program.body.clear();
    draft.accesses.clear();
    draft.indices.clear();
  }

  void run() {
    for (const Instr& instr : old_body_) copies_.push_back(copy(instr));
    // Stores come last in a loop: what they overwrite has been read by then.
    for (const Store& store : stores_) body().push_back(store_instr(store));
  }

 private:
  struct Store {
    DType dtype;
    int storage;
    Affine address;
    int32_t value;
  };
  struct Loaded {
    int storage;
    Affine address;
    int32_t value;
    int stage;
    bool per_row;
  };

  std::vector<Instr>& body() { return draft_.program.body; }

  int32_t push(Instr instr) {
    if (becomes_loop_) {
      // One stage is left, so what a later one computed again is there already.
      instr.stage = 0;
      instr.per_row = false;
    }
    const bool computes = instr.kind == InstrKind::compute || instr.kind == InstrKind::param;
    auto known = computes ? std::find(body().begin(), body().end(), instr) : body().end();
    if (known != body().end()) return static_cast<int32_t>(known - body().begin());
    body().push_back(std::move(instr));
    return static_cast<int32_t>(body().size()) - 1;
  }

  int32_t value_at(int32_t old, int64_t i) const {
    const Copies& copies = copies_[old];
    return copies[copies.size() == 1 ? 0 : i];
  }

  bool varies(const Instr& instr) const {
    switch (instr.kind) {
      case InstrKind::load:
        if (old_accesses_[instr.slot].address.coef[axis_] != 0) return true;
        break;
      case InstrKind::store: return old_accesses_[instr.slot].address.coef[axis_] != 0;
      case InstrKind::index: return old_indices_[instr.slot].coef[axis_] != 0;
      case InstrKind::reduce:
        if (reduces_) return false;
        break;
      default: break;
    }
    for (int32_t arg : instr.args) {
      if (copies_[arg].size() > 1) return true;
    }
    return false;
  }

  Affine at_index(Affine map, int64_t i) const {
    map.offset += i * std::exchange(map.coef[axis_], 0);
    return map;
  }

  Copies copy(const Instr& instr) {
    Copies copies;
    for (int64_t i = 0; i < (varies(instr) ? n_ : 1); ++i) copies.push_back(copy_at(instr, i));
    return copies;
  }

  int32_t copy_at(const Instr& instr, int64_t i) {
    Instr made = instr;
    for (int32_t& arg : made.args) arg = value_at(arg, i);
    switch (instr.kind) {
      case InstrKind::load: return load(std::move(made), i);
      case InstrKind::store: return store(std::move(made), i);
      case InstrKind::index:
        made.slot = static_cast<int16_t>(draft_.indices.size());
        draft_.indices.push_back(at_index(old_indices_[instr.slot], i));
        break;
      case InstrKind::reduce:
        if (reduces_) return joined(instr);
        break;
      default: break;
    }
    return push(std::move(made));
  }

  int16_t new_access(const AccessMap& access, const Affine& address) {
    draft_.accesses.push_back(access);
    draft_.accesses.back().address = address;
    return static_cast<int16_t>(draft_.accesses.size()) - 1;
  }

  // ---- Memory

  /// An element is loaded once in a stage; in a loop it is not at all if it has been stored.
  int32_t load(Instr made, int64_t i) {
    const AccessMap& access = old_accesses_[made.slot];
    const Affine address = at_index(access.address, i);
    if (becomes_loop_ && !access.indexed) {
      for (const Store& store : stores_) {
        if (store.storage == access.storage && store.address == address) return store.value;
      }
    }
    if (!access.indexed && (becomes_loop_ || !access.stores)) {
      for (const Loaded& loaded : loaded_) {
        const bool is_there = becomes_loop_ || (loaded.stage == made.stage && loaded.per_row == made.per_row);
        if (is_there && loaded.storage == access.storage && loaded.address == address) return loaded.value;
      }
    }
    made.slot = access.stores ? slot_of_store(access, address) : new_access(access, address);
    const int stage = made.stage;
    const bool per_row = made.per_row;
    const int32_t value = push(std::move(made));
    if (!access.indexed) loaded_.push_back({access.storage, address, value, stage, per_row});
    return value;
  }

  /// In a loop what is overwritten later is not stored.
  int32_t store(Instr made, int64_t i) {
    const AccessMap& access = old_accesses_[made.slot];
    const Affine address = at_index(access.address, i);
    if (!becomes_loop_) {
      made.slot = new_access(access, address);
      return push(std::move(made));
    }
    const int32_t value = made.args[0];
    for (Store& earlier : stores_) {
      if (earlier.storage != access.storage || !(earlier.address == address)) continue;
      earlier.value = value;
      return value;
    }
    stores_.push_back({made.dtype, access.storage, address, value});
    return value;
  }

  /// The access through which a value was kept for a later stage.
  int16_t slot_of_store(const AccessMap& access, const Affine& address) {
    for (size_t a = 0; a < draft_.accesses.size(); ++a) {
      const AccessMap& known = draft_.accesses[a];
      if (known.stores && known.storage == access.storage && known.address == address) return static_cast<int16_t>(a);
    }
    return new_access(access, address);
  }

  Instr store_instr(const Store& store) {
    Instr instr;
    instr.kind = InstrKind::store;
    instr.dtype = store.dtype;
    instr.slot = new_access({store.storage, store.dtype, {}, true, -1}, store.address);
    instr.args.push_back(store.value);
    return instr;
  }

  // ---- Reductions

  int32_t compute(Op op, DType dtype, std::initializer_list<int32_t> args) {
    Instr instr;
    instr.op = op;
    instr.dtype = dtype;
    instr.args.assign(args.begin(), args.end());
    return push(std::move(instr));
  }

  int32_t constant(DType dtype, uint64_t bits) {
    for (size_t i = 0; i < body().size(); ++i) {
      const Instr& known = body()[i];
      const bool same = known.kind == InstrKind::param && known.dtype == dtype && draft_.params[known.slot] == bits;
      if (same) return static_cast<int32_t>(i);
    }
    Instr instr;
    instr.kind = InstrKind::param;
    instr.dtype = dtype;
    instr.slot = static_cast<int16_t>(draft_.params.size());
    draft_.params.push_back(bits);
    return push(std::move(instr));
  }

  int32_t joined(const Instr& reduce) {
    const DType dtype = old_body_[reduce.args[0]].dtype;
    Copies elements;
    for (int64_t i = 0; i < n_; ++i) elements.push_back(value_at(reduce.args[0], i));
    const std::optional<Op> op = joining_op(reduce.reduce);
    if (!op) return position(elements, dtype, reduce.reduce == ReduceKind::argmax);
    if (along_lanes_) {
      for (size_t half = std::bit_ceil(elements.size()) / 2; half > 0; half /= 2) {
        for (size_t i = 0; i + half < elements.size(); ++i) {
          elements[i] = compute(*op, dtype, {elements[i], elements[i + half]});
        }
        elements.resize(std::min(elements.size(), half));
      }
    } else {
      for (size_t i = 1; i < elements.size(); ++i) elements[0] = compute(*op, dtype, {elements[0], elements[i]});
    }
    // The zero of a reduction's max and min is +0.
    const bool extreme = reduce.reduce == ReduceKind::max || reduce.reduce == ReduceKind::min;
    if (!extreme || !is_floating(dtype)) return elements[0];
    return compute(Op::add, dtype, {elements[0], constant(dtype, 0)});
  }

  /// The first position of the winner, counted in a narrow type.
  int32_t position(const Copies& elements, DType dtype, bool max) {
    const DType narrow = size_of(dtype) == 1 ? DType::u8 : DType::i32;
    int32_t best = elements[0], index = constant(narrow, 0);
    for (size_t i = 1; i < elements.size(); ++i) {
      const int32_t wins = better(elements[i], best, dtype, max);
      index = compute(Op::where, narrow, {wins, constant(narrow, i), index});
      if (i + 1 < elements.size()) best = compute(Op::where, dtype, {wins, elements[i], best});
    }
    return compute(kConversion, DType::i64, {index});
  }

  /// True where x takes the place of another value. The first NaN stays, and so does the first of equal values.
  int32_t better(int32_t x, int32_t than, DType dtype, bool max) {
    const auto logical = [&](Op op, std::initializer_list<int32_t> args) { return compute(op, DType::boolean, args); };
    if (!is_floating(dtype)) return logical(max ? Op::greater : Op::less, {x, than});
    const int32_t stays = logical(max ? Op::less_equal : Op::greater_equal, {x, than});
    const int32_t number = logical(Op::equal, {than, than});
    return logical(Op::logical_and, {logical(Op::logical_not, {stays}), number});
  }

  KernelDraft& draft_;
  const int axis_;
  const int64_t n_;
  const bool reduces_;
  const bool becomes_loop_;
  const bool along_lanes_;  // of a reduction
  const std::vector<Instr> old_body_;
  const std::vector<AccessMap> old_accesses_;
  const std::vector<Affine> old_indices_;

  std::vector<Copies> copies_;   // per old instruction
  std::vector<Store> stores_;    // of a loop
  std::vector<Loaded> loaded_;
};

}  // namespace

std::optional<Op> joining_op(ReduceKind kind) {
  switch (kind) {
    case ReduceKind::sum: return Op::add;
    case ReduceKind::prod: return Op::mul;
    case ReduceKind::max: return Op::max;
    case ReduceKind::min: return Op::min;
    case ReduceKind::any: return Op::logical_or;
    case ReduceKind::all: return Op::logical_and;
    case ReduceKind::argmax:
    case ReduceKind::argmin: break;
  }
  return std::nullopt;
}

int64_t unrolled_work(const KernelDraft& draft, int axis) {
  const int64_t n = draft.domain.extents[axis];
  const int folded = draft.domain.folded_axis();
  const bool becomes_loop = axis == folded || folded < 0;
  std::vector<bool> varies;
  std::vector<Instr> seen;  // with the arguments that are left; what a later stage repeats is there already
  std::vector<int32_t> same_as;
  int64_t count = 0;
  for (const Instr& instr : draft.program.body) {
    Instr made = instr;
    if (becomes_loop) {
      made.stage = 0;
      made.per_row = false;
      for (int32_t& arg : made.args) arg = same_as[arg];
    }
    const auto known = std::find(seen.begin(), seen.end(), made);
    const bool repeats = becomes_loop && known != seen.end();
    same_as.push_back(static_cast<int32_t>(repeats ? known - seen.begin() : seen.size()));
    seen.push_back(std::move(made));
    bool each = false;
    const bool touches = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
    if (touches) each = draft.accesses[instr.slot].address.coef[axis] != 0;
    if (instr.kind == InstrKind::index) each = draft.indices[instr.slot].coef[axis] != 0;
    if (instr.kind != InstrKind::store) {
      for (int32_t arg : instr.args) each = each || varies[arg];
    }
    if (!repeats) count += (each ? n : 1) * std::max(1, cost_of(instr));
    varies.push_back(each && !(instr.kind == InstrKind::reduce && axis == folded));
  }
  return count;
}

void unroll_axis(KernelDraft& draft, int axis) { Unroller(draft, axis).run(); }

}  // namespace etch::schedule
