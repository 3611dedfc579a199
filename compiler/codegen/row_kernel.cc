// Row kernels: reductions along the last axis. A row runs stage after stage; values per row are scalars.
#include <algorithm>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/reducer.h"

namespace etch::codegen {
namespace {

/// Rows of a group: more gain no more.
constexpr int kRows = 4;

/// The states of some reducers. An ordered one has an accumulator for each group of lanes, in turn.
using States = std::vector<Values>;

Values flatten(const States& states) {
  Values flat;
  for (const Values& state : states) flat.append(state);
  return flat;
}

/// Values that follow each other like those of `shape`, taken apart again.
States unflatten(llvm::ArrayRef<llvm::Value*> flat, const States& shape) {
  States states;
  for (const Values& state : shape) {
    states.emplace_back(flat.take_front(state.size()));
    flat = flat.drop_front(state.size());
  }
  return states;
}

class RowKernel {
 public:
  RowKernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : k_(program, options, module, name), b_(k_.b), program_(program), levels_(levels_of(program)) {}

  llvm::Function* emit() {
    std::vector<llvm::Value*> of_kernel(program_.body.size());
    Origin whole;
    for (size_t a = 0; a < program_.accesses.size(); ++a) whole.accesses.push_back(k_.origin(a));
    for (int i = 0; i < program_.num_indices; ++i) whole.indices.push_back(k_.index_origin(i));
    emit_scalars(whole, of_kernel, [&](int i) { return levels_[i] == Level::kernel; });
    const int outer = program_.rank() - 1;
    if (outer == 0) {
      for (int stage = 0; stage <= last_stage(); ++stage) emit_stage(stage, whole, k_.extent(0), of_kernel);
      return k_.finish();
    }
    k_.walk_segments(outer - 1, outer - 1, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
      if (program_.groups_rows) return emit_groups(origin, from, to, of_kernel);
      k_.loop(from, to, k_.i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
        const Origin at = k_.move(origin, outer - 1, row);
        std::vector<llvm::Value*> values = of_kernel;
        for (int stage = 0; stage <= last_stage(); ++stage) emit_stage(stage, at, length_of_row(at), values);
        return Values{};
      });
    });
    return k_.finish();
  }

 private:
  llvm::Value* smin(llvm::Value* a, llvm::Value* b) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b); }

  int last_stage() const { return program_.body.back().stage; }

  llvm::Value* length_of_row(const Origin& origin) {
    llvm::Value* n = k_.extent(program_.rank() - 1);
    if (!program_.has(Role::block)) return n;
    llvm::Value* start = b_.CreateMul(origin.last, k_.i64(program_.blocks.row));
    return smin(b_.CreateSub(k_.size(k_.layout.total()), start), k_.i64(program_.blocks.row));
  }

  /// Runs the rows from .. to in groups: each stage for all rows of a group before the next stage. Alone, a row would take
  /// the latency of its reductions and of its dearest ops, one behind the other; here those of several rows overlap.
  /// Values per row that later stages read stand in the frame.
  void emit_groups(const Origin& origin, llvm::Value* from, llvm::Value* to,
                   const std::vector<llvm::Value*>& of_kernel) {
    const std::vector<int> last_uses = last_uses_of_rows();
    std::vector<llvm::AllocaInst*> kept(program_.body.size());
    k_.loop(from, to, k_.i64(kRows), {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* last = smin(b_.CreateAdd(first, k_.i64(kRows)), to);
      for (int stage = 0; stage <= last_stage(); ++stage) {
        k_.loop(first, last, k_.i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
          llvm::Value* place = b_.CreateSub(row, first);
          std::vector<llvm::Value*> values = of_kernel;
          for (size_t i = 0; i < kept.size(); ++i) {
            if (!kept[i] || last_uses[i] < stage) continue;
            llvm::Type* type = kept[i]->getAllocatedType()->getArrayElementType();
            values[i] = b_.CreateLoad(type, b_.CreateInBoundsGEP(type, kept[i], place));
          }
          emit_stage(stage, move_to_row(origin, row, stage), k_.extent(program_.rank() - 1), values);
          for (size_t i = 0; i < kept.size(); ++i) {
            if (program_.body[i].stage != stage || last_uses[i] <= stage) continue;
            llvm::Type* type = values[i]->getType();
            kept[i] = k_.frame(llvm::ArrayType::get(type, kRows), llvm::Align(8));
            b_.CreateStore(values[i], b_.CreateInBoundsGEP(type, kept[i], place));
          }
          return Values{};
        });
      }
      return Values{};
    });
  }

  /// The origin of a row, for what a stage reads and writes; the other accesses stay.
  Origin move_to_row(const Origin& origin, llvm::Value* row, int stage) {
    std::vector<bool> used(program_.accesses.size());
    for (const Instr& instr : program_.body) {
      const bool touches = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
      if (touches && instr.stage == stage) used[instr.slot] = true;
    }
    return k_.move(origin, program_.rank() - 2, row, [&](int access) { return used[access]; });
  }

  /// For each value per row the last stage that reads it; -1 for all others.
  std::vector<int> last_uses_of_rows() const {
    std::vector<int> last(program_.body.size(), -1);
    for (const Instr& instr : program_.body) {
      for (int arg : instr.args) {
        if (levels_[arg] == Level::row) last[arg] = std::max<int>(last[arg], instr.stage);
      }
    }
    return last;
  }

  /// Emits the chosen instructions for the one element at the origin.
  void emit_scalars(const Origin& origin, std::vector<llvm::Value*>& values, llvm::function_ref<bool(int)> chosen) {
    Cursor at;
    for (llvm::Value* pointer : origin.accesses) at.accesses.push_back({pointer, Stride::zero, nullptr});
    for (llvm::Value* index : origin.indices) at.indices.push_back({index, Stride::zero, nullptr});
    for (size_t i = 0; i < values.size(); ++i) {
      if (chosen(i)) k_.emit(i, at, values);
    }
  }

  void emit_stage(int stage, const Origin& origin, llvm::Value* n, std::vector<llvm::Value*>& values) {
    elements_.clear();
    reducers_.clear();
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].stage != stage) continue;
      bool reduces = program_.body[i].kind == InstrKind::reduce;
      if (reduces) reducers_.emplace_back(k_, i, 32);
      if (reduces || levels_[i] == Level::element) elements_.push_back(i);
    }
    emit_scalars(origin, values, [&](int i) {
      const Instr& instr = program_.body[i];
      return instr.stage == stage && levels_[i] == Level::row && instr.kind != InstrKind::reduce;
    });
    if (elements_.empty()) return;
    width_ = choose_width();
    std::vector<llvm::Value*> ready = values;
    for (int i : elements_) {
      for (int arg : program_.body[i].args) {
        if (ready[arg]) ready[arg] = splat(b_, ready[arg], width_);
      }
    }
    States states = reduce_row(origin, n, ready);
    for (size_t r = 0; r < reducers_.size(); ++r) {
      values[reducers_[r].instr()] = reducers_[r].finish(states[r], n);
    }
  }

  /// The reducers' states, one lane each, after all elements of the row.
  States reduce_row(const Origin& origin, llvm::Value* n, const std::vector<llvm::Value*>& ready) {
    bool ordered = std::any_of(reducers_.begin(), reducers_.end(), [](const Reducer& r) { return r.ordered(); });
    if (!ordered || program_.has(Role::block) || program_.groups_rows) {
      States states = run(k_.i64(0), n, initial_states(), origin, ready);
      return fold_others(fold_ordered(std::move(states), n));
    }
    // The result of the blocks so far stands in for the ordered states; the other states just go on.
    States totals = initial_states();
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (reducers_[r].ordered()) totals[r] = reducers_[r].initial(1);
    }
    Values sums = k_.loop(k_.i64(0), n, k_.i64(program_.blocks.row), flatten(totals), true,
                          [&](llvm::Value* start, llvm::ArrayRef<llvm::Value*> carried) {
      llvm::Value* stop = smin(b_.CreateAdd(start, k_.i64(program_.blocks.row)), n);
      States before = unflatten(carried, totals);
      States states = initial_states();
      for (size_t r = 0; r < reducers_.size(); ++r) {
        if (!reducers_[r].ordered()) states[r] = before[r];
      }
      states = fold_ordered(run(start, stop, states, origin, ready), b_.CreateSub(stop, start));
      for (size_t r = 0; r < reducers_.size(); ++r) {
        if (reducers_[r].ordered()) states[r] = {reducers_[r].combine(before[r][0], states[r][0])};
      }
      return flatten(states);
    });
    return fold_others(unflatten(sums, totals));
  }

  /// Cheap stages keep all virtual lanes of a reduction in one wide vector, which LLVM splits into registers: unrolled
  /// at no cost in IR. The others, and those that store (LLVM would do so in descending order), keep the lanes in
  /// accumulators that take turns.
  int choose_width() {
    int width = lanes_of(program_, k_.target);
    if (goes_by_lane(program_, k_.target)) width = std::min(width, kUnrolledLanes);
    width = lanes_to_shuffle(program_, k_.target, width);
    work_ = work_of(program_, k_.target, [&](int i) { return std::binary_search(elements_.begin(), elements_.end(), i); });
    int64_t most = 0;
    for (const Reducer& r : reducers_) {
      if (r.ordered()) most = most ? std::min(most, reduction_lanes(r.dtype())) : reduction_lanes(r.dtype());
    }
    // Where no order is given: a few accumulators hide the latency of a step, and are fast to fold and to compile.
    if (most == 0 && !reducers_.empty()) most = std::min(4 * width, 32);
    bool stores = std::any_of(elements_.begin(), elements_.end(),
                              [&](int i) { return program_.body[i].kind == InstrKind::store; });
    const bool spreads = shuffles(program_);
    return work_ < kCheapWork && !stores && !spreads && most > width ? static_cast<int>(most) : width;
  }

  States initial_states() {
    States states;
    for (const Reducer& r : reducers_) {
      int64_t turns = r.ordered() ? reduction_lanes(r.dtype()) / width_ : 1;
      Values state = r.initial(width_);
      for (int64_t t = 1; t < turns; ++t) state.push_back(state[0]);
      states.push_back(state);
    }
    return states;
  }

  /// Runs the elements from .. to of the row.
  States run(llvm::Value* from, llvm::Value* to, const States& initial, const Origin& origin,
             const std::vector<llvm::Value*>& ready) {
    bool shared_body = k_.target.masked_ops && work_ >= kCheapWork && !goes_by_lane(program_, k_.target);
    Values result = k_.vector_loop(
        from, to, width_, flatten(initial), true, shared_body,
        [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*> carried) {
          States states = unflatten(carried, initial);
          emit_elements(k_.cursor(origin, i, width_, mask), i, states, ready);
          return flatten(states);
        });
    return unflatten(result, initial);
  }

  void emit_elements(const Cursor& at, llvm::Value* i, States& states, std::vector<llvm::Value*> values) {
    size_t r = 0;
    k_.emit_all(elements_, at, values, [&](int n) {
      const Reducer& reducer = reducers_[r];
      Values& state = states[r++];
      llvm::Value* x = splat(b_, values[program_.body[n].args[0]], width_);
      if (!reducer.ordered()) {
        llvm::Value* turn = b_.CreateTrunc(b_.CreateLShr(i, llvm::Log2_32(width_)), b_.getInt32Ty());
        state = reducer.step(state, x, turn, at.mask.lanes);
        return;
      }
      llvm::Value* next = reducer.step({state[0]}, x, nullptr, at.mask.lanes)[0];
      state.erase(state.begin());
      state.push_back(next);
    });
  }

  /// Folds the lanes of ordered reducers after `count` elements.
  States fold_ordered(States states, llvm::Value* count) {
    int turns = 1;
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (reducers_[r].ordered()) turns = std::max(turns, static_cast<int>(states[r].size()));
    }
    if (turns > 1) states = finish_turns(states, count, turns);
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (!reducers_[r].ordered()) continue;
      for (size_t half = states[r].size() / 2; half > 0; half /= 2) {
        for (size_t t = 0; t < half; ++t) states[r][t] = reducers_[r].combine(states[r][t], states[r][t + half]);
      }
      states[r] = {reducers_[r].fold_ordered(states[r][0])};
    }
    return states;
  }

  /// Lets the accumulators take turns until the one of lane 0 is in front again.
  States finish_turns(const States& states, llvm::Value* count, int turns) {
    llvm::Value* vectors = b_.CreateLShr(b_.CreateAdd(count, k_.i64(width_ - 1)), llvm::Log2_32(width_));
    llvm::Value* done = b_.CreateAnd(vectors, k_.i64(turns - 1));
    Values result = k_.loop(done, k_.i64(turns), k_.i64(1), flatten(states), false,
                            [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> carried) {
      States next = unflatten(carried, states);
      for (size_t r = 0; r < reducers_.size(); ++r) {
        if (reducers_[r].ordered()) std::rotate(next[r].begin(), next[r].begin() + 1, next[r].end());
      }
      return flatten(next);
    });
    return unflatten(result, states);
  }

  States fold_others(States states) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (!reducers_[r].ordered()) states[r] = reducers_[r].fold(states[r], width_);
    }
    return states;
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  std::vector<Level> levels_;

  // Of the stage that is being emitted: instructions per element with the reductions, the reducers, lanes of a
  // vector.
  std::vector<int> elements_;
  std::vector<Reducer> reducers_;
  int work_ = 0;  // per element
  int width_ = 1;
};

}  // namespace

llvm::Function* emit_row_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                const std::string& name) {
  return RowKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
