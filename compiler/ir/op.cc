// Names and properties of the ops, from ops.def.
#include "compiler/ir/op.h"

#include <unordered_map>
#include <vector>

namespace etch {
namespace {

constexpr OpInfo kTableOps[] = {
#define ETCH_OP(name, arity, rule, accuracy, cost, ...) \
  {#name, arity, TypeRule::rule, Accuracy::accuracy, cost},
#include "compiler/ir/ops.def"
};
static_assert(std::size(kTableOps) == kNumTableOps);

constexpr std::string_view kStructuralNames[] = {
    "cast",    "bitcast",   "input",     "constant", "iota", "reduce", "dot",
    "reshape", "transpose", "broadcast", "slice",    "pad",  "concat",
};
static_assert(std::size(kStructuralNames) == kNumOps - kNumTableOps);

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

std::string_view name(Op op) {
  return op < Op::cast ? info(op).name : kStructuralNames[static_cast<int>(op) - kNumTableOps];
}

std::optional<Op> find_op(std::string_view text) {
  static const auto* const kOps = [] {
    auto* ops = new std::unordered_map<std::string_view, Op>;
    for (int i = 0; i < kNumOps; ++i) ops->emplace(name(static_cast<Op>(i)), static_cast<Op>(i));
    return ops;
  }();
  const auto found = kOps->find(text);
  return found == kOps->end() ? std::nullopt : std::optional(found->second);
}

std::string_view name(ReduceKind kind) {
  constexpr std::string_view kNames[] = {"sum", "prod", "max", "min", "any", "all", "argmax", "argmin"};
  return kNames[static_cast<int>(kind)];
}

Attr default_attr(Op op) {
  switch (op) {
    case Op::input: return InputAttr{};
    case Op::constant: return ConstantAttr{};
    case Op::iota:
    case Op::concat: return AxisAttr{};
    case Op::reduce: return ReduceAttr{};
    case Op::transpose: return TransposeAttr{};
    case Op::slice: return SliceAttr{};
    case Op::pad: return PadAttr{};
    default: return NoAttr{};
  }
}

}  // namespace etch
