// What the emitters of products share. Internal to code generation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compiler/codegen/emit.h"
#include "runtime/product_loops.h"

namespace etch::codegen {

/// The sizes of blocks and tiles for one dtype on one target.
struct Blocking {
  Blocking(DType sums, const Target& target, const BlockSizes& blocks)
      : dtype(sums),
        vector_bytes(target.vector_bytes),
        lanes(target.vector_bytes / size_of(sums)),
        depth(blocks.depth),
        rows(blocks.dot_rows),
        columns(blocks.dot_row_bytes / size_of(sums)) {}

  DType dtype;       // of the sums; shorter integers are summed in 32 bits
  int vector_bytes;
  int64_t lanes;     // of a vector
  int64_t depth, rows, columns;  // of a block, whose sums stay in the second cache

  int64_t bytes(int64_t elements) const { return elements * size_of(dtype); }
  int64_t panel() const { return 2 * lanes; }  // see panel_columns
  /// Of a panel of a copied block: a little more, so that panels fall into different sets.
  int64_t copied_steps() const { return depth + 2; }
  /// Blocks of steps whose copies of the second operand are kept for further rows, at the most.
  static constexpr int64_t kMostKept = 16;
};

/// A kernel function while it is made.
class DotParts {
 public:
  /// The dtype of a product's sums.
  static DType sums_of(const KernelProgram& program) {
    const DType dtype = program.body[dot_of(program)].dtype;
    return size_of(dtype) < 4 ? DType::i32 : dtype;
  }

 protected:
  DotParts(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : k_(program, options, module, name),
        b_(k_.b),
        module_(module),
        dot_(dot_of(program)),
        dtype_(program.body[dot_].dtype),
        first_row_axis_(program.axis(Role::row)),
        n_axis_(program.axis(Role::vector)),
        m_axis_(n_axis_ - 1),
        k_axis_(program.rank() - 1),
        blocking_(sums_of(program), options.target, program.blocks),
        element_(lanes_type(k_.context, blocking_.dtype, 1)),
        vector_(lanes_type(k_.context, blocking_.dtype, static_cast<int>(blocking_.lanes))) {
    find_operands();
  }

  /// Calls one of the ProductLoops of this dtype and target, by the name of its member.
  void call_loop(const char* name, llvm::ArrayRef<llvm::Value*> arguments);

  /// The access of operand 0 or 1 if it can be read as it stands in memory.
  std::optional<int> plain_access(int i) const;
  /// Emits `constants_`, at the builder's place.
  void emit_constants();
  /// The stride of an access along an axis, as far as the code knows it.
  Stride stride_along(int access, int axis) const;
  /// True if what operand i loads for neighbouring columns lies beside each other.
  bool lies_across(int i) const;
  /// The origin with the accesses of operand i moved along an axis.
  Origin move_operand(int i, const Origin& origin, int axis, llvm::Value* index);
  /// Lanes along `axis` from the origin on; `stride` is that of all accesses that move, or each access has its own.
  Cursor lanes_along(const Origin& origin, std::optional<Stride> stride, int axis, int64_t width, llvm::Value* mask);
  /// Emits what operand i needs that is the same along an axis, for the lanes of `at`.
  void emit_unvarying(int i, int axis, const Cursor& at, std::vector<llvm::Value*>& values);
  /// What operand i needs that is the same along an axis from the origin on, in `width` lanes, with the constants.
  std::vector<llvm::Value*> values_along(int i, const Origin& origin, int axis, int64_t width);
  /// Emits what operand i needs beyond the values that are known, for the lanes of `at`, and returns it as the sums' dtype.
  llvm::Value* operand_lanes(int i, const Cursor& at, std::vector<llvm::Value*> values);

  /// Computes operand i for some steps along the last axis of them.
  void compute_steps(int i, const Origin& origin, llvm::Value* steps, llvm::Value* to);
  /// Computes panels of b, row after row, as the loop copy_b copies them. Columns past the last are computed from zeros and
  /// not used.
  void compute_panels(const Origin& corner, llvm::Value* columns, llvm::Value* steps, llvm::Value* to, llvm::Value* next_panel);
  /// The same where steps lie beside each other: column after column, through `turned_lines_`, and turned. At most kProductDepth
  /// steps.
  void compute_turned_panels(const Origin& corner, llvm::Value* columns, llvm::Value* steps, llvm::Value* to,
                             llvm::Value* next_panel);

  /// An internal function of that name and this dtype, which all kernels of the module share, made by `body` if it is not there yet.
  llvm::Function* shared(const std::string& name, llvm::ArrayRef<llvm::Type*> arguments,
                         llvm::function_ref<void(llvm::Function*)> body);

  llvm::Value* min(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); }
  llvm::Value* max(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y); }
  llvm::Value* at(llvm::Value* base, llvm::Value* elements) { return b_.CreateGEP(element_, base, elements); }
  llvm::Align align() const { return llvm::Align(size_of(blocking_.dtype)); }
  llvm::Value* zero_vector() const { return llvm::Constant::getNullValue(vector_); }
  void store(llvm::Value* value, llvm::Value* to) { b_.CreateAlignedStore(value, to, align()); }
  /// loop() without values.
  void count(llvm::Value* from, llvm::Value* to, llvm::Value* step, bool guard,
             llvm::function_ref<void(llvm::Value*)> body);

  KernelEmitter k_;
  Builder& b_;
  llvm::Module& module_;
  const int dot_;
  const DType dtype_;
  const int first_row_axis_;
  const int n_axis_, m_axis_, k_axis_;  // the last ones, of rows and of k
  const Blocking blocking_;
  llvm::Type* const element_;
  llvm::Type* const vector_;
  std::vector<llvm::Value*> constants_;  // values that are the same in the whole kernel
  std::vector<int> operands_[2];         // the instructions that compute them, ascending
  llvm::Value* turned_lines_ = nullptr;  // scratch for the steps of a panel's columns, kProductLeading elements each

 private:
  static int dot_of(const KernelProgram& program);
  void find_operands();
};

}  // namespace etch::codegen
