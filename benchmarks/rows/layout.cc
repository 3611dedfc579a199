// Workloads that move elements: transposes, slices, stencils, borders.
#include "benchmarks/rows/case.h"

namespace rows {
namespace {

using etch::Slice;

Tensor roll_stencil(Tensor x) {
  Tensor total = -8.0f * x;
  for (int i : {-1, 0, 1}) {
    for (int j : {-1, 0, 1}) {
      if (i != 0 || j != 0) total = total + roll(roll(x, i, 0), j, 1);
    }
  }
  return total;
}

Tensor heat(Tensor u, int steps) {
  const Slice inside(1, -1), before = Slice::to(-2), behind = Slice::from(2), all;
  for (int i = 0; i < steps; ++i) {
    const Tensor middle = u(inside, inside);
    const Tensor next = middle + 0.1f * (u(before, inside) + u(behind, inside) + u(inside, before) + u(inside, behind) - 4.0f * middle);
    const Tensor rows = concat(1, u(inside, Slice::to(1)), next, u(inside, Slice::from(-1)));
    u = concat(0, u(Slice::to(1), all), rows, u(Slice::from(-1), all));
  }
  return u;
}

}  // namespace

std::unique_ptr<Case> make_layout(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "add_transposed") return traced<2>([](Tensor a, Tensor b) { return a + transpose(b); }, in, way);
  if (name == "permute_0213") return traced<1>([](Tensor x) { return transpose(x, {0, 2, 1, 3}); }, in, way);
  if (name == "strided_slice") {
    return traced<1>(
        [step = sizes.at("step").get<int64_t>()](Tensor x) { return x(Slice().by(step), Slice().by(step)) * 2.0f; }, in, way);
  }
  if (name == "roll_stencil") return traced<1>(roll_stencil, in, way);
  if (name == "pad") return traced<1>([](Tensor x) { return pad(x, {{16, 16}, {16, 16}}, 0.0f); }, in, way);
  if (name == "concat") {
    return traced<2>([axis = sizes.at("axis").get<int64_t>()](Tensor a, Tensor b) { return concat(axis, a, b); }, in, way);
  }
  if (name == "rgb_to_grey") {
    return traced<1>(
        [](Tensor x) {
          const auto channel = [&](int i) { return x(etch::ellipsis, i); };
          return 0.299f * channel(0) + 0.587f * channel(1) + 0.114f * channel(2);
        },
        in, way);
  }
  if (name == "grey_to_rgb") {
    return traced<1>([](Tensor x) { return etch::stack({x, x * 0.9f, x * 0.8f}, -1); }, in, way);
  }
  if (name == "heat") {
    return traced<1>([steps = sizes.at("steps").get<int>()](Tensor u) { return heat(u, steps); }, in, way);
  }
  return nullptr;
}

}  // namespace rows
