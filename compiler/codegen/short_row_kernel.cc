// Short row kernels: reductions along the last axis, which is so short that the code knows its extent.
//
// Rows run in groups of as many as a vector has lanes, stage after stage. Elements are computed row by row, those of a row
// in one vector; what a reduction takes stands in scratch memory, and all rows of the group are folded at once, so that
// values per row are vectors across the rows.
#include <algorithm>
#include <bit>
#include <numeric>

#include "compiler/codegen/reducer.h"
#include "compiler/codegen/tile.h"

namespace etch::codegen {
namespace {

/// Rows of a group: fewer would wait for the fold, more take long to compile.
constexpr int kRows = 16;

/// A row folds alone until so many lanes are left. Fewer shuffles are left for all rows then; with 4 lanes short rows lose.
constexpr int kParts = 8;

class ShortRowKernel {
 public:
  ShortRowKernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                 const std::string& name)
      : k_(program, options, module, name),
        b_(k_.b),
        program_(program),
        levels_(levels_of(program)),
        length_(program.short_row),
        elements_(static_cast<int>(std::bit_ceil(static_cast<unsigned>(length_)))),
        parts_(std::min(elements_, kParts)),
        at_once_(std::max(1, std::min(lanes_of(program, options.target), kRows) / elements_)),
        row_axis_(program.rank() - 2),
        waiting_(program.body.size()),
        kept_(program.accesses.size()) {}

  llvm::Function* emit() {
    std::vector<llvm::Value*> of_kernel(program_.body.size());
    Cursor whole;
    for (size_t a = 0; a < program_.accesses.size(); ++a) whole.accesses.push_back({k_.origin(a), Stride::zero, nullptr});
    emit_chosen([&](int i) { return levels_[i] == Level::kernel; }, whole, of_kernel);
    k_.walk_segments(row_axis_, row_axis_, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
      k_.loop(from, to, k_.i64(kRows), {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
        emit_group(origin, first, to, of_kernel);
        return Values{};
      });
    });
    return k_.finish();
  }

 private:
  void emit_chosen(llvm::function_ref<bool(int)> chosen, const Cursor& at, std::vector<llvm::Value*>& values) {
    std::vector<int> instrs;
    for (int i = 0; i < static_cast<int>(values.size()); ++i) {
      if (chosen(i) && program_.body[i].kind != InstrKind::reduce) instrs.push_back(i);
    }
    k_.emit_all(instrs, at, values, [](int) {});
  }

  void emit_group(const Origin& origin, llvm::Value* first, llvm::Value* to, std::vector<llvm::Value*> values) {
    llvm::Value* left = b_.CreateSub(to, first);
    llvm::Value* count = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, left, k_.i64(kRows));
    Cursor across;
    across.width = kRows;
    across.mask.lanes = across.mask.rest = k_.mask_of_count(left, kRows);
    // Masked stores are slow there, and lanes that pass through the frame are those of a rest.
    if (!k_.target.masked_ops) across.mask.full = b_.CreateICmpSGE(left, k_.i64(kRows));
    const Origin begin = k_.move(origin, row_axis_, first, [&](int a) { return is_per_row(program_.accesses[a]); });
    for (size_t a = 0; a < program_.accesses.size(); ++a) {
      const Stride stride = program_.accesses[a].next_row > 0 ? Stride::one : Stride::zero;
      across.accesses.push_back({begin.accesses[a], stride, nullptr});
    }
    for (int stage = 0; stage <= program_.body.back().stage; ++stage) {
      emit_chosen([&](int i) { return levels_[i] == Level::row && program_.body[i].stage == stage; }, across, values);
      emit_elements(origin, first, count, stage, values);
    }
  }

  static bool is_per_row(const Access& access) { return access.stride == Stride::zero && !access.uniform; }

  /// Runs the elements of a stage, row by row, and folds what they came to.
  void emit_elements(const Origin& origin, llvm::Value* first, llvm::Value* count, int stage,
                     std::vector<llvm::Value*>& values) {
    std::vector<int> elements;
    std::vector<Reducer> reducers;
    std::vector<bool> touched(program_.accesses.size());
    for (size_t i = 0; i < program_.body.size(); ++i) {
      const Instr& instr = program_.body[i];
      const bool reduces = instr.kind == InstrKind::reduce;
      if (instr.stage != stage || !(reduces || levels_[i] == Level::element)) continue;
      elements.push_back(static_cast<int>(i));
      if (reduces) reducers.emplace_back(k_, static_cast<int>(i), 32);
      if (instr.kind == InstrKind::load || instr.kind == InstrKind::store) touched[instr.slot] = true;
    }
    if (elements.empty()) return;
    std::vector<Tile> tiles;
    for (const Reducer& reducer : reducers) tiles.push_back(new_tile(reducer));
    keep_for_rows(elements, values);
    k_.loop(k_.i64(0), count, k_.i64(at_once_), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
      std::vector<llvm::Value*> of_rows = values_of_rows(elements, row, values);
      std::vector<Cursor> at;
      for (int n = 0; n < at_once_; ++n) {
        // Past the last row that one stands in, for what is loaded; what it would store is overwritten, see store().
        llvm::Value* number = b_.CreateAdd(row, k_.i64(n));
        if (n > 0) number = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, number, b_.CreateSub(count, k_.i64(1)));
        const Origin here = k_.move(origin, row_axis_, b_.CreateAdd(first, number), [&](int a) { return touched[a]; });
        at.push_back(k_.cursor(here, k_.i64(0), elements_, {length_mask(1)}));
      }
      size_t r = 0;
      for (int i : elements) {
        const Instr& instr = program_.body[i];
        if (instr.kind == InstrKind::reduce) {
          keep_for_fold(reducers[r], of_rows[instr.args[0]], row, tiles[r]);
          ++r;
        } else if (instr.kind == InstrKind::load) {
          of_rows[i] = kept_[instr.slot] ? load_kept(instr, row) : load(instr.slot, at);
        } else if (instr.kind != InstrKind::store) {
          Cursor all;
          all.width = at_once_ * elements_;
          k_.emit(i, all, of_rows);
        }
      }
      for (int i : elements) {
        if (program_.body[i].kind == InstrKind::store) store(i, at, row, of_rows);
      }
      return Values{};
    });
    for (size_t r = 0; r < reducers.size(); ++r) values[reducers[r].instr()] = fold(reducers[r], tiles[r]);
  }

  llvm::Value* load(int slot, const std::vector<Cursor>& at) {
    Values rows;
    for (const Cursor& row : at) rows.push_back(k_.load(slot, row.accesses[slot], elements_, row.mask.lanes));
    for (; rows.size() > 1; rows.resize(rows.size() / 2)) {
      for (size_t n = 0; n < rows.size() / 2; ++n) rows[n] = concat_lanes(b_, rows[2 * n], rows[2 * n + 1]);
    }
    return rows[0];
  }

  /// What a later stage reads goes to scratch too, and only there if that stage stores another value in its place.
  void store(int i, const std::vector<Cursor>& at, llvm::Value* row, const std::vector<llvm::Value*>& of_rows) {
    const Instr& instr = program_.body[i];
    llvm::Value* x = splat(b_, of_rows[instr.args[0]], at_once_ * elements_);
    if (comes_later(InstrKind::load, i)) keep(instr, x, row);
    if (comes_later(InstrKind::store, i)) return;
    // Backwards: what stands behind the last row writes to that row, before the row itself does.
    for (int n = at_once_ - 1; n >= 0; --n) {
      llvm::SmallVector<int, 16> lanes(elements_);
      std::iota(lanes.begin(), lanes.end(), n * elements_);
      llvm::Value* part = at_once_ == 1 ? x : b_.CreateShuffleVector(x, lanes);
      k_.store(instr.slot, at[n].accesses[instr.slot], part, elements_, at[n].mask.lanes);
    }
  }

  /// True if an instruction behind this one has the same access.
  bool comes_later(InstrKind kind, int store) const {
    return std::any_of(program_.body.begin() + store + 1, program_.body.end(), [&](const Instr& instr) {
      return instr.kind == kind && instr.slot == program_.body[store].slot;
    });
  }

  // ---- What a store keeps for a later stage: read from scratch, for memory hands on the elements of a rest slowly

  llvm::Value* kept_address(const Instr& instr, llvm::Value* row) {
    llvm::Type* element = memory_type(k_.context, instr.dtype);
    return b_.CreateInBoundsGEP(element, kept_[instr.slot], b_.CreateMul(row, k_.i64(elements_)));
  }

  void keep(const Instr& store, llvm::Value* x, llvm::Value* row) {
    llvm::Type* element = memory_type(k_.context, store.dtype);
    if (!kept_[store.slot]) kept_[store.slot] = k_.scratch(kRows * elements_ * size_of(store.dtype));
    const llvm::Align align(elements_ * size_of(store.dtype));
    b_.CreateAlignedStore(in_memory(x, element), kept_address(store, row), align);
  }

  llvm::Value* load_kept(const Instr& load, llvm::Value* row) {
    auto* type = llvm::FixedVectorType::get(memory_type(k_.context, load.dtype), at_once_ * elements_);
    const llvm::Align align(elements_ * size_of(load.dtype));
    llvm::Value* lanes = b_.CreateAlignedLoad(type, kept_address(load, row), align);
    return load.dtype == DType::boolean ? b_.CreateTrunc(lanes, type->getWithNewBitWidth(1)) : lanes;
  }

  /// Which elements of a vector its rows have; null if they have all.
  llvm::Value* length_mask(int rows) {
    if (length_ == elements_) return nullptr;
    llvm::SmallVector<llvm::Constant*, 64> on;
    for (int e = 0; e < rows * elements_; ++e) on.push_back(b_.getInt1(e % elements_ < length_));
    return llvm::ConstantVector::get(on);
  }

  // ---- Values per row: vectors across the rows, of which the rows' elements read one lane each

  /// Stores those that the elements read and no earlier stage has stored.
  void keep_for_rows(const std::vector<int>& elements, const std::vector<llvm::Value*>& values) {
    for (int i : elements) {
      for (int arg : program_.body[i].args) {
        const bool varies = levels_[arg] == Level::row && values[arg]->getType()->isVectorTy();
        if (!varies || waiting_[arg]) continue;
        llvm::Type* element = memory_type(k_.context, program_.body[arg].dtype);
        waiting_[arg] = k_.scratch(kRows * size_of(program_.body[arg].dtype));
        b_.CreateAlignedStore(in_memory(values[arg], element), waiting_[arg], llvm::Align(64));
      }
    }
  }

  std::vector<llvm::Value*> values_of_rows(const std::vector<int>& elements, llvm::Value* row,
                                          std::vector<llvm::Value*> values) {
    std::vector<bool> known(values.size());
    for (int i : elements) {
      for (int arg : program_.body[i].args) {
        if (levels_[arg] == Level::element || known[arg]) continue;
        if (waiting_[arg]) {
          const DType dtype = program_.body[arg].dtype;
          llvm::Type* type = memory_type(k_.context, dtype);
          llvm::Value* address = b_.CreateInBoundsGEP(type, waiting_[arg], row);
          const llvm::Align align(size_of(dtype));
          // Each row's value in the lanes of its elements.
          llvm::SmallVector<int, 64> row_of;
          for (int lane = 0; lane < at_once_ * elements_; ++lane) row_of.push_back(lane / elements_);
          llvm::Value* of_rows = b_.CreateAlignedLoad(llvm::FixedVectorType::get(type, at_once_), address, align);
          values[arg] = b_.CreateShuffleVector(of_rows, row_of);
          if (dtype == DType::boolean) values[arg] = b_.CreateTrunc(values[arg], values[arg]->getType()->getWithNewBitWidth(1));
        }
        values[arg] = splat(b_, values[arg], at_once_ * elements_);
        known[arg] = true;
      }
    }
    return values;
  }

  llvm::Value* in_memory(llvm::Value* value, llvm::Type* element) {
    llvm::Type* type = value->getType()->getWithNewType(element);
    return value->getType() == type ? value : b_.CreateZExt(value, type);
  }

  // ---- Reductions

  /// Where a reduction's rows stand until the group is folded.
  struct Tile {
    llvm::Value* parts = nullptr;  // parts_ lanes of each row
    llvm::Value* rows = nullptr;   // whole rows, if a position is wanted
  };

  Tile new_tile(const Reducer& reducer) {
    const int64_t bytes = size_of(reducer.dtype());
    Tile tile{k_.scratch(kRows * parts_ * bytes)};
    if (reducer.has_position()) tile.rows = k_.scratch(kRows * elements_ * bytes);
    return tile;
  }

  /// Stores what rows hold, `lanes` of each.
  void store_rows(llvm::Value* x, llvm::Value* to, llvm::Value* row, int lanes, DType dtype) {
    llvm::Type* element = memory_type(k_.context, dtype);
    llvm::Value* address = b_.CreateInBoundsGEP(element, to, b_.CreateMul(row, k_.i64(lanes)));
    b_.CreateAlignedStore(in_memory(x, element), address, llvm::Align(lanes * size_of(dtype)));
  }

  /// Stores the elements of rows. Those that a row does not have change nothing.
  void keep_for_fold(const Reducer& reducer, llvm::Value* x, llvm::Value* row, const Tile& tile) {
    x = splat(b_, x, at_once_ * elements_);
    if (llvm::Value* mask = length_mask(at_once_)) x = b_.CreateSelect(mask, x, reducer.initial(at_once_ * elements_)[0]);
    if (tile.rows) store_rows(x, tile.rows, row, elements_, reducer.dtype());
    x = fold_within(b_, x, elements_, parts_, [&](llvm::Value* low, llvm::Value* high) { return reducer.merge(low, high); });
    store_rows(x, tile.parts, row, parts_, reducer.dtype());
  }

  /// What each row of the group comes to. Rows past the last one are folded too: nobody reads their lanes.
  llvm::Value* fold(const Reducer& reducer, const Tile& tile) {
    llvm::Type* element = memory_type(k_.context, reducer.dtype());
    auto* type = llvm::FixedVectorType::get(element, kRows);
    Values vectors;
    for (int part = 0; part < parts_; ++part) {
      llvm::Value* address = b_.CreateConstInBoundsGEP1_64(element, tile.parts, part * kRows);
      vectors.push_back(b_.CreateAlignedLoad(type, address, llvm::Align(kRows * size_of(reducer.dtype()))));
    }
    llvm::Value* folded = fold_rows(b_, vectors, parts_, [&](llvm::Value* low, llvm::Value* high) {
      return reducer.merge(low, high);
    });
    if (reducer.has_position()) return find(reducer, tile.rows, folded);
    if (reducer.dtype() == DType::boolean) folded = b_.CreateTrunc(folded, folded->getType()->getWithNewBitWidth(1));
    return reducer.finish({folded}, k_.i64(length_));
  }

  /// The first place of each row's winner.
  llvm::Value* find(const Reducer& reducer, llvm::Value* rows, llvm::Value* winners) {
    llvm::Type* element = memory_type(k_.context, reducer.dtype());
    llvm::Value* wanted = k_.scratch(kRows * size_of(reducer.dtype()));
    llvm::Value* places = k_.scratch(kRows * size_of(DType::i64));
    b_.CreateAlignedStore(winners, wanted, llvm::Align(64));
    k_.loop(k_.i64(0), k_.i64(kRows), k_.i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* address = b_.CreateInBoundsGEP(element, rows, b_.CreateMul(row, k_.i64(elements_)));
      auto* type = llvm::FixedVectorType::get(element, elements_);
      llvm::Value* lanes = b_.CreateAlignedLoad(type, address, llvm::Align(elements_ * size_of(reducer.dtype())));
      llvm::Value* winner = b_.CreateLoad(element, b_.CreateInBoundsGEP(element, wanted, row));
      llvm::Value* ties = b_.CreateBitCast(reducer.ties(lanes, splat(b_, winner, elements_)), b_.getIntNTy(elements_));
      llvm::Value* place = b_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, b_.CreateZExt(ties, b_.getInt64Ty()), b_.getTrue());
      b_.CreateStore(place, b_.CreateInBoundsGEP(b_.getInt64Ty(), places, row));
      return Values{};
    });
    return b_.CreateAlignedLoad(llvm::FixedVectorType::get(b_.getInt64Ty(), kRows), places, llvm::Align(64));
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  std::vector<Level> levels_;
  const int length_;    // elements of a row
  const int elements_;  // lanes for them, a power of two
  const int parts_;     // lanes that are left of a row when it waits for the fold
  const int at_once_;   // rows whose elements fill a vector
  const int row_axis_;
  std::vector<llvm::Value*> waiting_;  // per instruction: scratch where its values per row stand for the elements, or null
  std::vector<llvm::Value*> kept_;     // per access: scratch where what it stores stands for a later stage, or null
};

}  // namespace

llvm::Function* emit_short_row_kernel(const KernelProgram& program, const CodegenOptions& options,
                                      llvm::Module& module, const std::string& name) {
  return ShortRowKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
