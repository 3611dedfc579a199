// Kernels of products of a matrix and a vector, which sum their steps in lanes (see KernelProgram).
//
// The results are made in blocks. Where neighbouring results lie beside each other in the matrix, a line of memory keeps a lane
// of all results of the block, and whole rows of steps are added to it. Else a vector keeps all lanes of one result, and the
// steps of a few results are added side by side. Operands that cannot be read so are copied, some steps at a time.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <bit>

#include "compiler/codegen/dot_parts.h"
#include "compiler/codegen/emit.h"
#include "compiler/codegen/tile.h"

namespace etch::codegen {
namespace {

constexpr int64_t kBlockBytes = 4096;  // of results beside each other, which are made together
constexpr int64_t kRows = 64;          // results that are apart and made together
constexpr int kRowsAtOnce = 4;         // of these: as many sums as hide fma's latency
constexpr int kStepsAtOnce = 4;        // added to a line before it goes back to memory
constexpr int kFarSteps = 8;           // the same of a matrix that no cache holds: so many rows are fetched side by side
constexpr int64_t kFarBytes = 16 << 20;
constexpr int64_t kCopied = 128;       // steps; whole lanes

class VectorDotEmitter : private DotParts {
 public:
  VectorDotEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                   const std::string& name)
      : DotParts(program, options, module, name),
        matrix_(plain_access(0)),
        vector_access_(plain_access(1)),
        has_pieces_(k_axis_ > n_axis_ + 1),
        computes_(!matrix_ && !has_pieces_),
        across_(lies_across(0)),
        lanes_(product_lanes(blocking_.dtype)),
        block_(across_ ? kBlockBytes / size_of(blocking_.dtype) : kRows),
        wide_(lanes_type(k_.context, blocking_.dtype, static_cast<int>(lanes_))) {}

  llvm::Function* emit();

 private:
  /// Results of a block: the first one's origin, and how many there are.
  struct Block {
    Origin first;
    llvm::Value* count;
  };
  /// Some steps, and where the operands have them.
  struct Steps {
    llvm::Value *start, *depth;
    llvm::Value *matrix, *stride;  // bytes from step to step if neighbouring results lie beside each other, else from result to result
    llvm::Value* vector;
  };

  llvm::Value* scratch(int64_t elements) { return k_.scratch(blocking_.bytes(elements)); }
  llvm::Value* element_bytes(llvm::Value* elements) { return b_.CreateMul(elements, k_.i64(blocking_.bytes(1))); }
  llvm::Value* load(llvm::Type* type, llvm::Value* from) { return b_.CreateAlignedLoad(type, from, align()); }
  llvm::Value* load_masked(llvm::Type* type, llvm::Value* from, llvm::Value* mask) {
    return b_.CreateMaskedLoad(type, from, align(), mask, llvm::Constant::getNullValue(type));
  }
  llvm::Value* multiply_add(llvm::Value* x, llvm::Value* y, llvm::Value* sum);
  llvm::Value* add(llvm::Value* x, llvm::Value* y) {
    return is_floating(blocking_.dtype) ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
  }

  void block(const Block& block);
  void copy_vector(const Block& block, const Steps& steps);
  void copy_matrix(const Block& block, const Steps& steps);
  /// The stretches of steps that lie along one axis: the origin of the first one, its place among the steps, and how many.
  void stretches(const Origin& origin, const Steps& steps,
                 llvm::function_ref<void(const Origin& at, llvm::Value* place, llvm::Value* length)> body);
  void add_across(const Steps& steps, llvm::Value* count);
  void add_along(const Steps& steps, llvm::Value* count);
  llvm::Function* across_function();
  llvm::Function* along_function();
  void compute_across(const Origin& first, const Steps& steps, llvm::Value* count);
  void compute_lines(const std::vector<Origin>& rows, const Values& factors, llvm::Value* count, llvm::Value* line);
  void compute_along(const Origin& first, const Steps& steps, llvm::Value* count);
  void fetch_matrix(const Cursor& at, int axis, int64_t further);
  void add_lines(llvm::Value* matrix, llvm::Value* stride, llvm::Value* vector, int steps, llvm::Value* count, llvm::Value* line);
  void fold_across(llvm::Value* count);
  void fold_along(llvm::Value* count);
  void epilogue(const Block& block);

  const std::optional<int> matrix_, vector_access_;
  const bool has_pieces_;  // the steps are along several axes
  const bool computes_;    // the matrix is computed while it is read
  const bool across_;      // neighbouring results lie beside each other in the matrix
  const int64_t lanes_;    // of a sum
  const int64_t block_;    // results
  llvm::Type* const wide_;
  llvm::Value* sums_ = nullptr;           // of the block
  llvm::Value* lane_sums_ = nullptr;      // line after line, or vector after vector
  llvm::Value* matrix_copy_ = nullptr;
  llvm::Value* vector_copy_ = nullptr;
};

llvm::Value* VectorDotEmitter::multiply_add(llvm::Value* x, llvm::Value* y, llvm::Value* sum) {
  if (!is_floating(blocking_.dtype)) return b_.CreateAdd(b_.CreateMul(x, y), sum);
  return b_.CreateIntrinsic(llvm::Intrinsic::fma, {sum->getType()}, {x, y, sum});
}

llvm::Function* VectorDotEmitter::emit() {
  const int64_t padded = block_ + lanes_of(k_.program, k_.target);
  sums_ = scratch(padded);
  lane_sums_ = scratch(block_ * lanes_);
  matrix_copy_ = scratch(block_ * kCopied + lanes_);
  vector_copy_ = scratch(kCopied + lanes_);
  emit_constants();
  k_.walk_segments(n_axis_, n_axis_, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
    count(from, to, k_.i64(block_), false, [&](llvm::Value* j) {
      block({k_.move(origin, n_axis_, j), min(b_.CreateSub(to, j), k_.i64(block_))});
    });
  });
  return k_.finish();
}

void VectorDotEmitter::block(const Block& block) {
  llvm::Value* all = k_.extent(n_axis_ + 1);
  for (int axis = n_axis_ + 2; axis <= k_axis_; ++axis) all = b_.CreateMul(all, k_.extent(axis));
  llvm::Value* one = k_.i64(1);
  // Which operands are read where they are.
  llvm::Value *direct_matrix = b_.getFalse(), *direct_vector = b_.getFalse();
  if (vector_access_ && !has_pieces_) {
    direct_vector = b_.CreateICmpEQ(k_.access_stride(*vector_access_, k_axis_), one);
  }
  if (computes_) direct_matrix = b_.getTrue();
  if (matrix_ && !has_pieces_) {
    direct_matrix = across_ ? b_.getTrue() : b_.CreateICmpEQ(k_.access_stride(*matrix_, k_axis_), one);
  }
  llvm::Value* at_once = b_.CreateSelect(b_.CreateAnd(direct_matrix, direct_vector), max(all, one), k_.i64(kCopied));
  llvm::Value* lines = across_ ? k_.i64(lanes_) : block.count;
  llvm::Value* length = across_ ? block.count : k_.i64(lanes_);
  k_.loop(k_.i64(0), lines, one, {lane_sums_}, false, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> line) {
    count(k_.i64(0), length, k_.i64(blocking_.lanes), false, [&](llvm::Value* j) { store(zero_vector(), at(line[0], j)); });
    return Values{at(line[0], k_.i64(across_ ? block_ : lanes_))};
  });

  count(k_.i64(0), all, at_once, true, [&](llvm::Value* start) {
    Steps steps{start, min(b_.CreateSub(all, start), at_once), matrix_copy_, nullptr, vector_copy_};
    steps.stride = k_.i64(blocking_.bytes(across_ ? block_ : kCopied));
    if (vector_access_ && !has_pieces_) {
      llvm::Value* there = at(block.first.accesses[*vector_access_], start);
      steps.vector = b_.CreateSelect(direct_vector, there, vector_copy_);
    }
    if (matrix_ && !has_pieces_) {
      llvm::Value* step = k_.access_stride(*matrix_, k_axis_);
      llvm::Value* there = at(block.first.accesses[*matrix_], b_.CreateMul(start, step));
      llvm::Value* stride = element_bytes(across_ ? step : k_.access_stride(*matrix_, n_axis_));
      steps.matrix = b_.CreateSelect(direct_matrix, there, matrix_copy_);
      steps.stride = b_.CreateSelect(direct_matrix, stride, steps.stride);
    }
    k_.if_then(b_.CreateNot(direct_vector), [&] { copy_vector(block, steps); });
    if (computes_) {
      const Origin first = move_operand(0, block.first, k_axis_, start);
      return across_ ? compute_across(first, steps, block.count) : compute_along(first, steps, block.count);
    }
    const bool known = matrix_ && !has_pieces_ && across_;
    if (!known) k_.if_then(b_.CreateNot(direct_matrix), [&] { copy_matrix(block, steps); });
    across_ ? add_across(steps, block.count) : add_along(steps, block.count);
  });
  across_ ? fold_across(block.count) : fold_along(block.count);
  epilogue(block);
}

// Copies of operands.

void VectorDotEmitter::stretches(const Origin& origin, const Steps& steps,
                                 llvm::function_ref<void(const Origin&, llvm::Value*, llvm::Value*)> body) {
  if (!has_pieces_) return body(k_.move(origin, k_axis_, steps.start), k_.i64(0), steps.depth);
  llvm::Value* length = k_.extent(k_axis_);
  llvm::Value* end = b_.CreateAdd(steps.start, steps.depth);
  llvm::Value* last = b_.CreateUDiv(b_.CreateSub(end, k_.i64(1)), length);
  count(b_.CreateUDiv(steps.start, length), b_.CreateAdd(last, k_.i64(1)), k_.i64(1), false, [&](llvm::Value* piece) {
    llvm::Value* first = b_.CreateMul(piece, length);
    llvm::Value* from = max(first, steps.start);
    llvm::Value* to = min(b_.CreateAdd(first, length), end);
    Origin at = k_.move(origin, k_axis_, b_.CreateSub(from, first));
    llvm::Value* rest = piece;
    for (int axis = k_axis_ - 1; axis > n_axis_ + 1; --axis) {
      at = k_.move(at, axis, b_.CreateURem(rest, k_.extent(axis)));
      rest = b_.CreateUDiv(rest, k_.extent(axis));
    }
    body(k_.move(at, n_axis_ + 1, rest), b_.CreateSub(from, steps.start), b_.CreateSub(to, from));
  });
}

void VectorDotEmitter::copy_vector(const Block& block, const Steps& steps) {
  stretches(block.first, steps, [&](const Origin& origin, llvm::Value* place, llvm::Value* length) {
    compute_steps(1, origin, length, at(vector_copy_, place));
  });
}

void VectorDotEmitter::copy_matrix(const Block& block, const Steps& steps) {
  if (!across_) {
    count(k_.i64(0), block.count, k_.i64(1), false, [&](llvm::Value* row) {
      llvm::Value* to = at(matrix_copy_, b_.CreateMul(row, k_.i64(kCopied)));
      stretches(k_.move(block.first, n_axis_, row), steps, [&](const Origin& origin, llvm::Value* place, llvm::Value* length) {
        compute_steps(0, origin, length, at(to, place));
      });
    });
    return;
  }
  const int width = static_cast<int>(blocking_.lanes);
  stretches(block.first, steps, [&](const Origin& origin, llvm::Value* place, llvm::Value* length) {
    count(k_.i64(0), length, k_.i64(1), false, [&](llvm::Value* p) {
      llvm::Value* to = at(matrix_copy_, b_.CreateMul(b_.CreateAdd(place, p), k_.i64(block_)));
      const Origin line = k_.move(origin, k_axis_, p);
      k_.vector_loop(k_.i64(0), block.count, width, {}, false, k_.target.masked_ops,
                     [&](llvm::Value* j, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
        const Cursor lanes = lanes_along(move_operand(0, line, n_axis_, j), std::nullopt, n_axis_, width, mask.lanes);
        store(operand_lanes(0, lanes, constants_), at(to, j));
        return Values{};
      });
    });
  });
}

// Results beside each other.

void VectorDotEmitter::add_across(const Steps& steps, llvm::Value* count) {
  b_.CreateCall(across_function(), {steps.matrix, steps.stride, steps.vector, steps.depth, count, lane_sums_});
}

/// void(matrix, stride, vector, depth, count, lines): adds step p to line p % lanes.
llvm::Function* VectorDotEmitter::across_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_across", {ptr, i64, ptr, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *matrix = f->getArg(0), *stride = f->getArg(1), *vector = f->getArg(2), *depth = f->getArg(3);
    llvm::Value* lanes = k_.i64(lanes_);
    llvm::Value* next_stride = b_.CreateMul(stride, lanes);
    llvm::Value* is_far = b_.CreateICmpSGE(b_.CreateMul(stride, depth), k_.i64(kFarBytes));
    llvm::Value* far_steps = b_.CreateSelect(is_far, k_.i64(-kFarSteps), k_.i64(0));
    k_.loop(k_.i64(0), min(depth, lanes), k_.i64(1), {matrix, vector, f->getArg(5)}, true,
            [&](llvm::Value* lane, llvm::ArrayRef<llvm::Value*> now) {
      llvm::Value* left = b_.CreateAdd(b_.CreateSub(depth, lane), k_.i64(lanes_ - 1));
      llvm::Value* mine = b_.CreateLShr(left, std::countr_zero(static_cast<uint64_t>(lanes_)));
      llvm::Value* whole = b_.CreateAnd(mine, k_.i64(-kStepsAtOnce));
      const auto by = [&](llvm::Value* from, llvm::Value* to, int steps, const Values& start) {
        return k_.loop(from, to, k_.i64(steps), start, true, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> at_step) {
          add_lines(at_step[0], next_stride, at_step[1], steps, f->getArg(4), now[2]);
          return Values{b_.CreateGEP(b_.getInt8Ty(), at_step[0], b_.CreateMul(next_stride, k_.i64(steps))),
                        at(at_step[1], k_.i64(steps * lanes_))};
        });
      };
      llvm::Value* far = b_.CreateAnd(mine, far_steps);
      const Values near = by(k_.i64(0), far, kFarSteps, {now[0], now[1]});
      by(whole, mine, 1, by(far, whole, kStepsAtOnce, near));
      return Values{b_.CreateGEP(b_.getInt8Ty(), now[0], stride), at(now[1], k_.i64(1)), at(now[2], k_.i64(block_))};
    });
  });
}

/// Adds some steps, each a row of the matrix and an element of the vector, to a line.
void VectorDotEmitter::add_lines(llvm::Value* matrix, llvm::Value* stride, llvm::Value* vector, int steps, llvm::Value* count,
                                 llvm::Value* line) {
  Values rows{matrix}, factors;
  for (int s = 1; s < steps; ++s) rows.push_back(b_.CreateGEP(b_.getInt8Ty(), rows.back(), stride));
  for (int s = 0; s < steps; ++s) {
    llvm::Value* factor = load(element_, at(vector, k_.i64(s * lanes_)));
    factors.push_back(splat(b_, factor, static_cast<int>(blocking_.lanes)));
  }
  const auto add_at = [&](llvm::Value* j, llvm::Value* mask) {
    llvm::Value* sum = load(vector_, at(line, j));
    for (int s = 0; s < steps; ++s) {
      llvm::Value* from = at(rows[s], j);
      llvm::Value* row = mask ? load_masked(vector_, from, mask) : load(vector_, from);
      sum = multiply_add(row, factors[s], sum);
    }
    store(sum, at(line, j));
  };
  llvm::Value* whole = b_.CreateAnd(count, k_.i64(-blocking_.lanes));
  this->count(k_.i64(0), whole, k_.i64(blocking_.lanes), true, [&](llvm::Value* j) { add_at(j, nullptr); });
  k_.if_then(b_.CreateICmpSLT(whole, count), [&] {
    add_at(whole, k_.mask_of_count(b_.CreateSub(count, whole), static_cast<int>(blocking_.lanes)));
  });
}

/// The same as across_function on a matrix that is computed, from the first step on.
void VectorDotEmitter::compute_across(const Origin& first, const Steps& steps, llvm::Value* results) {
  llvm::Value* lanes = k_.i64(lanes_);
  k_.loop(k_.i64(0), min(steps.depth, lanes), k_.i64(1), {lane_sums_}, true,
          [&](llvm::Value* lane, llvm::ArrayRef<llvm::Value*> line) {
    llvm::Value* left = b_.CreateAdd(b_.CreateSub(steps.depth, lane), k_.i64(lanes_ - 1));
    llvm::Value* mine = b_.CreateLShr(left, std::countr_zero(static_cast<uint64_t>(lanes_)));
    llvm::Value* whole = b_.CreateAnd(mine, k_.i64(-kStepsAtOnce));
    const auto by = [&](llvm::Value* from, llvm::Value* to, int at_once) {
      count(from, to, k_.i64(at_once), true, [&](llvm::Value* number) {
        std::vector<Origin> rows;
        Values factors;
        for (int s = 0; s < at_once; ++s) {
          llvm::Value* before = b_.CreateMul(b_.CreateAdd(number, k_.i64(s)), lanes);
          llvm::Value* step = b_.CreateAdd(lane, before);
          rows.push_back(move_operand(0, first, k_axis_, step));
          factors.push_back(splat(b_, load(element_, at(steps.vector, step)), static_cast<int>(blocking_.lanes)));
        }
        compute_lines(rows, factors, results, line[0]);
      });
    };
    by(k_.i64(0), whole, kStepsAtOnce);
    by(whole, mine, 1);
    return Values{at(line[0], k_.i64(block_))};
  });
}

/// Asks for what the matrix has further along an axis: the rows of narrow elements are too short for the processor to see
/// which one comes next.
void VectorDotEmitter::fetch_matrix(const Cursor& at, int axis, int64_t further) {
  for (const int n : operands_[0]) {
    const Instr& instr = k_.program.body[n];
    if (instr.kind != InstrKind::load || stride_along(instr.slot, k_axis_) == Stride::zero) continue;
    if (stride_along(instr.slot, n_axis_) == Stride::zero) continue;
    llvm::Value* elements = b_.CreateMul(k_.access_stride(instr.slot, axis), k_.i64(further));
    k_.fetch(k_.advance(instr.slot, at.accesses[instr.slot].lane0, elements));
  }
}

/// The same as add_lines on rows that are computed.
void VectorDotEmitter::compute_lines(const std::vector<Origin>& rows, const Values& factors, llvm::Value* results,
                                     llvm::Value* line) {
  std::vector<std::vector<llvm::Value*>> known;
  for (const Origin& row : rows) known.push_back(values_along(0, row, n_axis_, blocking_.lanes));
  const auto add_at = [&](llvm::Value* j, llvm::Value* mask) {
    const auto place_of = [&](const Origin& row) {
      return lanes_along(move_operand(0, row, n_axis_, j), std::nullopt, n_axis_, blocking_.lanes, mask);
    };
    std::vector<llvm::Value*> of_all = constants_;
    emit_unvarying(0, k_axis_, place_of(rows[0]), of_all);
    llvm::Value* sum = load(vector_, at(line, j));
    for (size_t s = 0; s < rows.size(); ++s) {
      std::vector<llvm::Value*> values = of_all;
      for (size_t n = 0; n < values.size(); ++n) values[n] = known[s][n] ? known[s][n] : values[n];
      const Cursor at_row = place_of(rows[s]);
      if (!mask) fetch_matrix(at_row, k_axis_, 1);  // the next lane's row
      sum = multiply_add(operand_lanes(0, at_row, values), factors[s], sum);
    }
    store(sum, at(line, j));
  };
  llvm::Value* whole = b_.CreateAnd(results, k_.i64(-blocking_.lanes));
  count(k_.i64(0), whole, k_.i64(blocking_.lanes), true, [&](llvm::Value* j) { add_at(j, nullptr); });
  k_.if_then(b_.CreateICmpSLT(whole, results), [&] {
    add_at(whole, k_.mask_of_count(b_.CreateSub(results, whole), static_cast<int>(blocking_.lanes)));
  });
}

void VectorDotEmitter::fold_across(llvm::Value* results) {
  count(k_.i64(0), results, k_.i64(blocking_.lanes), false, [&](llvm::Value* j) {
    Values lines;
    for (int64_t lane = 0; lane < lanes_; ++lane) {
      lines.push_back(load(vector_, at(lane_sums_, b_.CreateAdd(j, k_.i64(lane * block_)))));
    }
    for (size_t half = lines.size() / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) lines[i] = add(lines[i], lines[i + half]);
    }
    store(lines[0], at(sums_, j));
  });
}

// Results apart from each other.

void VectorDotEmitter::add_along(const Steps& steps, llvm::Value* results) {
  count(k_.i64(0), results, k_.i64(kRowsAtOnce), false, [&](llvm::Value* row) {
    llvm::Value* first = b_.CreateGEP(b_.getInt8Ty(), steps.matrix, b_.CreateMul(row, steps.stride));
    llvm::Value* sums = at(lane_sums_, b_.CreateMul(row, k_.i64(lanes_)));
    b_.CreateCall(along_function(), {first, steps.stride, steps.vector, steps.depth, b_.CreateSub(results, row), sums});
  });
}

/// void(matrix, stride, vector, depth, rows, sums): adds the steps of some rows to their lanes. Where there are fewer rows than
/// are added at once, the last one is added again, to sums that nobody reads.
llvm::Function* VectorDotEmitter::along_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_along", {ptr, i64, ptr, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *stride = f->getArg(1), *vector = f->getArg(2), *depth = f->getArg(3);
    llvm::Value* last = b_.CreateSub(f->getArg(4), k_.i64(1));
    Values rows, sums;
    for (int r = 0; r < kRowsAtOnce; ++r) {
      rows.push_back(b_.CreateGEP(b_.getInt8Ty(), f->getArg(0), b_.CreateMul(min(k_.i64(r), last), stride)));
      sums.push_back(load(wide_, at(f->getArg(5), k_.i64(r * lanes_))));
    }
    llvm::Value* whole = b_.CreateAnd(depth, k_.i64(-lanes_));
    sums = k_.loop(k_.i64(0), whole, k_.i64(lanes_), sums, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*> now) {
      llvm::Value* factors = load(wide_, at(vector, p));
      Values next;
      for (int r = 0; r < kRowsAtOnce; ++r) next.push_back(multiply_add(load(wide_, at(rows[r], p)), factors, now[r]));
      return next;
    });
    // Lanes behind the last step keep their sums: adding 0 would change -0.
    llvm::Value* mask = k_.mask_of_count(b_.CreateSub(depth, whole), static_cast<int>(lanes_));
    llvm::Value* factors = load_masked(wide_, at(vector, whole), mask);
    for (int r = 0; r < kRowsAtOnce; ++r) {
      llvm::Value* sum = multiply_add(load_masked(wide_, at(rows[r], whole), mask), factors, sums[r]);
      store(b_.CreateSelect(mask, sum, sums[r]), at(f->getArg(5), k_.i64(r * lanes_)));
    }
  });
}

/// The same as along_function on a matrix that is computed, from the first step on, for all rows.
void VectorDotEmitter::compute_along(const Origin& first, const Steps& steps, llvm::Value* results) {
  llvm::Value* whole = b_.CreateAnd(steps.depth, k_.i64(-lanes_));
  count(k_.i64(0), results, k_.i64(kRowsAtOnce), false, [&](llvm::Value* row) {
    llvm::Value* last = b_.CreateSub(b_.CreateSub(results, row), k_.i64(1));
    llvm::Value* place = at(lane_sums_, b_.CreateMul(row, k_.i64(lanes_)));
    std::vector<Origin> rows;
    std::vector<std::vector<llvm::Value*>> known;
    Values sums;
    for (int r = 0; r < kRowsAtOnce; ++r) {
      rows.push_back(move_operand(0, first, n_axis_, b_.CreateAdd(row, min(k_.i64(r), last))));
      known.push_back(values_along(0, rows[r], k_axis_, lanes_));
      sums.push_back(load(wide_, at(place, k_.i64(r * lanes_))));
    }
    const auto element = [&](int r, llvm::Value* p, llvm::Value* mask) {
      const Cursor lanes = lanes_along(move_operand(0, rows[r], k_axis_, p), std::nullopt, k_axis_, lanes_, mask);
      if (!mask) fetch_matrix(lanes, n_axis_, kRowsAtOnce);
      return operand_lanes(0, lanes, known[r]);
    };
    sums = k_.loop(k_.i64(0), whole, k_.i64(lanes_), sums, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*> now) {
      llvm::Value* factors = load(wide_, at(steps.vector, p));
      Values next;
      for (int r = 0; r < kRowsAtOnce; ++r) next.push_back(multiply_add(element(r, p, nullptr), factors, now[r]));
      return next;
    });
    for (int r = 0; r < kRowsAtOnce; ++r) store(sums[r], at(place, k_.i64(r * lanes_)));
    k_.if_then(b_.CreateICmpSLT(whole, steps.depth), [&] {
      // Lanes behind the last step keep their sums: adding 0 would change -0.
      llvm::Value* mask = k_.mask_of_count(b_.CreateSub(steps.depth, whole), static_cast<int>(lanes_));
      llvm::Value* factors = load_masked(wide_, at(steps.vector, whole), mask);
      for (int r = 0; r < kRowsAtOnce; ++r) {
        llvm::Value* sum = multiply_add(element(r, whole, mask), factors, sums[r]);
        store(b_.CreateSelect(mask, sum, sums[r]), at(place, k_.i64(r * lanes_)));
      }
    });
  });
}

void VectorDotEmitter::fold_along(llvm::Value* results) {
  count(k_.i64(0), results, k_.i64(lanes_), false, [&](llvm::Value* row) {
    Values vectors;
    for (int64_t r = 0; r < lanes_; ++r) {
      vectors.push_back(load(wide_, at(lane_sums_, b_.CreateMul(b_.CreateAdd(row, k_.i64(r)), k_.i64(lanes_)))));
    }
    store(fold_rows(b_, vectors, static_cast<int>(lanes_), [&](llvm::Value* low, llvm::Value* high) { return add(low, high); }),
          at(sums_, row));
  });
}

// The epilogue.

/// The instructions on the finished sums of a block.
void VectorDotEmitter::epilogue(const Block& block) {
  const int width = lanes_of(k_.program, k_.target);
  k_.vector_loop(k_.i64(0), block.count, width, {}, false, k_.target.masked_ops,
                 [&](llvm::Value* j, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
    const Cursor lanes = lanes_along(k_.move(block.first, n_axis_, j), std::nullopt, n_axis_, width, mask.lanes);
    std::vector<llvm::Value*> values = constants_;
    llvm::Value* sum = load(lanes_type(k_.context, blocking_.dtype, width), at(sums_, j));
    values[dot_] = b_.CreateTrunc(sum, lanes_type(k_.context, dtype_, width));
    for (size_t n = 0; n < values.size(); ++n) {
      if (k_.program.body[n].stage > 0) k_.emit(static_cast<int>(n), lanes, values);
    }
    return Values{};
  });
}

}  // namespace

llvm::Function* emit_vector_dot_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                       const std::string& name) {
  return VectorDotEmitter(program, options, module, name).emit();
}

}  // namespace etch::codegen
