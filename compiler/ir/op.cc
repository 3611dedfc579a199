// Names and properties of the ops, from ops.def and the structs of the structural ops.
#include "compiler/ir/op.h"

#include <unordered_map>
#include <vector>

#include "compiler/ir/any_op.h"

namespace etch {
namespace {

constexpr OpInfo kTableOps[kNumTableOps] = {
#define ETCH_OP(name, arity, rule, accuracy, cost, ...) \
  {#name, arity, TypeRule::rule, Accuracy::accuracy, cost},
#include "compiler/ir/ops.def"
};

struct StructuralInfo {
  std::string_view name;
  Traits traits;
};

constexpr StructuralInfo kStructuralOps[] = {
#define ETCH_STRUCTURAL_OP(name, Struct) {#name, op::Struct::kTraits},
#include "compiler/ir/ops.def"
};

const StructuralInfo& structural(Op op) { return kStructuralOps[static_cast<int>(op) - kNumTableOps]; }

}  // namespace

std::string list_dtypes(absl::FunctionRef<bool(DType)> chosen) {
  std::vector<std::string_view> names;
  for (int i = 0; i < kNumDTypes; ++i) {
    if (chosen(static_cast<DType>(i))) names.push_back(name(static_cast<DType>(i)));
  }
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 < names.size() ? ", " : " or ";
    text += names[i];
  }
  return text;
}

const OpInfo& info(Op op) { return kTableOps[static_cast<int>(op)]; }

Place place(Op op) { return is_table_op(op) ? Place::elementwise : structural(op).traits.place; }

bool computes_wide(Op op) {
  if (is_table_op(op)) return op != Op::nextafter;
  return place(op) == Place::reduction || place(op) == Place::product || structural(op).traits.adds_up;
}

bool needs_type(Op op) { return !is_table_op(op) && structural(op).traits.type == ResultType::given; }

int cost_of(Op op) { return is_table_op(op) ? info(op).cost : structural(op).traits.cost; }

std::string_view name(Op op) { return is_table_op(op) ? info(op).name : structural(op).name; }

std::optional<Op> find_op(std::string_view text) {
  static const auto* const kOps = [] {
    auto* ops = new std::unordered_map<std::string_view, Op>;
    for (int i = 0; i < kNumOps; ++i) ops->emplace(name(static_cast<Op>(i)), static_cast<Op>(i));
    return ops;
  }();
  const auto found = kOps->find(text);
  return found == kOps->end() ? std::nullopt : std::optional(found->second);
}

}  // namespace etch
