// AnyOp: an op with its fields. Everything that all ops do is asked here.
#pragma once

#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "compiler/ir/fields.h"
#include "compiler/ir/literal.h"
#include "compiler/ir/op.h"
#include "compiler/ir/ops/all.h"
#include "compiler/ir/ops/row.h"
#include "compiler/ir/type.h"

namespace etch {

namespace any_op_internal {

/// Fields that would make every node large stand behind a shared pointer.
template <class T>
struct Boxed {
  std::shared_ptr<const T> box;
  bool operator==(const Boxed& other) const { return box == other.box || *box == *other.box; }
};

template <class T>
using Stored = std::conditional_t<(sizeof(T) > 8), Boxed<T>, T>;

template <class T>
Stored<T> store(T&& fields) {
  if constexpr (std::is_same_v<Stored<T>, T>) {
    return std::move(fields);
  } else {
    return {std::make_shared<const T>(std::move(fields))};
  }
}

template <class T>
const T& unbox(const T& stored) {
  return stored;
}
template <class T>
const T& unbox(const Boxed<T>& stored) {
  return *stored.box;
}

template <class T>
inline constexpr Op kOpOf{};
#define ETCH_STRUCTURAL_OP(name, Struct) \
  template <>                            \
  inline constexpr Op kOpOf<op::Struct> = Op::name;
#include "compiler/ir/ops.def"

template <class T>
concept Structural = (false
#define ETCH_STRUCTURAL_OP(name, Struct) || std::is_same_v<T, op::Struct>
#include "compiler/ir/ops.def"
);  // NOLINT: one of the list

}  // namespace any_op_internal

/// An op with its fields, as a value of 24 bytes. Where only the op counts it stands for its Op.
class AnyOp {
 public:
  /// The op with its fields at their defaults.
  AnyOp(Op op)  // NOLINT: an op without fields is named by its Op
      : fields_(is_table_op(op) ? Fields(Row{op}) : default_fields(op)) {}
  template <any_op_internal::Structural T>
  AnyOp(T fields)  // NOLINT: so that emit(op::Name{...}, ...) reads well
      : fields_(any_op_internal::store(std::move(fields))) {}

  operator Op() const {  // NOLINT
    const Row* row = std::get_if<Row>(&fields_);
    return row ? row->op : static_cast<Op>(kNumTableOps + fields_.index() - 1);
  }

  /// The fields if the op is a T, else nullptr.
  template <any_op_internal::Structural T>
  const T* as() const {
    const auto* stored = std::get_if<any_op_internal::Stored<T>>(&fields_);
    return stored ? &any_op_internal::unbox(*stored) : nullptr;
  }

  /// Calls f with the Row or the struct.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit([&](const auto& stored) -> decltype(auto) { return f(any_op_internal::unbox(stored)); }, fields_);
  }

  friend bool operator==(const AnyOp& a, const AnyOp& b) { return a.fields_ == b.fields_; }
  friend bool operator==(const AnyOp& a, Op b) { return static_cast<Op>(a) == b; }

  template <class H>
  friend H AbslHashValue(H h, const AnyOp& op) {
    h = H::combine(std::move(h), static_cast<Op>(op));
    op.visit([&](const auto& fields) {
      if constexpr (!std::is_same_v<decltype(fields), const Row&>) {
        for_each_field(fields, [&](std::string_view, const auto& field) { h = H::combine(std::move(h), field); });
      }
    });
    return h;
  }

 private:
  using Fields = std::variant<Row
#define ETCH_STRUCTURAL_OP(name, Struct) , any_op_internal::Stored<op::Struct>
#include "compiler/ir/ops.def"
                              >;
  static Fields default_fields(Op op);

  Fields fields_;
};

/// The types of the results of an op on these operand types, or why there are none. `wanted` are the types expected, or
/// empty; an op that needs_type() must be given its one.
absl::StatusOr<Types> infer(const AnyOp& op, std::span<const Type> operands, std::span<const Type> wanted);

/// The op, so that equal ops have equal fields: what the result's type makes meaningless is set to one value.
AnyOp canonical(AnyOp op, std::span<const Type> results);

/// Why the op cannot run on operands with these elements.
absl::Status check_operands(const AnyOp& op, Literals operands);

/// The results of a legal op without regions on operands that check_operands has nothing against: the oracle.
std::vector<Literal> evaluate(const AnyOp& op, Literals operands, std::span<const Type> results);

/// The same of an op with regions, which `run_region` runs.
absl::StatusOr<std::vector<Literal>> evaluate_regions(const AnyOp& op, Literals operands, RunRegion run_region);

/// The fields of an op that are regions, in order, and their names; none for most ops.
struct NamedRegion {
  std::string_view name;
  Region region;
};
std::vector<NamedRegion> regions_of(const AnyOp& op);

/// True for a loop that a run may end before it ends by itself.
bool is_guarded(const AnyOp& op);

/// The op with other regions, in the order of regions_of().
AnyOp with_regions(const AnyOp& op, std::span<const Region> regions);

}  // namespace etch
