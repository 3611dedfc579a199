// Dot kernels: tiled matrix products with an epilogue.
//
// The result is made in blocks of kBlockRows x kBlockColumns whose sums stand in the frame of the call, and a block in panels
// as wide as a tile. For each kBlockDepth steps of k a panel of b, and where it pays a block of a, is copied to where tiles
// read it best; tile functions (dot_micro.h) then add its products to the sums. After the last steps the epilogue runs
// over the panel while it is in the cache. The products of one element are added in ascending order of k whatever the
// blocks, so no choice made here changes a bit. The plan of loops is that of Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008).
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "compiler/codegen/dot_micro.h"
#include "compiler/codegen/emit.h"

namespace etch::codegen {
namespace {

constexpr int64_t kBlockDepth = 256;
constexpr int64_t kBlockColumns = 512;
constexpr int64_t kSumBytes = 480 << 10;     // of the sums of a block
constexpr int64_t kLeadingPad = 16;          // rows of a copied block then fall into different sets of the cache
constexpr int64_t kMinColumnsToCopyA = 96;   // narrower results read a too seldom to pay for a copy
constexpr int64_t kMinRowsToCopyB = 24;      // likewise
constexpr int64_t kMinBytesToCopyB = 32 << 10;  // a panel of b within fewer bytes stays in the first cache as it is
constexpr int kWideVectors = 4;              // of the tile of a single row, which waits for memory
constexpr int kRaggedRows = 4;
constexpr int kSquare = 4;                   // b is transposed in squares of this size

/// The sizes of blocks and tiles for one dtype on one target.
struct Blocking {
  Blocking(DType sums, const Target& target)
      : dtype(sums),
        vector_bytes(target.vector_bytes),
        lanes(target.vector_bytes / size_of(sums)),
        tile_rows(target.vector_bytes == 64 ? 12 : 6),
        rows(kSumBytes / size_of(sums) / kBlockColumns / 12 * 12) {}

  DType dtype;        // of the sums; u8 is summed in 32 bits
  int vector_bytes;
  int64_t lanes;      // of a vector
  int64_t tile_rows;  // 2 vectors each: they and the operands fill the registers
  int64_t rows;       // of a block: a multiple of tile_rows and of kRaggedRows

  int64_t bytes(int64_t elements) const { return elements * size_of(dtype); }
  int64_t panel() const { return 2 * lanes; }
  int64_t wide() const { return kWideVectors * lanes; }
  int64_t leading() const { return std::max(kBlockDepth, rows) + kLeadingPad; }
};

/// A matrix in memory: its first element and the bytes from element to element along both axes.
struct Matrix {
  llvm::Value* data;
  llvm::Value* row;   // of a; the columns of b are contiguous
  llvm::Value* step;  // along k
};

/// The part of the result that a block or panel makes: `row` and `column` are its first ones.
struct Part {
  llvm::Value *row, *rows, *column, *columns;
};

/// The steps of k that are being added.
struct Steps {
  llvm::Value* start;
  llvm::Value* depth;
  llvm::Value* first;  // i1: the sums are not there yet
  llvm::Value* last;   // i1: the sums are complete after these
};

class DotEmitter {
 public:
  DotEmitter(const KernelProgram& program, const Target& target, llvm::Module& module, const std::string& name)
      : k_(program, target, module, name),
        b_(k_.b),
        module_(module),
        dot_(std::find_if(program.body.begin(), program.body.end(),
                          [](const Instr& instr) { return instr.kind == InstrKind::dot; }) -
             program.body.begin()),
        dtype_(program.body[dot_].dtype),
        blocking_(dtype_ == DType::u8 ? DType::i32 : dtype_, target),
        m_axis_(program.rank - 3),
        n_axis_(program.rank - 2),
        k_axis_(program.rank - 1),
        a_(plain_access(0)),
        b_access_(plain_access(1)),
        element_(lanes_type(k_.context, blocking_.dtype, 1)),
        vector_(lanes_type(k_.context, blocking_.dtype, static_cast<int>(blocking_.lanes))) {}

  llvm::Function* emit();

 private:
  /// The access of operand 0 (a) or 1 (b) if tiles can read it as it stands in memory.
  std::optional<int> plain_access(int i) const;
  Stride b_stride() const { return k_.program.accesses[*b_access_].stride; }

  llvm::Value* min(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); }
  llvm::Value* at(llvm::Value* base, llvm::Value* elements) { return b_.CreateGEP(element_, base, elements); }
  llvm::Value* bytes(llvm::Value* elements) { return b_.CreateMul(elements, k_.i64(size_of(blocking_.dtype))); }
  llvm::Value* scratch(int64_t elements) {
    return k_.scratch(llvm::ArrayType::get(element_, static_cast<uint64_t>(elements)), llvm::Align(64));
  }
  /// A vector from memory; lanes that a mask turns off are 0.
  llvm::Value* load_vector(llvm::Value* from, llvm::Value* mask = nullptr) {
    const llvm::Align align(size_of(blocking_.dtype));
    if (!mask) return b_.CreateAlignedLoad(vector_, from, align);
    return b_.CreateMaskedLoad(vector_, from, align, mask, llvm::Constant::getNullValue(vector_));
  }
  void store_vector(llvm::Value* value, llvm::Value* to) {
    b_.CreateAlignedStore(value, to, llvm::Align(size_of(blocking_.dtype)));
  }
  void count(llvm::Value* from, llvm::Value* to, llvm::Value* step, bool guard,
             llvm::function_ref<void(llvm::Value*)> body) {
    k_.loop(from, to, step, {}, guard, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
      body(i);
      return Values{};
    });
  }

  /// A function that all dot kernels of this dtype in the module share, made by `body` if it is not there yet.
  llvm::Function* shared(const std::string& name, llvm::ArrayRef<llvm::Type*> arguments,
                         llvm::function_ref<void(llvm::Function*)> body);
  llvm::Function* copy_a_function();
  llvm::Function* copy_b_function();
  llvm::Function* transpose_b_function();
  llvm::Function* tiles_function();
  void transpose_square(llvm::Value* from, llvm::Value* n_stride, llvm::Value* to);

  /// Lanes along `axis` from the origin on; `stride` is that of all accesses, or each access has its own.
  Cursor lanes_along(const Origin& origin, int axis, std::optional<Stride> stride, int64_t width, llvm::Value* mask);
  /// Emits what operand i needs, for the lanes of `at`, and returns it as the sums' dtype.
  llvm::Value* operand_lanes(int i, const Cursor& at);
  void emit_operands(int instr, const Cursor& at, std::vector<llvm::Value*>& values);
  void collect_loads(int instr, std::vector<int>& accesses) const;
  void compute_a(const Origin& origin, const Part& part, const Steps& steps);
  void compute_b(const Origin& origin, const Part& part, const Steps& steps);

  void segment(const Origin& origin, llvm::Value* from, llvm::Value* to);
  void block(const Origin& origin, const Part& part);
  Matrix block_of_a(const Origin& origin, const Part& part, const Steps& steps);
  Matrix panel_of_b(const Origin& origin, const Part& part, const Steps& steps);
  llvm::Value* plain_b(const Origin& origin, const Part& part, const Steps& steps);
  void tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps);
  void tile(TileShape shape, const Matrix& a, const Matrix& b, llvm::Value* sums, llvm::Value* depth,
            llvm::Value* in, llvm::Value* in_row, llvm::Value* valid_rows);
  void epilogue(const Origin& origin, llvm::Value* sums, const Part& part);
  void epilogue_rows(const Origin& origin, llvm::Value* sums, llvm::Value* rows, int64_t width, llvm::Value* mask);

  KernelEmitter k_;
  Builder& b_;
  llvm::Module& module_;
  const int dot_;
  const DType dtype_;
  const Blocking blocking_;
  const int m_axis_, n_axis_, k_axis_;
  const std::optional<int> a_, b_access_;
  llvm::Type* const element_;
  llvm::Type* const vector_;
  std::vector<llvm::Value*> constants_;  // values that are the same in the whole kernel
  llvm::Value* zeros_ = nullptr;
  llvm::Value* sums_ = nullptr;
  llvm::Value* a_copy_ = nullptr;
  llvm::Value* b_copy_ = nullptr;
};

std::optional<int> DotEmitter::plain_access(int i) const {
  const Instr& instr = k_.program.body[k_.program.body[dot_].args[i]];
  if (instr.kind != InstrKind::load || blocking_.dtype != instr.dtype) return std::nullopt;
  if (k_.program.accesses[instr.slot].dtype != instr.dtype) return std::nullopt;
  return instr.slot;
}

// The kernel: batch, blocks of columns, blocks of rows, blocks of steps, panels.

llvm::Function* DotEmitter::emit() {
  zeros_ = scratch(blocking_.wide());
  sums_ = scratch(blocking_.rows * kBlockColumns);
  a_copy_ = scratch(std::max(kBlockDepth, blocking_.rows) * blocking_.leading());
  b_copy_ = scratch(kBlockDepth * blocking_.panel());
  for (int i = 0; i < kWideVectors; ++i) {
    store_vector(llvm::Constant::getNullValue(vector_), at(zeros_, k_.i64(i * blocking_.lanes)));
  }

  Origin base;
  for (size_t a = 0; a < k_.program.accesses.size(); ++a) base.accesses.push_back(k_.origin(a));
  for (int i = 0; i < k_.program.num_indices; ++i) base.indices.push_back(k_.index_origin(i));
  constants_.resize(k_.program.body.size());
  const std::vector<Level> levels = levels_of(k_.program);
  const Cursor nowhere = lanes_along(base, n_axis_, Stride::zero, 1, nullptr);
  for (size_t i = 0; i < constants_.size(); ++i) {
    if (levels[i] == Level::kernel) k_.emit(i, nowhere, constants_);
  }

  if (m_axis_ == 0) {
    segment(base, k_.begin(), k_.end());
    return k_.finish();
  }
  llvm::Value* m = k_.extent(m_axis_);
  llvm::Value* last = b_.CreateUDiv(b_.CreateAdd(k_.end(), b_.CreateSub(m, k_.i64(1))), m);
  k_.walk(b_.CreateUDiv(k_.begin(), m), last, m_axis_, [&](const Origin& origin) {
    llvm::Value* start = b_.CreateMul(origin.row, m);
    llvm::Value* from = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, b_.CreateSub(k_.begin(), start), k_.i64(0));
    segment(origin, from, min(b_.CreateSub(k_.end(), start), m));
  });
  return k_.finish();
}

/// Rows from .. to of one matrix of the batch.
void DotEmitter::segment(const Origin& origin, llvm::Value* from, llvm::Value* to) {
  llvm::Value* n = k_.extent(n_axis_);
  count(k_.i64(0), n, k_.i64(kBlockColumns), true, [&](llvm::Value* column) {
    llvm::Value* columns = min(b_.CreateSub(n, column), k_.i64(kBlockColumns));
    count(from, to, k_.i64(blocking_.rows), false, [&](llvm::Value* row) {
      block(origin, {row, min(b_.CreateSub(to, row), k_.i64(blocking_.rows)), column, columns});
    });
  });
}

void DotEmitter::block(const Origin& origin, const Part& part) {
  llvm::Value* k = k_.extent(k_axis_);
  // A single row reads b as it stands, in wide tiles.
  llvm::Value* single = nullptr;
  if (a_ && b_access_ && b_stride() == Stride::one) {
    single = b_.CreateAnd(b_.CreateICmpEQ(part.rows, k_.i64(1)), b_.CreateICmpSGT(k, k_.i64(0)));
  }
  // Sums of one panel suffice if its steps are all added at once.
  llvm::Value* sums_per_column =
      b_.CreateSelect(b_.CreateICmpSGT(k, k_.i64(kBlockDepth)), k_.i64(blocking_.rows), k_.i64(0));

  // At least once: without products the sums are 0.
  count(k_.i64(0), k, k_.i64(kBlockDepth), false, [&](llvm::Value* start) {
    llvm::Value* left = b_.CreateSub(k, start);
    llvm::Value* depth = min(left, k_.i64(kBlockDepth));
    const Steps steps{start, depth, b_.CreateIsNull(start), b_.CreateICmpEQ(depth, left)};
    const Matrix a = block_of_a(origin, part, steps);

    auto* head = llvm::BasicBlock::Create(k_.context, "panel", k_.function);
    auto* done = llvm::BasicBlock::Create(k_.context, "panels_done", k_.function);
    llvm::BasicBlock* before = b_.GetInsertBlock();
    b_.CreateBr(head);
    b_.SetInsertPoint(head);
    llvm::PHINode* j = b_.CreatePHI(b_.getInt64Ty(), 2);
    j->addIncoming(k_.i64(0), before);
    llvm::Value* rest = b_.CreateSub(part.columns, j);
    llvm::Value* sums = at(sums_, b_.CreateMul(j, sums_per_column));
    llvm::Value* width = k_.i64(blocking_.panel());
    llvm::Value* wide = nullptr;
    if (single) {
      wide = b_.CreateAnd(single, b_.CreateICmpSGE(rest, k_.i64(blocking_.wide())));
      width = b_.CreateSelect(wide, k_.i64(blocking_.wide()), width);
    }
    const Part panel{part.row, part.rows, b_.CreateAdd(part.column, j), min(rest, width)};
    auto narrow = [&] { tiles(a, panel_of_b(origin, panel, steps), sums, panel, steps); };
    if (wide) {
      k_.if_then(wide, [&] {
        const Matrix b{plain_b(origin, panel, steps), nullptr, bytes(k_.access_stride(*b_access_, k_axis_))};
        llvm::Value* in = b_.CreateSelect(steps.first, zeros_, sums);
        tile({1, kWideVectors, false}, a, b, sums, depth, in, k_.i64(0), k_.i64(1));
      });
      k_.if_then(b_.CreateNot(wide), narrow);
    } else {
      narrow();
    }
    k_.if_then(steps.last, [&] { epilogue(origin, sums, panel); });
    llvm::Value* next = b_.CreateAdd(j, width);
    j->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, part.columns), head, done);
    done->moveAfter(b_.GetInsertBlock());
    b_.SetInsertPoint(done);
  });
}

/// The rows of a, in memory that tiles can read.
Matrix DotEmitter::block_of_a(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value* unit = k_.i64(blocking_.bytes(1));
  llvm::Value* leading = k_.i64(blocking_.bytes(blocking_.leading()));
  if (!a_) {
    compute_a(origin, part, steps);
    return {a_copy_, leading, unit};
  }
  llvm::Value* m_stride = k_.access_stride(*a_, m_axis_);
  llvm::Value* k_stride = k_.access_stride(*a_, k_axis_);
  llvm::Value* data = at(origin.accesses[*a_],
                         b_.CreateAdd(b_.CreateMul(part.row, m_stride), b_.CreateMul(steps.start, k_stride)));
  llvm::Value* copy = b_.CreateAnd(b_.CreateICmpSGE(part.columns, k_.i64(kMinColumnsToCopyA)),
                                   b_.CreateICmpSGT(part.rows, k_.i64(kRaggedRows)));
  llvm::Value* by_k = b_.CreateICmpEQ(k_stride, k_.i64(1));
  k_.if_then(copy, [&] {
    // Row by row, or step by step unless steps are contiguous.
    b_.CreateCall(copy_a_function(),
                  {data, b_.CreateSelect(by_k, m_stride, k_stride), b_.CreateSelect(by_k, k_stride, m_stride),
                   b_.CreateSelect(by_k, part.rows, steps.depth), b_.CreateSelect(by_k, steps.depth, part.rows),
                   a_copy_});
  });
  return {b_.CreateSelect(copy, a_copy_, data),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, leading, unit), bytes(m_stride)),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, unit, leading), bytes(k_stride))};
}

llvm::Value* DotEmitter::plain_b(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value* step = b_.CreateMul(steps.start, k_.access_stride(*b_access_, k_axis_));
  llvm::Value* column = b_stride() == Stride::one ? part.column
                                                  : b_.CreateMul(part.column, k_.access_stride(*b_access_, n_axis_));
  return at(origin.accesses[*b_access_], b_.CreateAdd(step, column));
}

/// The columns of b, as a panel: if it is a copy, columns past the last hold 0.
Matrix DotEmitter::panel_of_b(const Origin& origin, const Part& part, const Steps& steps) {
  const Matrix copied{b_copy_, nullptr, k_.i64(blocking_.bytes(blocking_.panel()))};
  if (!b_access_ || b_stride() == Stride::zero) {
    compute_b(origin, part, steps);
    return copied;
  }
  llvm::Value* data = plain_b(origin, part, steps);
  llvm::Value* k_stride = k_.access_stride(*b_access_, k_axis_);
  if (b_stride() == Stride::other) {
    b_.CreateCall(transpose_b_function(),
                  {data, k_.access_stride(*b_access_, n_axis_), k_stride, part.columns, steps.depth, b_copy_});
    return copied;
  }
  llvm::Value* step = bytes(k_stride);
  llvm::Value* far = b_.CreateICmpSGT(b_.CreateMul(step, steps.depth), k_.i64(kMinBytesToCopyB));
  llvm::Value* pays = b_.CreateAnd(far, b_.CreateICmpSGT(part.rows, k_.i64(kMinRowsToCopyB)));
  llvm::Value* copy = b_.CreateOr(pays, b_.CreateICmpSLT(part.columns, k_.i64(blocking_.panel())));
  k_.if_then(copy, [&] { b_.CreateCall(copy_b_function(), {data, k_stride, part.columns, steps.depth, b_copy_}); });
  return {b_.CreateSelect(copy, b_copy_, data), nullptr, b_.CreateSelect(copy, copied.step, step)};
}

/// Adds the products of some steps to the sums of a panel.
void DotEmitter::tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps) {
  llvm::Value* in = b_.CreateSelect(steps.first, zeros_, sums);
  llvm::Value* in_row = b_.CreateSelect(steps.first, k_.i64(0), k_.i64(blocking_.bytes(blocking_.panel())));
  b_.CreateCall(tiles_function(),
                {a.data, a.row, a.step, b.data, b.step, steps.depth, in, in_row, sums, part.rows});
}

void DotEmitter::tile(TileShape shape, const Matrix& a, const Matrix& b, llvm::Value* sums, llvm::Value* depth,
                      llvm::Value* in, llvm::Value* in_row, llvm::Value* valid_rows) {
  llvm::Function* callee = tile_function(module_, *k_.function, blocking_.dtype, blocking_.vector_bytes, shape);
  b_.CreateCall(callee, {a.data, a.row, a.step, b.data, b.step, depth, in, in_row, sums, valid_rows});
}

// The epilogue.

/// The instructions on the finished sums of a panel.
void DotEmitter::epilogue(const Origin& origin, llvm::Value* sums, const Part& part) {
  const int64_t width = std::min<int64_t>(lanes_of(k_.program, k_.target), blocking_.panel());
  const Origin rows = k_.move(origin, m_axis_, part.row);
  count(k_.i64(0), part.columns, k_.i64(width), false, [&](llvm::Value* j) {
    const Origin first_row = k_.move(rows, n_axis_, b_.CreateAdd(part.column, j));
    llvm::Value* column_sums = at(sums, j);
    llvm::Value* left = b_.CreateSub(part.columns, j);
    llvm::Value* mask = mask_of_count(b_, left, static_cast<int>(width));
    if (k_.target.masked_ops) return epilogue_rows(first_row, column_sums, part.rows, width, mask);
    llvm::Value* full = b_.CreateICmpSGE(left, k_.i64(width));
    k_.if_then(full, [&] { epilogue_rows(first_row, column_sums, part.rows, width, nullptr); });
    k_.if_then(b_.CreateNot(full), [&] { epilogue_rows(first_row, column_sums, part.rows, width, mask); });
  });
}

/// One vector of each row.
void DotEmitter::epilogue_rows(const Origin& first, llvm::Value* sums, llvm::Value* rows, int64_t width,
                               llvm::Value* mask) {
  Values initial{sums};
  initial.append(first.accesses.begin(), first.accesses.end());
  initial.append(first.indices.begin(), first.indices.end());
  std::vector<llvm::Value*> constants = constants_;
  for (const Instr& instr : k_.program.body) {
    if (instr.stage == 0) continue;
    for (int arg : instr.args) {
      if (constants[arg]) constants[arg] = splat(b_, constants[arg], static_cast<int>(width));
    }
  }
  k_.loop(k_.i64(0), rows, k_.i64(1), initial, false, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
    Origin row = first;
    auto next_of = now.begin();
    llvm::Value* row_sums = *next_of++;
    Values next{at(row_sums, k_.i64(blocking_.panel()))};
    for (size_t a = 0; a < row.accesses.size(); ++a) {
      row.accesses[a] = *next_of++;
      next.push_back(k_.advance(a, row.accesses[a], k_.access_stride(a, m_axis_)));
    }
    for (size_t i = 0; i < row.indices.size(); ++i) {
      row.indices[i] = *next_of++;
      next.push_back(b_.CreateAdd(row.indices[i], k_.index_stride(i, m_axis_)));
    }
    const Cursor lanes = lanes_along(row, n_axis_, std::nullopt, width, mask);
    std::vector<llvm::Value*> values = constants;
    llvm::Type* type = lanes_type(k_.context, blocking_.dtype, static_cast<int>(width));
    llvm::Value* sum = b_.CreateAlignedLoad(type, row_sums, llvm::Align(size_of(blocking_.dtype)));
    values[dot_] = b_.CreateTrunc(sum, lanes_type(k_.context, dtype_, static_cast<int>(width)));
    for (size_t n = 0; n < values.size(); ++n) {
      if (k_.program.body[n].stage > 0) k_.emit(n, lanes, values);
    }
    return next;
  });
}

// Operands that are computed where they are needed.

Cursor DotEmitter::lanes_along(const Origin& origin, int axis, std::optional<Stride> stride, int64_t width,
                               llvm::Value* mask) {
  Cursor at;
  at.width = static_cast<int>(width);
  at.mask = mask;
  for (size_t a = 0; a < k_.program.accesses.size(); ++a) {
    const Access& access = k_.program.accesses[a];
    Place place{origin.accesses[a], access.uniform ? Stride::zero : stride.value_or(access.stride), nullptr};
    if (place.stride == Stride::other) place.step = k_.access_stride(a, axis);
    at.accesses.push_back(place);
  }
  for (int i = 0; i < k_.program.num_indices; ++i) {
    at.indices.push_back({origin.indices[i], Stride::other, k_.index_stride(i, axis)});
  }
  return at;
}

void DotEmitter::emit_operands(int instr, const Cursor& at, std::vector<llvm::Value*>& values) {
  for (int arg : k_.program.body[instr].args) {
    if (!values[arg]) emit_operands(arg, at, values);
  }
  k_.emit(instr, at, values);
}

llvm::Value* DotEmitter::operand_lanes(int i, const Cursor& at) {
  std::vector<llvm::Value*> values = constants_;
  const int instr = k_.program.body[dot_].args[i];
  emit_operands(instr, at, values);
  llvm::Value* value = splat(b_, values[instr], at.width);
  return dtype_ == DType::u8 ? b_.CreateZExt(value, value->getType()->getWithNewType(element_)) : value;
}

void DotEmitter::collect_loads(int instr, std::vector<int>& accesses) const {
  const Instr& it = k_.program.body[instr];
  if (it.kind == InstrKind::load && !k_.program.accesses[it.slot].uniform) accesses.push_back(it.slot);
  for (int arg : it.args) collect_loads(arg, accesses);
}

/// Computes the rows of a, vectors along k: contiguous ones if all loads are, else gathered.
void DotEmitter::compute_a(const Origin& origin, const Part& part, const Steps& steps) {
  std::vector<int> accesses;
  collect_loads(k_.program.body[dot_].args[0], accesses);
  llvm::Value* contiguous = b_.getTrue();
  for (int a : accesses) {
    contiguous = b_.CreateAnd(contiguous, b_.CreateICmpEQ(k_.access_stride(a, k_axis_), k_.i64(1)));
  }
  const Origin corner = k_.move(k_.move(origin, m_axis_, part.row), k_axis_, steps.start);
  auto rows = [&](Stride stride) {
    count(k_.i64(0), part.rows, k_.i64(1), false, [&](llvm::Value* i) {
      const Origin row = k_.move(corner, m_axis_, i);
      llvm::Value* to = at(a_copy_, b_.CreateMul(i, k_.i64(blocking_.leading())));
      k_.vector_loop(k_.i64(0), steps.depth, static_cast<int>(blocking_.lanes), {}, true, k_.target.masked_ops,
                     [&](llvm::Value* p, llvm::Value* mask, llvm::ArrayRef<llvm::Value*>) {
        const Cursor lanes = lanes_along(k_.move(row, k_axis_, p), k_axis_, stride, blocking_.lanes, mask);
        store_vector(operand_lanes(0, lanes), at(to, p));
        return Values{};
      });
    });
  };
  k_.if_then(contiguous, [&] { rows(Stride::one); });
  k_.if_then(b_.CreateNot(contiguous), [&] { rows(Stride::other); });
}

/// Computes a panel of b; columns past the last are computed from zeros and not used.
void DotEmitter::compute_b(const Origin& origin, const Part& part, const Steps& steps) {
  const Origin corner = k_.move(k_.move(origin, n_axis_, part.column), k_axis_, steps.start);
  const int64_t width = blocking_.panel();
  auto rows = [&](llvm::Value* mask) {
    count(k_.i64(0), steps.depth, k_.i64(1), true, [&](llvm::Value* p) {
      const Cursor lanes = lanes_along(k_.move(corner, k_axis_, p), n_axis_, std::nullopt, width, mask);
      store_vector(operand_lanes(1, lanes), at(b_copy_, b_.CreateMul(p, k_.i64(width))));
    });
  };
  llvm::Value* mask = mask_of_count(b_, part.columns, static_cast<int>(width));
  if (k_.target.masked_ops) return rows(mask);
  llvm::Value* full = b_.CreateICmpEQ(part.columns, k_.i64(width));
  k_.if_then(full, [&] { rows(nullptr); });
  k_.if_then(b_.CreateNot(full), [&] { rows(mask); });
}

// Functions that all kernels of a dtype share. Strides are elements but for tiles, where they are bytes.

llvm::Function* DotEmitter::shared(const std::string& name, llvm::ArrayRef<llvm::Type*> arguments,
                                   llvm::function_ref<void(llvm::Function*)> body) {
  const std::string full_name = name + "." + std::string(etch::name(blocking_.dtype));
  if (llvm::Function* known = module_.getFunction(full_name)) return known;
  llvm::Function* f = internal_function(module_, *k_.function, full_name, arguments);
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  llvm::Function* const kernel = std::exchange(k_.function, f);
  b_.SetInsertPoint(llvm::BasicBlock::Create(k_.context, "entry", f));
  body(f);
  b_.CreateRetVoid();
  k_.function = kernel;
  return f;
}

/// void(from, line_stride, stride, lines, length, to): to[i * leading + j] = from[i * line_stride + j * stride].
llvm::Function* DotEmitter::copy_a_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_copy_a", {ptr, i64, i64, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *line_stride = f->getArg(1), *stride = f->getArg(2), *length = f->getArg(4);
    llvm::Value* whole = b_.CreateAnd(length, k_.i64(-blocking_.lanes));
    llvm::Value* vectors = b_.CreateSelect(b_.CreateICmpEQ(stride, k_.i64(1)), whole, k_.i64(0));
    k_.loop(k_.i64(0), f->getArg(3), k_.i64(1), {f->getArg(0), f->getArg(5)}, true,
            [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> line) {
      count(k_.i64(0), vectors, k_.i64(blocking_.lanes), true,
            [&](llvm::Value* j) { store_vector(load_vector(at(line[0], j)), at(line[1], j)); });
      count(vectors, length, k_.i64(1), true, [&](llvm::Value* j) {
        b_.CreateStore(b_.CreateLoad(element_, at(line[0], b_.CreateMul(j, stride))), at(line[1], j));
      });
      return Values{at(line[0], line_stride), at(line[1], k_.i64(blocking_.leading()))};
    });
  });
}

/// void(from, k_stride, columns, depth, to): rows of `columns` contiguous elements, filled with zeros to a panel.
llvm::Function* DotEmitter::copy_b_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_copy_b", {ptr, i64, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *k_stride = f->getArg(1), *columns = f->getArg(2), *depth = f->getArg(3);
    const Values start{f->getArg(0), f->getArg(4)};
    auto rows = [&](llvm::Value* low_mask, llvm::Value* high_mask) {
      k_.loop(k_.i64(0), depth, k_.i64(1), start, true, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
        llvm::Value* high = k_.i64(blocking_.lanes);
        store_vector(load_vector(now[0], low_mask), now[1]);
        store_vector(load_vector(at(now[0], high), high_mask), at(now[1], high));
        return Values{at(now[0], k_stride), at(now[1], k_.i64(blocking_.panel()))};
      });
    };
    const int lanes = static_cast<int>(blocking_.lanes);
    llvm::Value* above = b_.CreateSub(columns, k_.i64(lanes));
    llvm::Value* low_mask = mask_of_count(b_, columns, lanes);
    llvm::Value* high_mask =
        mask_of_count(b_, b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, above, k_.i64(0)), lanes);
    if (k_.target.masked_ops) return rows(low_mask, high_mask);
    llvm::Value* full = b_.CreateICmpEQ(columns, k_.i64(blocking_.panel()));
    k_.if_then(full, [&] { rows(nullptr, nullptr); });
    k_.if_then(b_.CreateNot(full), [&] { rows(low_mask, high_mask); });
  });
}

/// void(from, n_stride, k_stride, columns, depth, to): as dot_copy_b where columns are not contiguous.
llvm::Function* DotEmitter::transpose_b_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_transpose_b", {ptr, i64, i64, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *from = f->getArg(0), *n_stride = f->getArg(1), *k_stride = f->getArg(2);
    llvm::Value *columns = f->getArg(3), *depth = f->getArg(4), *to = f->getArg(5);
    const int64_t width = blocking_.panel();
    k_.if_then(b_.CreateICmpSLT(columns, k_.i64(width)), [&] {
      count(k_.i64(0), b_.CreateMul(depth, k_.i64(width)), k_.i64(blocking_.lanes), true,
            [&](llvm::Value* i) { store_vector(llvm::Constant::getNullValue(vector_), at(to, i)); });
    });

    // Squares where steps are contiguous, the rest one by one.
    llvm::Value* contiguous = b_.CreateICmpEQ(k_stride, k_.i64(1));
    llvm::Value* square_columns = b_.CreateSelect(contiguous, b_.CreateAnd(columns, k_.i64(-kSquare)), k_.i64(0));
    llvm::Value* square_steps = b_.CreateAnd(depth, k_.i64(-kSquare));
    count(k_.i64(0), square_columns, k_.i64(kSquare), true, [&](llvm::Value* j) {
      k_.loop(k_.i64(0), square_steps, k_.i64(kSquare), {at(from, b_.CreateMul(j, n_stride)), at(to, j)}, true,
              [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
        transpose_square(now[0], n_stride, now[1]);
        return Values{at(now[0], k_.i64(kSquare)), at(now[1], k_.i64(kSquare * width))};
      });
    });
    count(k_.i64(0), columns, k_.i64(1), false, [&](llvm::Value* j) {
      llvm::Value* start = b_.CreateSelect(b_.CreateICmpSLT(j, square_columns), square_steps, k_.i64(0));
      llvm::Value* column = at(from, b_.CreateMul(j, n_stride));
      k_.loop(start, depth, k_.i64(1), {}, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*>) {
        llvm::Value* value = b_.CreateLoad(element_, at(column, b_.CreateMul(p, k_stride)));
        b_.CreateStore(value, at(to, b_.CreateAdd(b_.CreateMul(p, k_.i64(width)), j)));
        return Values{};
      });
    });
  });
}

/// Columns that are `n_stride` apart become parts of rows that are a panel apart.
void DotEmitter::transpose_square(llvm::Value* from, llvm::Value* n_stride, llvm::Value* to) {
  llvm::Type* quad = lanes_type(k_.context, blocking_.dtype, kSquare);
  const llvm::Align align(size_of(blocking_.dtype));
  llvm::Value* columns[kSquare];
  for (llvm::Value*& column : columns) {
    column = b_.CreateAlignedLoad(quad, from, align);
    from = at(from, n_stride);
  }
  llvm::Value* low = b_.CreateShuffleVector(columns[0], columns[1], {0, 4, 1, 5, 2, 6, 3, 7});
  llvm::Value* high = b_.CreateShuffleVector(columns[2], columns[3], {0, 4, 1, 5, 2, 6, 3, 7});
  for (int s = 0; s < kSquare; ++s) {
    llvm::Value* row = b_.CreateShuffleVector(low, high, {2 * s, 2 * s + 1, 8 + 2 * s, 8 + 2 * s + 1});
    b_.CreateAlignedStore(row, at(to, k_.i64(s * blocking_.panel())), align);
  }
}

/// void(a, a_row, a_step, b, b_step, depth, in, in_row, out, rows): a tile after the other, as tile_function does one.
llvm::Function* DotEmitter::tiles_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_tiles", {ptr, i64, i64, ptr, i64, i64, ptr, i64, ptr, i64}, [&](llvm::Function* f) {
    const Matrix b{f->getArg(3), nullptr, f->getArg(4)};
    llvm::Value *a_row = f->getArg(1), *a_step = f->getArg(2), *depth = f->getArg(5), *in_row = f->getArg(7);
    // Without products there are only zeros.
    llvm::Value* empty = b_.CreateIsNull(depth);
    llvm::Value* zeros = b_.CreateSelect(empty, b_.CreateMul(f->getArg(9), k_.i64(blocking_.panel())), k_.i64(0));
    count(k_.i64(0), zeros, k_.i64(blocking_.lanes), true,
          [&](llvm::Value* i) { store_vector(llvm::Constant::getNullValue(vector_), at(f->getArg(8), i)); });
    llvm::Value* rows = b_.CreateSelect(empty, k_.i64(0), f->getArg(9));
    auto step_by = [&](llvm::Value* from, llvm::Value* to, TileShape shape, const Values& start) {
      return k_.loop(from, to, k_.i64(shape.rows), start, true,
                     [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> now) {
        llvm::Value* valid = min(b_.CreateSub(rows, i), k_.i64(shape.rows));
        tile(shape, {now[0], a_row, a_step}, b, now[2], depth, now[1], in_row, valid);
        auto next = [&](llvm::Value* pointer, llvm::Value* row) {
          return b_.CreateGEP(b_.getInt8Ty(), pointer, b_.CreateMul(row, k_.i64(shape.rows)));
        };
        return Values{next(now[0], a_row), next(now[1], in_row), at(now[2], k_.i64(shape.rows * blocking_.panel()))};
      });
    };
    const int tile_rows = static_cast<int>(blocking_.tile_rows);
    llvm::Value* full_rows = b_.CreateSub(rows, b_.CreateURem(rows, k_.i64(tile_rows)));
    const Values rest = step_by(k_.i64(0), full_rows, {tile_rows, 2, false},
                                {f->getArg(0), f->getArg(6), f->getArg(8)});
    step_by(full_rows, rows, {kRaggedRows, 2, true}, rest);
  });
}

}  // namespace

llvm::Function* emit_dot_kernel(const KernelProgram& program, const Target& target, llvm::Module& module,
                                const std::string& name) {
  return DotEmitter(program, target, module, name).emit();
}

}  // namespace etch::codegen
