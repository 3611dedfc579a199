// Which ops there are: their names, where they stand in a kernel, and the table of the elementwise ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "etch/dtype.h"
#include "runtime/check.h"

namespace etch {

/// All ops of ops.def in its order: first the rows, then the structural ops.
enum class Op : uint8_t {
#define ETCH_OP(name, ...) name,
#define ETCH_STRUCTURAL_OP(name, Struct) name,
#include "compiler/ir/ops.def"
};

inline constexpr int kNumTableOps = 0
#define ETCH_OP(...) +1
#include "compiler/ir/ops.def"
    ;  // NOLINT: the sum of the rows
inline constexpr int kNumOps = kNumTableOps
#define ETCH_STRUCTURAL_OP(...) +1
#include "compiler/ir/ops.def"
    ;  // NOLINT: and of the structural ops

/// Legal operand dtypes of an elementwise op and what results.
enum class TypeRule : uint8_t {
  floating,   // a float -> the same
  numeric,    // all but bool -> the same
  integer,    // an integer -> the same
  word64,     // u64 -> the same
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
    case TypeRule::word64: return dtype == DType::u64;
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

/// A row of ops.def.
constexpr bool is_table_op(Op op) { return static_cast<int>(op) < kNumTableOps; }

/// The row of a table op.
const OpInfo& info(Op op);

/// How the schedule and the code generator see an op. What else they need of it they ask in placing.h.
enum class Place : uint8_t {
  input,        // the function's argument
  elementwise,  // result element i depends on operand elements i alone, after NumPy broadcasting
  splat,        // every element has the same value
  index,        // each element is its index along an axis
  view,         // the operand's elements in their order under another shape: the same memory
  movement,     // each element is the operand's at an index that is affine in its own
  boxes,        // operands fill boxes of the result
  indexed,      // operand 0's elements at indices along an axis, which operand 1 holds
  reduction,    // drops axes
  product,      // [batch..., m, k] x [batch..., k, n] -> [batch..., m, n]
  call,         // a library function computes the results from operands in memory
  region,       // runs graphs that it owns
  host,         // calls a function of the host on operands in memory: an effect
};

Place place(Op op);

/// Table ops, and those that are elementwise beside the table.
inline bool is_elementwise(Op op) { return place(op) == Place::elementwise; }

/// Ops that only say where an element is found.
inline bool is_movement(Op op) { return place(op) == Place::view || place(op) == Place::movement; }

/// Ops that a kernel computes: their elements are neither given nor known beforehand, nor an operand's own memory.
inline bool is_computed(Op op) {
  const Place kind = place(op);
  return kind == Place::elementwise || kind == Place::movement || kind == Place::indexed || kind == Place::reduction ||
         kind == Place::product;
}

/// True if the op computes in the wider dtype where its operands are of a storage-only one (dtypes.def). The others move,
/// make or convert elements; nextafter steps along the numbers of the dtype itself.
bool computes_wide(Op op);

/// True if the type of the result says what the op does, as for a cast: then it must be given.
bool needs_type(Op op);

/// Work per element in units of one addition; 0 for what is no arithmetic.
int cost_of(Op op);

/// The elementwise op that gives a value in another dtype.
inline constexpr Op kConversion = Op::cast;

/// The op's name in text, such as `tanh` or `reduce`.
std::string_view name(Op op);

/// The op of this name, if there is one.
std::optional<Op> find_op(std::string_view name);

enum class ReduceKind : uint8_t { sum, prod, max, min, any, all, argmax, argmin };
inline constexpr int kNumReduceKinds = 8;

/// The kind's name in text, such as `sum`.
constexpr std::string_view name(ReduceKind kind) {
  constexpr std::string_view kNames[kNumReduceKinds] = {"sum", "prod", "max", "min", "any", "all", "argmax", "argmin"};
  return kNames[static_cast<int>(kind)];
}

/// dispatch for a dtype that ops compute in, so that `f` is made for those only.
template <class F>
decltype(auto) dispatch_computed(DType dtype, F&& f) {
  return dispatch(dtype, [&]<class T>() -> decltype(f.template operator()<float>()) {
    if constexpr (computes_itself(dtype_of<T>)) {
      return f.template operator()<T>();
    } else {
      ETCH_UNREACHABLE("an op that computes is left in a storage-only dtype");
    }
  });
}

/// The bits of an element of C++ type T: little endian, the rest zero.
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
