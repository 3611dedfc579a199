// The ops of the graph: their names, the attributes of the structural ones and the table of the elementwise ones.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/functional/function_ref.h"
#include "etch/dtype.h"
#include "etch/shape.h"

namespace etch {

/// All ops: first the rows of ops.def in their order, then the structural ops.
enum class Op : uint8_t {
#define ETCH_OP(name, ...) name,
#include "compiler/ir/ops.def"
  cast,       // elementwise: the value in another dtype; the dtype stands in the type
  bitcast,    // elementwise: the bits read as another dtype of the same size
  input,      // InputAttr: the function's argument
  constant,   // ConstantAttr: every element has the same value
  iota,       // AxisAttr: the index along an axis
  reduce,     // ReduceAttr: drops the reduced axes
  dot,        // [batch..., m, k] x [batch..., k, n] -> [batch..., m, n], equal batch extents
  reshape,    // the same elements in row-major order under another shape; the shape stands in the type
  transpose,  // TransposeAttr
  broadcast,  // NumPy's broadcast_to; the shape stands in the type
  slice,      // SliceAttr; the extents stand in the type
  pad,        // PadAttr; operand 1 is the rank-0 padding value
  concat,     // AxisAttr; any number of operands, at least one
};

inline constexpr int kNumTableOps = static_cast<int>(Op::cast);
inline constexpr int kNumOps = static_cast<int>(Op::concat) + 1;

/// Legal operand dtypes of an elementwise op and what results.
enum class TypeRule : uint8_t {
  floating,   // a float -> the same
  numeric,    // all but bool -> the same
  integer,    // an integer -> the same
  logical,    // bool -> bool
  equality,   // any -> bool
  ordering,   // all but bool -> bool
  predicate,  // a float -> bool
  select,     // bool, T, T -> T
};

/// True if an op with this rule takes operands of this dtype; for select, as its two values.
constexpr bool takes(TypeRule rule, DType dtype) {
  switch (rule) {
    case TypeRule::floating:
    case TypeRule::predicate: return is_floating(dtype);
    case TypeRule::numeric:
    case TypeRule::ordering: return is_numeric(dtype);
    case TypeRule::integer: return is_integer(dtype);
    case TypeRule::logical: return !is_numeric(dtype);
    case TypeRule::equality:
    case TypeRule::select: break;
  }
  return true;
}

/// The names of the dtypes for which `chosen` holds, as in `f32, f64 or u8`.
std::string list_dtypes(absl::FunctionRef<bool(DType)> chosen);

/// The names of the dtypes that the rule takes.
inline std::string list_dtypes(TypeRule rule) {
  return list_dtypes([rule](DType dtype) { return takes(rule, dtype); });
}

enum class Accuracy : uint8_t { exact, approximate };

/// What ops.def says of an elementwise op.
struct OpInfo {
  std::string_view name;
  int arity;
  TypeRule rule;
  Accuracy accuracy;
  int cost;
};

/// The row of an elementwise op of ops.def; `op` is below Op::cast.
const OpInfo& info(Op op);

/// The op's name in text, such as `tanh` or `reduce`.
std::string_view name(Op op);

/// The op of this name, if there is one.
std::optional<Op> find_op(std::string_view name);

/// A table op, cast or bitcast: result element i depends on operand elements i alone (after NumPy broadcasting).
constexpr bool is_elementwise(Op op) { return op <= Op::bitcast; }

/// Ops that only say where an element is found: reshape, transpose, broadcast and slice.
constexpr bool is_movement(Op op) {
  return op == Op::reshape || op == Op::transpose || op == Op::broadcast || op == Op::slice;
}

enum class ReduceKind : uint8_t { sum, prod, max, min, any, all, argmax, argmin };

/// The kind's name in text, such as `sum`.
std::string_view name(ReduceKind kind);

// Attributes. Each names its fields for the printer and the parser, in order.
struct NoAttr {
  static constexpr std::array<std::string_view, 0> kFields{};
  bool operator==(const NoAttr&) const = default;
};
struct InputAttr {
  int64_t index = 0;
  static constexpr std::array<std::string_view, 1> kFields{"index"};
  bool operator==(const InputAttr&) const = default;
};
struct ConstantAttr {
  uint64_t bits = 0;  // the element's bytes, little endian, the rest zero: equality is by bits
  static constexpr std::array<std::string_view, 1> kFields{"value"};
  bool operator==(const ConstantAttr&) const = default;
};
struct AxisAttr {
  int64_t axis = 0;
  static constexpr std::array<std::string_view, 1> kFields{"axis"};
  bool operator==(const AxisAttr&) const = default;
};
struct ReduceAttr {
  ReduceKind kind = ReduceKind::sum;
  Dims axes;  // ascending, distinct, not negative; exactly one for argmax and argmin
  static constexpr std::array<std::string_view, 2> kFields{"kind", "axes"};
  bool operator==(const ReduceAttr&) const = default;
};
struct TransposeAttr {
  Dims perm;  // result axis i is operand axis perm[i]
  static constexpr std::array<std::string_view, 1> kFields{"perm"};
  bool operator==(const TransposeAttr&) const = default;
};
struct SliceAttr {
  Dims start;  // result index i reads operand index start + i * step
  Dims step;   // not zero; may be negative
  static constexpr std::array<std::string_view, 2> kFields{"start", "step"};
  bool operator==(const SliceAttr&) const = default;
};
struct PadAttr {
  Dims low;   // elements put before; not negative
  Dims high;  // elements put after; not negative
  static constexpr std::array<std::string_view, 2> kFields{"low", "high"};
  bool operator==(const PadAttr&) const = default;
};

using Attr =
    std::variant<NoAttr, InputAttr, ConstantAttr, AxisAttr, ReduceAttr, TransposeAttr, SliceAttr, PadAttr>;

/// The attribute of this op with all fields at their defaults: every node of the op holds this alternative.
Attr default_attr(Op op);

/// The constant's bits for a value of C++ type T.
template <Element T>
uint64_t to_bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

/// The value of C++ type T with these bits.
template <Element T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace etch
