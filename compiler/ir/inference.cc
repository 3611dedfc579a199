// Type inference: the one place that knows which nodes are legal.
#include "compiler/ir/inference.h"

#include <algorithm>

#include "compiler/ir/field_text.h"

namespace etch {
namespace {

int arity_of(const AnyOp& op) {
  return op.visit([]<class T>(const T& fields) {
    if constexpr (std::is_same_v<T, Row>) {
      return info(fields.op).arity;
    } else {
      return T::kTraits.arity;
    }
  });
}

absl::StatusOr<Types> results_of(const AnyOp& op, const Inference& in) {
  return op.visit([&](const auto& fields) -> absl::StatusOr<Types> {
    auto inferred = fields.infer(in);
    if (!inferred.ok()) return inferred.status();
    if constexpr (std::is_same_v<decltype(inferred), absl::StatusOr<Types>>) {
      return inferred;
    } else {
      return Types{*std::move(inferred)};
    }
  });
}

absl::Status check_representable(const Inference& in, const Type& type) {
  if (is_representable(type.shape, size_of(type.dtype))) return absl::OkStatus();
  const bool negative = std::any_of(type.shape.begin(), type.shape.end(), [](int64_t extent) { return extent < 0; });
  return in.error("the result ", to_string(type),
                  negative ? " has a negative extent" : " is too large; a tensor holds at most 2^46 bytes");
}

/// What holds for every op: the number of operands and sound wanted types.
absl::Status check_form(const AnyOp& op, const Inference& in, std::span<const Type> wanted) {
  const int arity = arity_of(op);
  const int given = static_cast<int>(in.operands.size());
  if (arity == kAnyArity && given == 0) return in.error("needs at least 1 operand");
  if (arity >= 0 && arity != given) {
    return in.error("takes ", arity, arity == 1 ? " operand" : " operands", ", not ", given);
  }
  for (const Type& type : wanted) {
    if (absl::Status status = check_representable(in, type); !status.ok()) return status;
  }
  if (wanted.empty() && needs_type(op)) return in.error("needs a result type");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Types> infer(const AnyOp& op, std::span<const Type> operands, std::span<const Type> wanted) {
  for (const Type& type : wanted) {
    // Before anything prints it.
    if (static_cast<int>(type.dtype) < kNumDTypes) continue;
    return absl::InvalidArgumentError(cat(name(op), ": there is no dtype ", static_cast<int>(type.dtype)));
  }
  const Inference in(op, operands, wanted);
  if (absl::Status status = check_form(op, in, wanted); !status.ok()) return status;
  absl::StatusOr<Types> types = results_of(op, in);
  if (!types.ok()) return types;
  for (const Type& type : *types) {
    if (absl::Status status = check_representable(in, type); !status.ok()) return status;
  }
  if (wanted.empty()) return types;
  if (wanted.size() != types->size()) {
    return in.error("has ", types->size(), types->size() == 1 ? " result" : " results", ", not ", wanted.size());
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if ((*types)[i] == wanted[i]) continue;
    return in.error("the result is ", to_string((*types)[i]), ", not ", to_string(wanted[i]));
  }
  return types;
}

absl::Status Inference::error_text(const std::string& what) const {
  std::string text = cat(name(op_), "(");
  for (size_t i = 0; i < operands.size(); ++i) {
    if (i > 0) text += ", ";
    text += to_string(operands[i]);
  }
  text += ')';
  text += fields_text(op_, wanted_.empty() ? DType::i64 : wanted_[0].dtype);
  if (!wanted_.empty() && needs_type(op_)) text += " -> " + to_string(wanted_[0]);
  return absl::InvalidArgumentError(text + ": " + what);
}

absl::Status Inference::check_same_dtype(std::span<const Type> types) const {
  for (const Type& type : types.subspan(1)) {
    if (type.dtype == types[0].dtype) continue;
    return error("operands have dtypes ", name(types[0].dtype), " and ", name(type.dtype),
                 ", which are never promoted; cast one of them");
  }
  return absl::OkStatus();
}

absl::Status Inference::check_kept_dtype() const {
  if (given().dtype == operands[0].dtype) return absl::OkStatus();
  return error("keeps the dtype ", name(operands[0].dtype), "; use cast for another");
}

absl::Status Inference::check_axis(int64_t axis, int rank) const {
  if (0 <= axis && axis < rank) return absl::OkStatus();
  return error("axis ", axis, " is out of range for rank ", rank);
}

absl::Status Inference::check_entries(std::string_view what, const Dims& entries, int rank) const {
  if (entries.rank() == rank) return absl::OkStatus();
  return error(what, " has ", entries.rank(), " entries, but the operand has rank ", rank);
}

absl::StatusOr<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape = Dims::filled(rank, 1);
  for (int i = rank - 1; i >= 0; --i) {
    const int axis_a = i - (rank - a.rank());
    const int axis_b = i - (rank - b.rank());
    const int64_t extent_a = axis_a < 0 ? 1 : a[axis_a];
    const int64_t extent_b = axis_b < 0 ? 1 : b[axis_b];
    if (extent_a != extent_b && extent_a != 1 && extent_b != 1) {
      return absl::InvalidArgumentError(cat("shapes ", to_string(a), " and ", to_string(b),
                                            " do not broadcast: axis ", i, " is ", extent_a, " against ", extent_b,
                                            "; extents must be equal or 1"));
    }
    shape[i] = extent_a == 1 ? extent_b : extent_a;
  }
  return shape;
}

}  // namespace etch
