// Swept kernels: every element of the domain on its own, like a loop, but lanes go along the axis before theirs.
//
// For each row of outer indices, a vector of lanes after the other: what does not move along the swept axis, such as the weights
// of each channel, is loaded once, then a loop runs along the axis. Accesses of equal strides share one offset in it, so that
// many loads take few registers. Where elements lie beyond the borders of memory, an access reads lanes of what fills them;
// the indices at which no access does so have a loop of their own, which tests nothing.
#include <algorithm>
#include <map>

#include "compiler/codegen/emit.h"

namespace etch::codegen {
namespace {

/// Indices along the swept axis: from .. to, of which low .. high are within all borders.
struct Stretch {
  llvm::Value *from, *low, *high, *to;
};

class SweptEmitter {
 public:
  SweptEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : k_(program, options, module, name), b_(k_.b), program_(program), lanes_axis_(program.rank() - 1), swept_(lanes_axis_ - 1),
        width_(std::min<int>(lanes_of(program, k_.target), kSweptLanes)) {
    find_levels();
    for (int a = 0; a < num_accesses(); ++a) {
      if (program.accesses[a].fill >= 0) bordered_.push_back(a);
    }
  }

  llvm::Function* emit();

 private:
  enum class When : uint8_t { kernel, column, element };

  int num_accesses() const { return static_cast<int>(program_.accesses.size()); }
  /// The access whose strides this one has.
  int like(int access) const { return program_.accesses[access].like < 0 ? access : program_.accesses[access].like; }
  llvm::Value* smin(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); }
  llvm::Value* smax(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y); }
  llvm::Value* first_of_range(int access, int axis) { return k_.size(range(access, axis)); }
  llvm::Value* end_of_range(int access, int axis) { return k_.size(range(access, axis) + 1); }
  int64_t range(int access, int axis) const { return k_.layout.range(program_.bordered_before(access), axis); }

  void find_levels();
  void fill_borders();
  void find_rows_within(const Origin& origin);
  Stretch stretch_of(llvm::Value* from, llvm::Value* to);
  void column(const Origin& origin, llvm::Value* lane, const Stretch& stretch);
  void lead_beyond_borders(int access, llvm::Value* within, Place& place);
  Cursor cursor_at(const Cursor& column, const std::vector<llvm::Value*>& offsets, llvm::Value* index);
  void emit_elements(const Cursor& at, std::vector<llvm::Value*> values);

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  const int lanes_axis_, swept_;
  const int width_;
  std::vector<When> levels_;
  std::vector<llvm::Value*> of_kernel_;         // values by instruction
  std::vector<int> elements_;                   // instructions
  std::vector<int> bordered_;                   // accesses
  std::map<int, llvm::Value*> fills_;           // by param: lanes in memory
  std::map<int, llvm::Value*> is_row_within_;   // i1 by access: the outer indices are within its borders
};

void SweptEmitter::find_levels() {
  for (size_t i = 0; i < program_.body.size(); ++i) {
    const Instr& instr = program_.body[i];
    When when = When::kernel;
    if (instr.kind == InstrKind::store || instr.kind == InstrKind::index) when = When::element;
    if (instr.kind == InstrKind::load && !program_.accesses[instr.slot].uniform) {
      when = program_.accesses[instr.slot].still ? When::column : When::element;
    }
    for (int arg : instr.args) when = std::max(when, levels_[arg]);
    levels_.push_back(when);
    if (when == When::element) elements_.push_back(static_cast<int>(i));
  }
}

/// Lanes of every value that stands for what lies beyond borders, as many as the steps from lane to lane go over.
void SweptEmitter::fill_borders() {
  int steps = 1;
  for (int access : bordered_) steps = std::max(steps, small_step(program_.accesses[access].stride));
  for (int access : bordered_) {
    const int16_t fill = program_.accesses[access].fill;
    if (fills_.contains(fill)) continue;
    const DType dtype = program_.accesses[access].dtype;
    llvm::Type* element = memory_type(k_.context, dtype);
    llvm::Value* bits = b_.CreateTrunc(k_.size(k_.layout.param(fill)), b_.getIntNTy(element->getScalarSizeInBits()));
    llvm::Value* lanes = splat(b_, b_.CreateBitCast(bits, element), width_);
    llvm::AllocaInst* memory = k_.frame(llvm::ArrayType::get(element, width_ * steps), llvm::Align(64));
    for (int step = 0; step < steps; ++step) {
      b_.CreateAlignedStore(lanes, b_.CreateConstInBoundsGEP1_64(element, memory, step * width_), llvm::Align(size_of(dtype)));
    }
    fills_[fill] = memory;
  }
}

llvm::Function* SweptEmitter::emit() {
  fill_borders();
  of_kernel_.resize(program_.body.size());
  const Cursor whole = k_.element(k_.origin());
  for (size_t i = 0; i < of_kernel_.size(); ++i) {
    if (levels_[i] == When::kernel) k_.emit(static_cast<int>(i), whole, of_kernel_);
  }
  k_.walk_segments(swept_, swept_, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
    find_rows_within(origin);
    const Stretch stretch = stretch_of(from, to);
    // The last lanes of a row may begin before the end of those before them.
    llvm::Value* n = k_.extent(lanes_axis_);
    llvm::Value* last = b_.CreateSub(n, k_.i64(width_));
    k_.loop(k_.i64(0), n, k_.i64(width_), {}, false, [&](llvm::Value* lane, llvm::ArrayRef<llvm::Value*>) {
      column(origin, smin(lane, last), stretch);
      return Values{};
    });
  });
  return k_.finish();
}

void SweptEmitter::find_rows_within(const Origin& origin) {
  std::vector<llvm::Value*> indices(swept_);
  llvm::Value* rest = origin.row;
  for (int axis = swept_ - 1; axis >= 0; --axis) {
    indices[axis] = axis > 0 ? b_.CreateURem(rest, k_.extent(axis)) : rest;
    if (axis > 0) rest = b_.CreateUDiv(rest, k_.extent(axis));
  }
  for (int access : bordered_) {
    llvm::Value* within = b_.getTrue();
    for (int axis = 0; axis < swept_; ++axis) {
      within = b_.CreateAnd(within, b_.CreateICmpSGE(indices[axis], first_of_range(access, axis)));
      within = b_.CreateAnd(within, b_.CreateICmpSLT(indices[axis], end_of_range(access, axis)));
    }
    is_row_within_[access] = within;
  }
}

Stretch SweptEmitter::stretch_of(llvm::Value* from, llvm::Value* to) {
  llvm::Value *low = from, *high = to;
  if (bordered_.empty()) return {from, low, high, to};
  llvm::Value* within = b_.getTrue();
  for (int access : bordered_) {
    low = smax(low, first_of_range(access, swept_));
    high = smin(high, end_of_range(access, swept_));
    within = b_.CreateAnd(within, is_row_within_[access]);
  }
  low = b_.CreateSelect(within, smin(low, to), to);
  return {from, low, smax(low, b_.CreateSelect(within, high, to)), to};
}

/// Some lanes of a row, from `lane` on.
void SweptEmitter::column(const Origin& origin, llvm::Value* lane, const Stretch& stretch) {
  const Cursor column = k_.cursor(origin, lane, width_, {});
  std::vector<llvm::Value*> values = of_kernel_;
  for (size_t i = 0; i < values.size(); ++i) {
    if (levels_[i] == When::column) k_.emit(static_cast<int>(i), column, values);
  }
  for (int i : elements_) {
    if (takes_scalars(program_.body[i])) continue;
    for (int arg : program_.body[i].args) {
      if (values[arg]) values[arg] = splat(b_, values[arg], width_);
    }
  }

  // Offsets from the first index on, for the first one of the accesses with equal strides.
  std::vector<int> movers;
  for (int a = 0; a < num_accesses(); ++a) {
    const Access& access = program_.accesses[a];
    if (!access.still && !access.uniform && like(a) == a) movers.push_back(a);
  }
  std::vector<llvm::Value*> offsets(num_accesses());
  if (!bordered_.empty()) {
    llvm::Value* before = b_.CreateSub(stretch.low, stretch.from);
    llvm::Value* skipped = b_.CreateSub(stretch.high, stretch.low);
    llvm::Value* edges = b_.CreateAdd(before, b_.CreateSub(stretch.to, stretch.high));
    k_.loop(k_.i64(0), edges, k_.i64(1), {}, true, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* index = b_.CreateAdd(stretch.from, i);
      index = b_.CreateSelect(b_.CreateICmpSLT(i, before), index, b_.CreateAdd(index, skipped));
      for (int a : movers) offsets[a] = b_.CreateMul(index, k_.access_stride(a, swept_));
      Cursor at = cursor_at(column, offsets, index);
      for (int a : bordered_) {
        llvm::Value* within = b_.CreateAnd(b_.CreateICmpSGE(index, first_of_range(a, swept_)),
                                           b_.CreateICmpSLT(index, end_of_range(a, swept_)));
        lead_beyond_borders(a, b_.CreateAnd(within, is_row_within_[a]), at.accesses[a]);
      }
      emit_elements(at, values);
      return Values{};
    });
  }
  Values first;
  for (int a : movers) first.push_back(b_.CreateMul(stretch.low, k_.access_stride(a, swept_)));
  k_.loop(stretch.low, stretch.high, k_.i64(1), first, !bordered_.empty(),
          [&](llvm::Value* index, llvm::ArrayRef<llvm::Value*> now) {
    Values next;
    for (size_t m = 0; m < movers.size(); ++m) {
      offsets[movers[m]] = now[m];
      next.push_back(b_.CreateAdd(now[m], k_.access_stride(movers[m], swept_)));
    }
    emit_elements(cursor_at(column, offsets, index), values);
    return next;
  });
}

/// Where an access is not within its borders it finds all its lanes among those of what fills them.
void SweptEmitter::lead_beyond_borders(int access, llvm::Value* within, Place& place) {
  llvm::Value* lanes = fills_[program_.accesses[access].fill];
  llvm::Type* element = memory_type(k_.context, program_.accesses[access].dtype);
  if (place.stride == Stride::back) lanes = b_.CreateConstInBoundsGEP1_64(element, lanes, width_ - 1);
  place.lane0 = b_.CreateSelect(within, place.lane0, lanes);
  if (place.stride == Stride::other) place.step = b_.CreateSelect(within, place.step, k_.i64(0));
}

/// The lanes of a column at an index along the swept axis.
Cursor SweptEmitter::cursor_at(const Cursor& column, const std::vector<llvm::Value*>& offsets, llvm::Value* index) {
  Cursor at = column;
  for (int a = 0; a < num_accesses(); ++a) {
    if (!offsets[like(a)] || program_.accesses[a].still) continue;
    at.accesses[a].lane0 = k_.advance(a, at.accesses[a].lane0, offsets[like(a)]);
  }
  for (size_t i = 0; i < at.indices.size(); ++i) {
    at.indices[i].lane0 = b_.CreateAdd(at.indices[i].lane0, b_.CreateMul(index, k_.index_stride(i, swept_)));
  }
  return at;
}

void SweptEmitter::emit_elements(const Cursor& at, std::vector<llvm::Value*> values) {
  k_.emit_all(elements_, at, values, [](int) {});
}

}  // namespace

llvm::Function* emit_swept_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                  const std::string& name) {
  return SweptEmitter(program, options, module, name).emit();
}

}  // namespace etch::codegen
