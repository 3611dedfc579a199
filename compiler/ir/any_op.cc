// What all ops do, asked of the one that it is.
#include "compiler/ir/any_op.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "runtime/check.h"

namespace etch {
namespace {

Type computed_type(const Type& type) { return {info(type.dtype).compute, type.shape}; }

Literal cast(const Literal& operand, const Type& type) {
  const Literal* const operands[] = {&operand};
  return std::move(evaluate(kConversion, operands, {&type, 1})[0]);
}

/// What the op gives in the dtypes that storage-only operands and results compute in, rounded to their own.
std::vector<Literal> evaluate_wide(const AnyOp& op, Literals operands, std::span<const Type> results) {
  std::vector<Literal> wide;
  for (const Literal* operand : operands) wide.push_back(cast(*operand, computed_type(operand->type)));
  std::vector<const Literal*> pointers;
  for (const Literal& operand : wide) pointers.push_back(&operand);
  std::vector<Type> types;
  for (const Type& type : results) types.push_back(computed_type(type));
  std::vector<Literal> values = evaluate(op, pointers, types);
  for (size_t i = 0; i < values.size(); ++i) values[i] = cast(values[i], results[i]);
  return values;
}

bool is_computed_in(const Literal* operand) { return computes_itself(operand->type.dtype); }

}  // namespace

AnyOp::Fields AnyOp::default_fields(Op op) {
  switch (op) {
#define ETCH_OP(name, ...) case Op::name:
#include "compiler/ir/ops.def"
    break;
#define ETCH_STRUCTURAL_OP(name, Struct) \
  case Op::name: return AnyOp(op::Struct{}).fields_;
#include "compiler/ir/ops.def"
  }
  return Row{op};
}

AnyOp canonical(AnyOp op, std::span<const Type> results) {
  return op.visit([&]<class T>(const T& fields) -> AnyOp {
    if constexpr (requires(T copy) { copy.make_canonical(results[0]); }) {
      T copy = fields;
      copy.make_canonical(results[0]);
      if (!(copy == fields)) return copy;
    }
    return op;
  });
}

absl::Status check_operands(const AnyOp& op, Literals operands) {
  return op.visit([&](const auto& fields) -> absl::Status {
    if constexpr (requires { fields.check(operands); }) {
      return fields.check(operands);
    } else {
      return absl::OkStatus();
    }
  });
}

std::vector<Literal> evaluate(const AnyOp& op, Literals operands, std::span<const Type> results) {
  if (computes_wide(op) && !std::all_of(operands.begin(), operands.end(), is_computed_in)) {
    return evaluate_wide(op, operands, results);
  }
  return op.visit([&](const auto& fields) -> std::vector<Literal> {
    if constexpr (requires { fields.evaluate(operands, results); }) {
      return fields.evaluate(operands, results);
    } else if constexpr (requires { fields.channels(0); }) {
      ETCH_CHECK(false, cat("evaluate() cannot run the regions of ", name(op)));
    } else {
      std::vector<Literal> values;
      values.push_back(fields.evaluate(operands, results[0]));
      return values;
    }
  });
}

absl::StatusOr<std::vector<Literal>> evaluate_regions(const AnyOp& op, Literals operands, RunRegion run_region) {
  return op.visit([&](const auto& fields) -> absl::StatusOr<std::vector<Literal>> {
    if constexpr (requires { fields.run(operands, run_region); }) {
      return fields.run(operands, run_region);
    } else {
      ETCH_CHECK(false, cat(name(op), " has no regions"));
    }
  });
}

std::vector<NamedRegion> regions_of(const AnyOp& op) {
  std::vector<NamedRegion> regions;
  if (place(op) != Place::region) return regions;
  op.visit([&]<class T>(const T& fields) {
    if constexpr (!std::is_same_v<T, Row>) {
      for_each_field(fields, [&]<class Field>(std::string_view name, const Field& field) {
        if constexpr (std::is_same_v<Field, Region>) regions.push_back({name, field});
      });
    }
  });
  return regions;
}

bool is_guarded(const AnyOp& op) {
  return op.visit([](const auto& fields) {
    if constexpr (requires { fields.guarded; }) {
      return bool{fields.guarded};
    } else {
      return false;
    }
  });
}

AnyOp with_regions(const AnyOp& op, std::span<const Region> regions) {
  return op.visit([&]<class T>(T fields) -> AnyOp {
    if constexpr (std::is_same_v<T, Row>) {
      return fields.op;
    } else {
      size_t next = 0;
      for_each_field(fields, [&]<class Field>(std::string_view, Field& field) {
        if constexpr (std::is_same_v<Field, Region>) field = regions[next++];
      });
      return fields;
    }
  });
}

}  // namespace etch
