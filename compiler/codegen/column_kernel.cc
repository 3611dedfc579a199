// Column kernels: reductions along the last axis but one. Values per row are vectors along the last axis.
//
// The last axis is walked in panels. A panel's accumulators stand in scratch memory that the first-level cache holds,
// while the kernel runs down the rows: memory is read in long pieces, and the code is as small as that of one vector.
// Where rows bring scalars only, there are no pieces to read: accumulators stay in registers all the way down.
#include <algorithm>
#include <set>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/reducer.h"

namespace etch::codegen {
namespace {

constexpr int64_t kPanelBytes = 32 << 10;    // of the panels of all values that wait in scratch memory
constexpr int64_t kMinPanel = 64;
constexpr int64_t kPanelElements = 1 << 16;  // rows times columns: several stages read them again, from the cache
constexpr int64_t kNarrowPanel = 256;        // pieces of a row that are shorter take longer to read than all of it again
constexpr int kLanesToShuffle = 32;          // more take long to compile, as several rows do
constexpr int kDear = 16;                    // work per element: single elements of a rest would cost more than its way through the frame
constexpr int kRowsAtOnce = 4;               // of a cheap body: its accumulators are loaded and stored once for them
constexpr int64_t kFarElements = 4 << 20;    // more of them wait for memory

/// Lanes that wait in scratch memory, one for each column of a panel.
struct Row {
  llvm::Value* memory = nullptr;
  llvm::Type* element = nullptr;  // i8 for bool
};

/// The list is ascending.
bool contains(const std::vector<int>& list, int i) { return std::binary_search(list.begin(), list.end(), i); }

/// True if many accesses are of small strides: several rows at once, or wide vectors, would take long to compile.
bool shuffles_much(const KernelProgram& program) {
  return std::count_if(program.accesses.begin(), program.accesses.end(),
                       [](const Access& access) { return small_step(access.stride) > 0; }) > 2;
}

class ColumnKernel {
 public:
  ColumnKernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
               const std::string& name)
      : k_(program, options, module, name),
        b_(k_.b),
        program_(program),
        levels_(levels_of(program)),
        widest_(std::min(lanes_of(program, options.target), shuffles_much(program) ? kLanesToShuffle : 64)),
        width_(widest_),
        axis_(program.rank() - 2),
        stages_(program.body.back().stage + 1),
        masked_(masks_all_accesses(program, options.target) || work_of(program, options.target, [](int) { return true; }) >= kDear),
        kept_(program.body.size()) {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].kind == InstrKind::reduce) reducers_.emplace_back(k_, i, position_bits(i));
    }
    plan_scratch();
  }

  llvm::Function* emit() {
    std::vector<llvm::Value*> of_kernel(program_.body.size());
    emit_scalars(k_.origin(), of_kernel, [&](int i) { return levels_[i] == Level::kernel; });
    llvm::Value* panel = choose_panel();
    is_far_ = reads_far();
    const int outer = program_.rank() - 2, lanes = program_.rank() - 1;
    k_.walk_segments(outer, lanes, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
      llvm::Value* rows = k_.extent(axis_);
      if (program_.has(Role::block)) {
        llvm::Value* start = b_.CreateMul(origin.last, k_.i64(program_.blocks.column));
        rows = smin(b_.CreateSub(k_.size(k_.layout.total()), start), k_.i64(program_.blocks.column));
      }
      k_.loop(from, to, panel, {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
        first_ = first;
        last_ = smin(b_.CreateAdd(first, panel), to);
        std::vector<llvm::Value*> values = of_kernel;
        for (int stage = 0; stage < stages_; ++stage) emit_stage(stage, origin, rows, values);
        return Values{};
      });
    });
    return k_.finish();
  }

 private:
  llvm::Value* smin(llvm::Value* a, llvm::Value* b) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b); }

  /// True if row loops compute the instruction, false if it is computed once per column.
  bool in_rows(int i) const { return !program_.body[i].per_row; }

  /// Finds the values that wait in scratch memory, and how many columns of them the cache has room for.
  void plan_scratch() {
    std::vector<DType> waiting;
    int64_t bytes = 0;
    for (size_t i = 0; i < program_.body.size(); ++i) {
      for (int arg : program_.body[i].args) {
        const Instr& producer = program_.body[arg];
        bool same_loop = producer.kind != InstrKind::reduce && producer.per_row == program_.body[i].per_row &&
                         producer.stage == program_.body[i].stage;
        if (levels_[arg] != Level::element || same_loop) continue;
        if (!waits_.contains(arg)) bytes += size_of(producer.dtype);
        waits_[arg] = producer.dtype;
      }
    }
    // A reduction has a state, perhaps a position, and a total over the blocks.
    for (const Reducer& r : reducers_) bytes += size_of(r.dtype()) * (r.ordered() ? 2 : 1) + (r.has_position() ? 16 : 0);
    columns_ = program_.blocks.panel;
    while (columns_ > kMinPanel && columns_ * bytes > kPanelBytes) columns_ /= 2;
    for (auto [i, dtype] : waits_) kept_[i] = new_row(memory_type(k_.context, dtype));
    for (const Reducer& r : reducers_) {
      std::vector<Row> rows;
      for (llvm::Value* value : r.initial(1)) rows.push_back(new_row(stored_type(value->getType())));
      states_.push_back(rows);
      const bool has_total = r.has_position() || (r.ordered() && !one_block());
      totals_.push_back(has_total ? new_row(r.has_position() ? b_.getInt64Ty() : rows[0].element) : Row());
    }
  }

  /// Positions count the rows of a block from 1, in no more bits than they need: 0 says that none of them won.
  unsigned position_bits(int reduce) const {
    const int64_t bytes = size_of(operand_dtype(program_, program_.body[reduce]));
    return bytes >= 4 || program_.blocks.column >= 1 << 16 ? 32 : 16;
  }

  llvm::Type* stored_type(llvm::Type* type) { return type->isIntegerTy(1) ? b_.getInt8Ty() : type; }

  Row new_row(llvm::Type* element) {
    return {k_.scratch(columns_ * element->getScalarSizeInBits() / 8), element};
  }

  llvm::Value* address(const Row& row, llvm::Value* column) {
    return b_.CreateInBoundsGEP(row.element, row.memory, b_.CreateSub(column, first_));
  }

  /// All lanes, also those past the panel: the row has room for them, and nobody reads them.
  llvm::Value* load(const Row& row, llvm::Value* column, bool is_bool) {
    llvm::Type* type = width_ == 1 ? row.element : llvm::FixedVectorType::get(row.element, width_);
    llvm::Value* value = b_.CreateAlignedLoad(type, address(row, column), llvm::Align(row_alignment(row)));
    return is_bool ? b_.CreateIsNotNull(value) : value;
  }

  void store(const Row& row, llvm::Value* column, llvm::Value* value) {
    value = splat(b_, value, width_);
    if (value->getType()->getScalarSizeInBits() == 1) {
      value = b_.CreateZExt(value, value->getType()->getWithNewType(row.element));
    }
    b_.CreateAlignedStore(value, address(row, column), llvm::Align(row_alignment(row)));
  }

  uint64_t row_alignment(const Row& row) const {
    return std::min<uint64_t>(64, width_ * row.element->getScalarSizeInBits() / 8);
  }

  bool one_block() const { return program_.has(Role::block) || program_.has(Role::results); }

  /// Columns a panel has on these sizes: fewer if several stages pass over many rows, if so the cache holds them.
  llvm::Value* choose_panel() {
    std::set<int> passes;
    for (const Instr& instr : program_.body) {
      if (!instr.per_row && (instr.kind == InstrKind::load || instr.kind == InstrKind::store))
        passes.insert(instr.stage);
    }
    if (passes.size() <= 1) return k_.i64(columns_);
    llvm::Value* rows = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, k_.extent(axis_), k_.i64(1));
    llvm::Value* fitting = b_.CreateAnd(b_.CreateUDiv(k_.i64(kPanelElements), rows), k_.i64(-kMinPanel));
    llvm::Value* narrow = b_.CreateICmpSLT(fitting, k_.i64(kNarrowPanel));
    return smin(b_.CreateSelect(narrow, k_.i64(columns_), fitting), k_.i64(columns_));
  }

  void emit_scalars(const Origin& origin, std::vector<llvm::Value*>& values, llvm::function_ref<bool(int)> chosen) {
    const Cursor at = k_.element(origin);
    for (size_t i = 0; i < values.size(); ++i) {
      if (chosen(i)) k_.emit(i, at, values);
    }
  }

  void emit_stage(int stage, const Origin& origin, llvm::Value* rows, std::vector<llvm::Value*>& values) {
    std::vector<int> once, rowwise;
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].stage != stage || levels_[i] == Level::kernel) continue;
      (in_rows(i) ? rowwise : once).push_back(i);
    }
    if (!once.empty()) {
      emit_scalars(origin, values, [&](int i) { return levels_[i] == Level::row && contains(once, i); });
      emit_columns(once, {origin}, {values}, nullptr);
    }
    if (rowwise.empty()) return;
    for_reducers(stage, [&](size_t r) {
      for_columns([&](llvm::Value* column, const Mask&) {
        Values state = reducers_[r].initial(width_);
        for (size_t s = 0; s < state.size(); ++s) store(states_[r][s], column, state[s]);
        if (totals_[r].memory) store(totals_[r], column, reducers_[r].has_position() ? k_.i64(0) : state[0]);
      }, true);
    });
    run_rows(stage, rowwise, origin, rows, values);
    for_reducers(stage, [&](size_t r) { finish(r, rows); });
  }

  void for_reducers(int stage, llvm::function_ref<void(size_t)> body) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (program_.body[reducers_[r].instr()].stage == stage) body(r);
    }
  }

  /// Runs over the columns of the panel, and past them where nothing leaves the scratch memory.
  void for_columns(llvm::function_ref<void(llvm::Value* column, const Mask& mask)> body, bool only_scratch = false) {
    auto run = [&](llvm::Value* column, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
      body(column, mask);
      return Values{};
    };
    if (masked_) {
      k_.vector_loop(first_, last_, width_, {}, false, k_.target.masked_ops, run);
    } else if (only_scratch) {
      k_.loop(first_, last_, k_.i64(width_), {}, false,
              [&](llvm::Value* column, llvm::ArrayRef<llvm::Value*> values) { return run(column, {}, values); });
    } else {
      k_.narrowing_loops(first_, last_, widest_, nullptr, [&](llvm::Value* column, int width) {
        width_ = width;
        body(column, {});
        width_ = widest_;
      });
    }
  }

  void run_rows(int stage, const std::vector<int>& rowwise, const Origin& origin, llvm::Value* rows,
                const std::vector<llvm::Value*>& values) {
    auto run_by = [&](llvm::Value* from, llvm::Value* to, int count) {
      k_.loop(from, to, k_.i64(count), {}, true, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
        std::vector<Origin> origins;
        std::vector<std::vector<llvm::Value*>> of_rows(count, values);
        for (int r = 0; r < count; ++r) {
          origins.push_back(k_.move(origin, axis_, b_.CreateAdd(row, k_.i64(r))));
          emit_scalars(origins[r], of_rows[r], [&](int i) { return levels_[i] == Level::row && contains(rowwise, i); });
        }
        emit_columns(rowwise, origins, of_rows, row);
        return Values{};
      });
    };
    const int work = work_of(program_, k_.target, [&](int i) { return contains(rowwise, i); });
    const bool several = work < kCheapWork && !shuffles_much(program_);
    const bool down = goes_down(rowwise);
    auto run = [&](llvm::Value* from, llvm::Value* to) {
      block_ = from;
      if (down) return run_down(stage, rowwise, origin, from, to, values, vectors_going_down(stage, work));
      if (!several) return run_by(from, to, 1);
      llvm::Value* rest = b_.CreateAnd(b_.CreateSub(to, from), k_.i64(kRowsAtOnce - 1));
      llvm::Value* even = b_.CreateSub(to, rest);
      run_by(from, even, kRowsAtOnce);
      run_by(even, to, 1);
    };
    bool blocks = false;
    for_reducers(stage, [&](size_t r) { blocks = blocks || totals_[r].memory; });
    if (!blocks) return run(k_.i64(0), rows);
    k_.loop(k_.i64(0), rows, k_.i64(program_.blocks.column), {}, true, [&](llvm::Value* start, llvm::ArrayRef<llvm::Value*>) {
      run(start, smin(b_.CreateAdd(start, k_.i64(program_.blocks.column)), rows));
      for_reducers(stage, [&](size_t r) {
        if (totals_[r].memory) for_columns([&](llvm::Value* column, const Mask&) { end_block(r, column, start); }, true);
      });
      return Values{};
    });
  }

  // ---- Rows of scalars: columns stay in registers all the way down, for no row has to be read or written along them

  /// True if lanes find all they need in values per column and in scalars of the row.
  bool goes_down(const std::vector<int>& rowwise) const {
    return std::ranges::all_of(rowwise, [&](int i) {
      const Instr& instr = program_.body[i];
      if (instr.kind == InstrKind::load) return levels_[i] != Level::element;
      return instr.kind == InstrKind::compute || instr.kind == InstrKind::reduce || instr.kind == InstrKind::param;
    });
  }

  /// So many vectors at a time: what is cheap waits for its accumulators otherwise.
  int vectors_going_down(int stage, int work) const {
    constexpr int kMostVectors = 4, kMostAccumulators = 8;
    int states = 0;
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (program_.body[reducers_[r].instr()].stage == stage) states += static_cast<int>(states_[r].size());
    }
    int vectors = std::min<int>(kMostVectors, kMinPanel / widest_);
    while (vectors > 1 && (vectors * states > kMostAccumulators || vectors * work > 2 * kCheapWork)) vectors /= 2;
    return vectors;
  }

  /// Runs the rows from .. to for some vectors of columns, then for the next ones.
  void run_down(int stage, const std::vector<int>& rowwise, const Origin& origin, llvm::Value* from, llvm::Value* to,
                const std::vector<llvm::Value*>& values, int vectors) {
    width_ = widest_ * vectors;
    k_.loop(first_, last_, k_.i64(width_), {}, false, [&](llvm::Value* column, llvm::ArrayRef<llvm::Value*>) {
      const std::vector<llvm::Value*> of_columns = values_of_columns(rowwise, values, column);
      std::vector<Values> states(reducers_.size());
      Values initial;
      for_reducers(stage, [&](size_t r) {
        states[r] = load_state(r, column);
        initial.append(states[r]);
      });
      const auto take = [&](llvm::ArrayRef<llvm::Value*> flat) {
        for (Values& state : states) {
          std::copy_n(flat.begin(), state.size(), state.begin());
          flat = flat.drop_front(state.size());
        }
      };
      take(k_.loop(from, to, k_.i64(1), initial, true, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*> carried) {
        take(carried);
        step_down(rowwise, k_.move(origin, axis_, row), of_columns, row, column, states);
        Values next;
        for (const Values& state : states) next.append(state);
        return next;
      }));
      for (size_t r = 0; r < states.size(); ++r) {
        for (size_t s = 0; s < states[r].size(); ++s) store(states_[r][s], column, states[r][s]);
      }
      return Values{};
    });
    width_ = widest_;
  }

  /// The values with those of the columns that instructions per row read, loaded, and those of the kernel in all lanes.
  std::vector<llvm::Value*> values_of_columns(const std::vector<int>& rowwise, std::vector<llvm::Value*> values,
                                              llvm::Value* column) {
    for (int i : rowwise) {
      for (int arg : program_.body[i].args) {
        if (contains(rowwise, arg)) continue;
        if (!values[arg]) values[arg] = load(kept_[arg], column, program_.body[arg].dtype == DType::boolean);
        if (levels_[i] == Level::element) values[arg] = splat(b_, values[arg], width_);
      }
    }
    return values;
  }

  void step_down(const std::vector<int>& rowwise, const Origin& origin, std::vector<llvm::Value*> values, llvm::Value* row,
                 llvm::Value* column, std::vector<Values>& states) {
    emit_scalars(origin, values, [&](int i) { return levels_[i] == Level::row && contains(rowwise, i); });
    Cursor at;
    at.width = width_;
    at.indices.assign(program_.indices.size(), {nullptr, Stride::zero});
    for (int i : rowwise) {
      if (program_.body[i].kind == InstrKind::reduce) {
        accumulate(i, column, row, values[program_.body[i].args[0]], states);
      } else {
        k_.emit(i, at, values);
      }
    }
  }

  /// Brings what the block that begins at row `start` came to into the total.
  void end_block(size_t r, llvm::Value* column, llvm::Value* start) {
    const Reducer& reducer = reducers_[r];
    llvm::Value* total = load(totals_[r], column, false);
    if (!reducer.has_position()) {
      store(totals_[r], column, reducer.combine(total, load(states_[r][0], column, false)));
      return store(states_[r][0], column, reducer.initial(width_)[0]);
    }
    llvm::Value* position = load(states_[r][1], column, false);
    llvm::Value* wide = b_.CreateZExt(position, total->getType());
    llvm::Value* row = b_.CreateAdd(wide, splat(b_, b_.CreateSub(start, k_.i64(1)), width_));
    store(totals_[r], column, b_.CreateSelect(b_.CreateIsNotNull(position), row, total));
    store(states_[r][1], column, llvm::Constant::getNullValue(position->getType()));
  }

  /// Emits instructions for all columns of the panel, one row after the other; values[r] holds what is known of
  /// origins[r]. `row` is the first row's index, null for what is computed once per column.
  void emit_columns(const std::vector<int>& instrs, const std::vector<Origin>& origins,
                    const std::vector<std::vector<llvm::Value*>>& values, llvm::Value* row) {
    std::vector<std::vector<llvm::Value*>> splats = values;
    for (auto& of_row : splats) {
      for (int i : instrs) {
        if (takes_scalars(program_.body[i])) continue;
        for (int arg : program_.body[i].args) {
          if (of_row[arg]) of_row[arg] = splat(b_, of_row[arg], widest_);
        }
      }
    }
    for_columns([&](llvm::Value* column, const Mask& mask) {
      emit_lanes(instrs, origins, width_ == widest_ ? splats : values, row, column, mask);
    });
  }

  /// The same for the lanes from a column on.
  void emit_lanes(const std::vector<int>& instrs, const std::vector<Origin>& origins,
                  const std::vector<std::vector<llvm::Value*>>& values, llvm::Value* row, llvm::Value* column,
                  const Mask& mask) {
    std::vector<Values> states(reducers_.size());
    std::vector<Cursor> at;
    for (const Origin& origin : origins) at.push_back(k_.cursor(origin, column, width_, mask));
    if (origins.size() > 1 && width_ == widest_) fetch_next_rows(instrs, at);
    std::vector<std::vector<llvm::Value*>> of_rows = load_all(instrs, at, values, mask);
    std::vector<int> stores;
    for (size_t r = 0; r < origins.size(); ++r) {
      std::vector<llvm::Value*>& lanes = of_rows[r];
      for (int i : instrs) {
        const Instr& instr = program_.body[i];
        for (int arg : instr.args) {
          if (!lanes[arg]) lanes[arg] = load(kept_[arg], column, program_.body[arg].dtype == DType::boolean);
        }
        if (instr.kind == InstrKind::reduce) {
          accumulate(i, column, b_.CreateAdd(row, k_.i64(r)), lanes[instr.args[0]], states);
        } else if (instr.kind == InstrKind::store) {
          if (r == 0) stores.push_back(i);
        } else {
          k_.emit(i, at[r], lanes);
          if (kept_[i].memory) store(kept_[i], column, lanes[i]);
        }
      }
    }
    if (!stores.empty()) {
      k_.branch_on_full(mask, [&](const Mask& here) {
        for (size_t r = 0; r < origins.size(); ++r) {
          at[r].mask = here;
          k_.store_all(stores, at[r], of_rows[r]);
        }
        return Values{};
      });
    }
    for (size_t n = 0; n < states.size(); ++n) {
      for (size_t s = 0; s < states[n].size(); ++s) store(states_[n][s], column, states[n][s]);
    }
  }

  /// Asks for the same lanes of the rows that come next, if the kernel reads far more than caches hold: rows side by side look
  /// like disorder to the processor.
  void fetch_next_rows(const std::vector<int>& instrs, const std::vector<Cursor>& at) {
    k_.if_then(is_far_, [&] { fetch_rows_behind(instrs, at); });
  }

  llvm::Value* reads_far() {
    llvm::Value* elements = k_.i64(1);
    for (int axis = 0; axis < program_.rank(); ++axis) elements = b_.CreateMul(elements, k_.extent(axis));
    return b_.CreateICmpSGT(elements, k_.i64(kFarElements));
  }

  void fetch_rows_behind(const std::vector<int>& instrs, const std::vector<Cursor>& at) {
    for (int i : instrs) {
      const Instr& instr = program_.body[i];
      if (instr.kind != InstrKind::load || !instr.args.empty()) continue;
      const Access& access = program_.accesses[instr.slot];
      if (access.stride != Stride::one || access.repeats) continue;
      llvm::Value* ahead = b_.CreateMul(k_.access_stride(instr.slot, axis_), k_.i64(static_cast<int64_t>(at.size())));
      for (const Cursor& row : at) k_.fetch(k_.advance(instr.slot, row.accesses[instr.slot].lane0, ahead));
    }
  }

  /// The values of each row with its loads, which stand under one branch for all rows.
  std::vector<std::vector<llvm::Value*>> load_all(const std::vector<int>& instrs, const std::vector<Cursor>& at,
                                                  std::vector<std::vector<llvm::Value*>> values, const Mask& mask) {
    std::vector<int> loads;
    for (int i : instrs) {
      bool loaded = program_.body[i].kind == InstrKind::load && program_.body[i].args.empty() && !values[0][i];
      if (loaded && program_.accesses[program_.body[i].slot].stride != Stride::zero) loads.push_back(i);
    }
    if (loads.empty()) return values;
    Values made = k_.branch_on_full(mask, [&](const Mask& here) {
      Values results;
      for (size_t r = 0; r < at.size(); ++r) {
        Cursor row = at[r];
        row.mask = here;
        std::vector<llvm::Value*> lanes = values[r];
        for (int i : loads) k_.emit(i, row, lanes);
        for (int i : loads) results.push_back(lanes[i]);
      }
      return results;
    });
    for (size_t n = 0; n < made.size(); ++n) values[n / loads.size()][loads[n % loads.size()]] = made[n];
    return values;
  }

  /// One step of a reduction. Lanes past the panel take part: what they hold is never read.
  void accumulate(int i, llvm::Value* column, llvm::Value* row, llvm::Value* x, std::vector<Values>& states) {
    for (size_t r = 0; r < reducers_.size(); ++r) {
      if (reducers_[r].instr() != i) continue;
      if (states[r].empty()) states[r] = load_state(r, column);
      llvm::Value* position = nullptr;
      if (reducers_[r].has_position()) {
        llvm::Type* bits = states[r][1]->getType()->getScalarType();
        position = b_.CreateTrunc(b_.CreateAdd(b_.CreateSub(row, block_), k_.i64(1)), bits);
      }
      states[r] = reducers_[r].step(states[r], splat(b_, x, width_), position, nullptr);
    }
  }

  Values load_state(size_t r, llvm::Value* column) {
    Values state = reducers_[r].initial(1);
    for (size_t s = 0; s < state.size(); ++s) {
      state[s] = load(states_[r][s], column, state[s]->getType()->isIntegerTy(1));
    }
    return state;
  }

  /// Turns the states of a panel into values, if anybody needs them.
  void finish(size_t r, llvm::Value* rows) {
    const Row& result = kept_[reducers_[r].instr()];
    if (!result.memory) return;
    for_columns([&](llvm::Value* column, const Mask&) {
      Values state = load_state(r, column);
      if (totals_[r].memory) state.back() = load(totals_[r], column, false);
      store(result, column, reducers_[r].finish(state, rows));
    }, true);
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  std::vector<Level> levels_;
  const int widest_;  // lanes of full vectors
  int width_;         // of the code that is emitted
  const int axis_;    // the reduced one
  const int stages_;
  const bool masked_;  // a rest of columns is a vector; else it is single elements
  std::vector<Reducer> reducers_;

  int64_t columns_ = program_.blocks.panel;
  std::map<int, DType> waits_;               // values that another loop of the kernel uses
  std::vector<Row> kept_;                    // per instruction: where such a value waits
  std::vector<std::vector<Row>> states_;     // per reducer
  std::vector<Row> totals_;                  // per reducer: of the blocks so far, if there are blocks
  llvm::Value* is_far_ = nullptr;
  llvm::Value* block_ = nullptr;             // the first row of the block
  llvm::Value* first_ = nullptr;             // columns of the panel
  llvm::Value* last_ = nullptr;
};

}  // namespace

llvm::Function* emit_column_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                   const std::string& name) {
  return ColumnKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
