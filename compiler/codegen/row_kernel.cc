// Row kernels: reductions along the last axis. A row runs stage after stage; values per row are scalars.
#include <llvm/Support/MathExtras.h>

#include <algorithm>
#include <optional>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/row_group.h"
#include "compiler/codegen/row_point.h"

namespace etch::codegen {
namespace {

/// Lanes of the vectors in which the rest of a row goes where masks would be dear.
constexpr int kLanesOfPieces = 8;

/// Registers in which a state of an ordered reduction stands at most.
constexpr int kTurningRegisters = 4;

/// The states of some reducers.
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
      : k_(program, options, module, name),
        b_(k_.b),
        program_(program),
        levels_(levels_of(program)),
        group_(k_, levels_, rows_of_group()) {}

  llvm::Function* emit() {
    std::vector<llvm::Value*> of_kernel(program_.body.size());
    const Origin whole = k_.origin();
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

  /// Where a stage computes for long, what a processor holds at a time of its dear ops and of the folds before and behind them is
  /// more than four rows have. Rows that wait for memory gain nothing by it.
  int rows_of_group() const {
    constexpr int kFew = 4, kMany = 8;
    return is_dear() && lanes_of(program_, k_.target) >= kMany ? kMany : kFew;
  }

  /// Runs the rows from .. to in groups: each stage for all rows of a group before the next stage. Alone, a row would take
  /// the latency of its reductions and of its dearest ops, one behind the other; here those of several rows overlap.
  void emit_groups(const Origin& origin, llvm::Value* from, llvm::Value* to,
                   const std::vector<llvm::Value*>& of_kernel) {
    k_.loop(from, to, k_.i64(group_.rows()), {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* last = smin(b_.CreateAdd(first, k_.i64(group_.rows())), to);
      group_.begin(of_kernel);
      for (int stage = 0; stage <= last_stage(); ++stage) {
        k_.loop(first, last, k_.i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
          std::vector<llvm::Value*> values = group_.begin_row(stage, b_.CreateSub(row, first));
          emit_stage(stage, move_to_row(origin, row, stage), k_.extent(program_.rank() - 1), values);
          group_.end_row(stage, values);
          return Values{};
        });
        group_.end_stage(stage);
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

  /// Emits the chosen instructions for the one element at the origin.
  void emit_scalars(const Origin& origin, std::vector<llvm::Value*>& values, llvm::function_ref<bool(int)> chosen) {
    const Cursor at = k_.element(origin);
    for (size_t i = 0; i < values.size(); ++i) {
      if (chosen(i)) k_.emit(i, at, values);
    }
  }

  void emit_stage(int stage, const Origin& origin, llvm::Value* n, std::vector<llvm::Value*>& values) {
    elements_.clear();
    reducers_.clear();
    memory_.clear();
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
    choose_width();
    point_ = program_.has(Role::block) ? std::nullopt : find_row_point(k_, levels_, elements_, origin, n, values);
    for (const Reducer& r : reducers_) memory_.push_back(in_memory(r) ? state_memory(r, lanes_of_tree(r)) : Memories{});
    States states = reduce_row(origin, n, values);
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (waits(reducers_[r])) continue;
      values[reducers_[r].instr()] = reducers_[r].finish(states[r], n);
    }
  }

  /// The reducers' states, one lane each, after all elements of the row.
  States reduce_row(const Origin& origin, llvm::Value* n, const std::vector<llvm::Value*>& values) {
    bool ordered = std::any_of(reducers_.begin(), reducers_.end(), [](const Reducer& r) { return r.ordered(); });
    if (!ordered || program_.has(Role::block) || program_.groups_rows) {
      States states = run(k_.i64(0), n, initial_states(), origin, values);
      return fold_others(fold_ordered(std::move(states)));
    }
    // The result of the blocks so far stands in for the ordered states; the other states just go on.
    States totals = initial_states();
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (reducers_[r].ordered()) totals[r] = initial_of(reducers_[r], 1);
    }
    Values sums = k_.loop(k_.i64(0), n, k_.i64(program_.blocks.row), flatten(totals), true,
                          [&](llvm::Value* start, llvm::ArrayRef<llvm::Value*> carried) {
      llvm::Value* stop = smin(b_.CreateAdd(start, k_.i64(program_.blocks.row)), n);
      States before = unflatten(carried, totals);
      States states = initial_states();
      for (size_t r = 0; r < reducers_.size(); ++r) {
        if (!reducers_[r].ordered()) states[r] = before[r];
      }
      states = fold_ordered(run(start, stop, states, origin, values));
      for (size_t r = 0; r < reducers_.size(); ++r) {
        if (reducers_[r].ordered()) states[r] = {reducers_[r].combine(before[r][0], states[r][0])};
      }
      return flatten(states);
    });
    return fold_others(unflatten(sums, totals));
  }

  /// Cheap stages keep all virtual lanes of a reduction in one wide vector, which LLVM splits into registers: unrolled
  /// at no cost in IR. The others, and those that store (LLVM would do so in descending order), keep the lanes of ordered
  /// reductions in the frame.
  void choose_width() {
    int width = lanes_of(program_, k_.target);
    if (goes_by_lane(program_, k_.target)) width = std::min(width, kUnrolledLanes);
    narrow_ = lanes_to_shuffle(program_, k_.target, width);
    work_ = work_of(program_, k_.target, [&](int i) { return std::binary_search(elements_.begin(), elements_.end(), i); });
    int64_t most = 0;
    for (const Reducer& r : reducers_) {
      if (r.ordered()) most = most ? std::min(most, lanes_of_tree(r)) : lanes_of_tree(r);
    }
    // Where no order is given: a few accumulators hide the latency of a step, and are fast to fold and to compile.
    if (most == 0 && !reducers_.empty()) most = lanes_of_any_order();
    bool stores = std::any_of(elements_.begin(), elements_.end(),
                              [&](int i) { return program_.body[i].kind == InstrKind::store; });
    const bool spreads = shuffles(program_);
    width_ = work_ < kCheapWork && !stores && !spreads && most > narrow_ ? static_cast<int>(most) : narrow_;
  }

  /// Lanes of reductions that are given no order. Those that watch for NaNs wait longer for a step than it takes, but short rows would
  /// wait for their fold.
  int64_t lanes_of_any_order() const {
    const bool watch = std::ranges::all_of(reducers_, [](const Reducer& r) { return r.can_watch(); });
    return watch && !program_.groups_rows ? 4 * narrow_ : std::min(4 * narrow_, 32);
  }

  // ---- States

  /// Where the lanes of a state wait, one vector for each of its parts.
  using Memories = llvm::SmallVector<llvm::AllocaInst*, 2>;

  static int64_t lanes_of_tree(const Reducer& r) { return reduction_lanes(r.dtype()); }

  /// True if a vector holds a part only of the lanes of an ordered reduction.
  bool is_parted(const Reducer& r) const { return r.ordered() && width_ < lanes_of_tree(r); }

  /// True if its parts stand in registers, which change places at each vector: the next one is added to the first, and that becomes
  /// the last. Halves fold to the same value whichever comes first.
  bool turns(const Reducer& r) const {
    return is_parted(r) && width_ == narrow_ && k_.target.masked_ops && lanes_of_tree(r) <= kTurningRegisters * width_;
  }

  bool in_memory(const Reducer& r) const { return is_parted(r) && !turns(r); }

  /// True if rows of a group are folded together: those that are busy computing gain the shuffles, others would wait for the fold.
  bool waits(const Reducer& r) const { return program_.groups_rows && is_dear() && group_.can_wait(r, narrow_); }

  /// True if a stage computes for long.
  bool is_dear() const {
    for (int stage = 0; stage <= last_stage(); ++stage) {
      const auto is_of_stage = [&](int i) { return levels_[i] == Level::element && program_.body[i].stage == stage; };
      if (work_of(program_, k_.target, is_of_stage) >= kCheapWork) return true;
    }
    return false;
  }

  /// True if it stands in several registers, which watch for NaNs while full vectors are taken in.
  bool watches(const Reducer& r) const { return r.can_watch() && width_ > narrow_; }

  States watch(States states) const {
    for (size_t r = 0; r < states.size(); ++r) {
      if (watches(reducers_[r])) states[r] = reducers_[r].watch(states[r][0], narrow_);
    }
    return states;
  }

  States unwatch(States states) const {
    for (size_t r = 0; r < states.size(); ++r) {
      if (watches(reducers_[r])) states[r] = {reducers_[r].unwatch(states[r])};
    }
    return states;
  }

  Memories state_memory(const Reducer& r, int64_t lanes) {
    Memories memories;
    for (llvm::Value* state : r.initial(static_cast<int>(lanes))) {
      memories.push_back(k_.frame(in_bytes(state)->getType(), llvm::Align(64)));
    }
    return memories;
  }

  /// Flags wait as bytes.
  llvm::Value* in_bytes(llvm::Value* state) {
    llvm::Type* type = state->getType();
    return type->getScalarSizeInBits() == 1 ? b_.CreateZExt(state, type->getWithNewType(b_.getInt8Ty())) : state;
  }

  llvm::Value* from_bytes(llvm::Value* state, const Reducer& r) {
    return r.dtype() == DType::boolean ? b_.CreateIsNotNull(state) : state;
  }

  void store_state(llvm::ArrayRef<llvm::Value*> state, const Memories& memories) {
    for (size_t i = 0; i < state.size(); ++i) b_.CreateAlignedStore(in_bytes(state[i]), memories[i], llvm::Align(64));
  }

  Values load_state(const Reducer& r, const Memories& memories) {
    Values state;
    for (llvm::AllocaInst* memory : memories) {
      llvm::Value* lanes = b_.CreateAlignedLoad(memory->getAllocatedType(), memory, llvm::Align(64));
      state.push_back(from_bytes(lanes, r));
    }
    return state;
  }

  /// One step of `width` lanes of a state in memory, from lane `place` on.
  void step_in_memory(const Reducer& reducer, const Memories& memories, llvm::Value* place, int width, llvm::Value* x,
                      llvm::Value* position, llvm::Value* mask) {
    Values state, pointers;
    for (llvm::AllocaInst* memory : memories) {
      llvm::Type* element = memory->getAllocatedType()->getScalarType();
      llvm::Type* lanes = width == 1 ? element : llvm::FixedVectorType::get(element, width);
      pointers.push_back(b_.CreateInBoundsGEP(element, memory, place));
      llvm::Value* bytes = b_.CreateAlignedLoad(lanes, pointers.back(), llvm::Align(element->getScalarSizeInBits() / 8));
      state.push_back(from_bytes(bytes, reducer));
    }
    state = reducer.step(state, x, position, mask);
    for (size_t i = 0; i < state.size(); ++i) {
      llvm::Value* bytes = in_bytes(state[i]);
      b_.CreateAlignedStore(bytes, pointers[i], llvm::Align(bytes->getType()->getScalarSizeInBits() / 8));
    }
  }

  /// Where a stage begins.
  Values initial_of(const Reducer& r, int64_t width) {
    Values state = r.initial(static_cast<int>(width));
    if (point_) state[0] = point_->begin_sum(b_, state[0]);
    return state;
  }

  /// Those in registers: none of a reducer that has its state in memory.
  States initial_states() {
    States states;
    for (const Reducer& r : reducers_) {
      Values state = in_memory(r) ? Values{} : initial_of(r, width_);
      if (turns(r)) state.append(lanes_of_tree(r) / width_ - 1, state[0]);
      states.push_back(state);
    }
    return states;
  }

  // ---- Elements

  /// Runs the elements from .. to of the row.
  States run(llvm::Value* from, llvm::Value* to, const States& before, const Origin& origin,
             const std::vector<llvm::Value*>& values) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (!memory_[r].empty()) store_state(initial_of(reducers_[r], lanes_of_tree(reducers_[r])), memory_[r]);
    }
    if (point_) {
      const RowPoint here = point_->within(b_, from, to);
      from = here.from;
      to = here.to;
    }
    const bool in_pieces = rest_goes_in_pieces();
    const bool rest_in_memory = in_pieces || (width_ > narrow_ && !k_.target.masked_ops);
    llvm::Value* end = to;
    if (rest_in_memory) end = b_.CreateAdd(from, b_.CreateAnd(b_.CreateSub(to, from), k_.i64(-width_)));
    const std::vector<llvm::Value*> ready = ready_for(width_, values);
    const States initial = watch(before);
    const auto body = [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*> carried) {
      fetch_next_row(origin, i);
      States states = unflatten(carried, initial);
      emit_elements(k_.cursor(origin, i, width_, mask), i, from, states, ready);
      return flatten(states);
    };
    if (!rest_in_memory) {
      return unwatch(unflatten(k_.vector_loop(from, end, width_, flatten(initial), true, false, body), initial));
    }
    const Values looped = k_.loop(from, end, k_.i64(width_), flatten(initial), true,
                                  [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> carried) { return body(i, {}, carried); });
    const States result = unwatch(unflatten(looped, initial));
    return in_pieces ? run_in_pieces(end, to, result, origin, values) : run_rest(end, to, result, origin, values);
  }

  /// Asks for the elements of the next row, or group of rows, which the first stage will wait for otherwise: memory stands idle while a
  /// row that the cache holds is computed with, and the processor does not go ahead by itself from one short row to the next.
  void fetch_next_row(const Origin& origin, llvm::Value* i) {
    if (program_.rank() == 1 || !is_stage_that_fetches()) return;
    for (int n : elements_) {
      const Instr& instr = program_.body[n];
      const bool streams = instr.kind == InstrKind::load && instr.args.empty() &&
                           program_.accesses[instr.slot].stride == Stride::one && !program_.accesses[instr.slot].repeats;
      if (!streams) continue;
      if (is_dear()) {
        k_.fetch(next_rows(instr.slot, origin, i, k_.i64(1)));
      } else if (is_read_first(instr.slot)) {
        fetch_near(instr.slot, origin, i);
      }
    }
  }

  /// The element in the row that is so many rows ahead.
  llvm::Value* next_rows(int access, const Origin& origin, llvm::Value* i, llvm::Value* rows) {
    llvm::Value* ahead = b_.CreateMul(k_.access_stride(access, program_.rank() - 2), rows);
    return k_.advance(access, origin.accesses[access], b_.CreateAdd(i, ahead));
  }

  /// Asks for lines of the next rows to be in the first cache: unless rows are long, for it would lose them again.
  void fetch_near(int access, const Origin& origin, llvm::Value* i) {
    constexpr int64_t kLong = 64 << 10, kLongAlone = 4 << 10, kShortAlone = 512;
    const int64_t bytes = size_of(program_.accesses[access].dtype);
    if (program_.groups_rows) return k_.fetch_lines(next_rows(access, origin, i, k_.i64(group_.rows())), width_ * bytes);
    const bool is_alone = last_stage_of_elements() == 0;
    const auto is_within = [&](int64_t limit) { return b_.CreateICmpSLE(k_.extent(program_.rank() - 1), k_.i64(limit / bytes)); };
    k_.if_then(is_within(is_alone ? kLongAlone : kLong), [&] {
      llvm::Value* rows = is_alone ? b_.CreateSelect(is_within(kShortAlone), k_.i64(8), k_.i64(2)) : k_.i64(1);
      k_.fetch_lines(next_rows(access, origin, i, rows), width_ * bytes);
    });
  }

  /// The second one, if it computes for long, else the last one, in which little is left to be read of this row.
  bool is_stage_that_fetches() const {
    const int stage = program_.body[elements_[0]].stage;
    if (is_dear()) return stage == 1 && work_ >= kCheapWork && !program_.groups_rows;
    return stage == last_stage_of_elements();
  }

  int last_stage_of_elements() const {
    int last = 0;
    for (size_t i = 0; i < program_.body.size(); ++i) {
      const bool loads = program_.body[i].kind == InstrKind::load && levels_[i] == Level::element;
      if (loads) last = std::max<int>(last, program_.body[i].stage);
    }
    return last;
  }

  /// True if the first stage reads it, too.
  bool is_read_first(int access) const {
    return std::ranges::any_of(program_.body, [&](const Instr& instr) {
      return instr.stage == 0 && instr.kind == InstrKind::load && instr.slot == access;
    });
  }

  /// True if vectors cannot leave out lanes, and the order of elements does not matter: a rest goes in short vectors then.
  bool rest_goes_in_pieces() const {
    return width_ > kLanesOfPieces && work_ < kCheapWork && !masks_all_accesses(program_, k_.target) &&
           std::ranges::none_of(reducers_, [](const Reducer& r) { return r.ordered() || r.has_position(); });
  }

  States run_in_pieces(llvm::Value* from, llvm::Value* to, const States& states, const Origin& origin,
                       const std::vector<llvm::Value*>& values) {
    std::vector<Memories> memory;
    for (size_t r = 0; r < reducers_.size(); ++r) {
      memory.push_back(state_memory(reducers_[r], width_));
      store_state(states[r], memory[r]);
    }
    const bool idempotent = std::ranges::all_of(reducers_, [](const Reducer& r) { return r.is_idempotent(); });
    llvm::Value* again = idempotent ? k_.stores_apart(program_.body[elements_[0]].stage) : nullptr;
    k_.narrowing_loops(from, to, kLanesOfPieces, again, [&](llvm::Value* i, int width) {
      std::vector<llvm::Value*> lanes = ready_for(width, values);
      size_t r = 0;
      k_.emit_all(elements_, k_.cursor(origin, i, width, {}), lanes, [&](int n) {
        llvm::Value* x = splat(b_, lanes[program_.body[n].args[0]], width);
        step_in_memory(reducers_[r], memory[r], k_.i64(0), width, x, nullptr, nullptr);
        ++r;
      });
    });
    States result;
    for (size_t r = 0; r < reducers_.size(); ++r) result.push_back(load_state(reducers_[r], memory[r]));
    return result;
  }

  /// The elements of the last, partly filled wide vector, in narrow ones. A wide mask would cost more than all else.
  States run_rest(llvm::Value* from, llvm::Value* to, const States& states, const Origin& origin,
                  const std::vector<llvm::Value*>& values) {
    std::vector<Memories> memory;
    for (size_t r = 0; r < reducers_.size(); ++r) {
      memory.push_back(memory_[r].empty() ? state_memory(reducers_[r], width_) : memory_[r]);
      if (memory_[r].empty()) store_state(states[r], memory[r]);
    }
    const std::vector<llvm::Value*> ready = ready_for(narrow_, values);
    llvm::Value* turn = turn_of(from, width_);
    k_.vector_loop(from, to, narrow_, {}, true, false,
                   [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
      std::vector<llvm::Value*> lanes = ready;
      size_t r = 0;
      k_.emit_all(elements_, k_.cursor(origin, i, narrow_, mask), lanes, [&](int n) {
        llvm::Value* x = splat(b_, lanes[program_.body[n].args[0]], narrow_);
        step_in_memory(reducers_[r], memory[r], b_.CreateSub(i, from), narrow_, x, turn, mask.lanes);
        ++r;
      });
      return Values{};
    });
    States result;
    for (size_t r = 0; r < reducers_.size(); ++r) {
      result.push_back(memory_[r].empty() ? load_state(reducers_[r], memory[r]) : Values{});
    }
    return result;
  }

  /// The values with those that instructions per element read as lanes.
  std::vector<llvm::Value*> ready_for(int width, std::vector<llvm::Value*> values) {
    for (int i : elements_) {
      if (takes_scalars(program_.body[i])) continue;
      for (int arg : program_.body[i].args) {
        if (values[arg]) values[arg] = splat(b_, values[arg], width);
      }
    }
    return values;
  }

  llvm::Value* turn_of(llvm::Value* i, int width) {
    return b_.CreateTrunc(b_.CreateLShr(i, llvm::Log2_32(width)), b_.getInt32Ty());
  }

  void emit_elements(const Cursor& at, llvm::Value* i, llvm::Value* from, States& states,
                     std::vector<llvm::Value*> values) {
    size_t r = 0;
    k_.emit_all(elements_, at, values, [&](int n) {
      const Reducer& reducer = reducers_[r];
      const Memories& memory = memory_[r];
      Values& state = states[r++];
      llvm::Value* x = splat(b_, values[program_.body[n].args[0]], width_);
      if (!memory.empty()) {
        llvm::Value* place = b_.CreateAnd(b_.CreateSub(i, from), k_.i64(lanes_of_tree(reducer) - 1));
        step_in_memory(reducer, memory, place, width_, x, nullptr, at.mask.lanes);
        return;
      }
      if (turns(reducer)) {
        state.push_back(reducer.step(state[0], x, nullptr, at.mask.lanes)[0]);
        state.erase(state.begin());
        return;
      }
      if (watches(reducer)) {
        state = reducer.step_watched(state, x, at.mask.lanes);
        return;
      }
      state = reducer.step(state, x, reducer.ordered() ? nullptr : turn_of(i, width_), at.mask.lanes);
    });
  }

  /// Folds the lanes of ordered reducers.
  States fold_ordered(States states) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (!reducers_[r].ordered()) continue;
      Values parts = memory_[r].empty() ? states[r] : load_state(reducers_[r], memory_[r]);
      for (; parts.size() > 1; parts.resize(parts.size() / 2)) {
        for (size_t i = 0; i < parts.size() / 2; ++i) parts[i] = reducers_[r].combine(parts[i], parts[i + parts.size() / 2]);
      }
      if (waits(reducers_[r])) {
        group_.wait(reducers_[r], parts[0], narrow_);
      } else {
        states[r] = {reducers_[r].fold_ordered(parts[0])};
      }
    }
    return states;
  }

  States fold_others(States states) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (reducers_[r].ordered()) continue;
      if (waits(reducers_[r])) {
        group_.wait(reducers_[r], states[r][0], narrow_);
      } else {
        states[r] = reducers_[r].fold(states[r], width_);
      }
    }
    return states;
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  std::vector<Level> levels_;
  RowGroup group_;

  // Of the stage that is being emitted: instructions per element with the reductions, which one element it takes, if it takes one, the
  // reducers and where their states wait, if not in registers, work per element, lanes of a vector, and of one that fits into a register.
  std::vector<int> elements_;
  std::optional<RowPoint> point_;
  std::vector<Reducer> reducers_;
  std::vector<Memories> memory_;
  int work_ = 0;
  int width_ = 1, narrow_ = 1;
};

}  // namespace

llvm::Function* emit_row_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                const std::string& name) {
  return RowKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
