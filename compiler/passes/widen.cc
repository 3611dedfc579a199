// widen: casts around ops on storage-only dtypes.
#include "compiler/passes/widen.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "compiler/ir/ex.h"

namespace etch {
namespace {

Ex as(const Ex& x, DType dtype) { return x.dtype() == dtype ? x : cast(x, dtype); }

/// The bits of NaN and of the smallest positive number.
std::pair<int64_t, int64_t> nan_and_least(DType dtype) {
  return dispatch(dtype, []<class T>() {
    using Limits = std::numeric_limits<T>;
    return std::pair<int64_t, int64_t>(to_bits(Limits::quiet_NaN()), to_bits(Limits::denorm_min()));
  });
}

/// nextafter steps along the numbers of the dtype itself: on their bits, which are ordered as the magnitudes.
Ex short_nextafter(const Ex& a, const Ex& b) {
  const DType dtype = a.dtype();
  const Ex from = bitcast(a, DType::u16), to = bitcast(b, DType::u16);
  const Ex x = cast(a, info(dtype).compute), y = cast(b, info(dtype).compute);
  const auto [nan, least] = nan_and_least(dtype);
  // A statement for each op, since C++ leaves open which argument is made first.
  const Ex goes_up = y > x;
  const Ex is_positive = x > 0;
  const Ex next = from + 1;
  const Ex previous = from - 1;
  const Ex stepped = where(goes_up == is_positive, next, previous);
  const Ex smallest = constant(x.maker(), least, {DType::u16, {}});
  const Ex rises = y > 0;
  const Ex from_zero = where(rises, smallest, least | 0x8000);
  const Ex is_zero = x == 0;
  const Ex neighbour = where(is_zero, from_zero, stepped);
  const Ex stays = x == y;
  const Ex number = where(stays, to, neighbour);
  const Ex x_is_nan = is_nan(x);
  const Ex y_is_nan = is_nan(y);
  return bitcast(where(x_is_nan || y_is_nan, nan, number), dtype);
}

bool is_short(const Type& type) { return !computes_itself(type.dtype); }

/// What stands for a node with a result of this dtype; no expression to keep it.
Ex widened(const Node& node, std::span<const Ex> operands, DType dtype) {
  const auto is_short_operand = [](const Ex& operand) { return is_short(operand.type()); };
  if (std::none_of(operands.begin(), operands.end(), is_short_operand)) return {};
  if (node.op == Op::nextafter) return short_nextafter(operands[0], operands[1]);
  if (!computes_wide(node.op)) return {};
  absl::InlinedVector<Value, 3> wide;
  for (const Ex& operand : operands) wide.push_back(as(operand, info(operand.dtype()).compute).value());
  ExMaker& maker = operands[0].maker();
  return as(Ex(maker, maker.make(node.op, wide, nullptr)), dtype);
}

}  // namespace

absl::StatusOr<Graph> widen(Graph graph) {
  bool any_short = false;
  for (int32_t id = 0; id < graph.num_values(); ++id) any_short |= is_short(graph.type(Value{id}));
  if (!any_short) return graph;
  return rewrite(std::move(graph), [&](GraphBuilder& builder, const Node& node, std::span<const Value> values) {
    Emitter emitter(builder, node.origin);
    std::vector<Ex> operands;
    for (Value value : values) operands.emplace_back(emitter, value);
    return Replacement(widened(node, operands, graph.type(node.result()).dtype).value());
  });
}

}  // namespace etch
