// The DynamicRNN
//
// A cell over sequences of different lengths. In plain C++ it is a loop that ends with the longest sequence; etch::dynamic_rnn is the
// same as a form.
#include <etch/control_flow.h>
#include <etch/etch.h>
#include <etch/layers.h>

#include <array>
#include <cstdio>

using namespace etch;

namespace {

struct Cell {
  Variable w, u;

  Tensor operator()(const Tensor& x, const Tensor& h) const { return tanh(matmul(x, w) + matmul(h, u)); }
};

/// x is [batch, time, input]; gives [batch, time, units], 0 behind the end of a sequence.
Tensor dynamic(const Cell& cell, const Tensor& x, const Tensor& lengths) {
  const int64_t batch = x.shape()[0], time = x.shape()[1], units = cell.u.shape()[1];
  const TensorArray inputs{transpose(x, {1, 0, 2})};
  TensorArray outputs = TensorArray::of(time, DType::f32, {batch, units});
  Tensor h = zeros({batch, units});
  for (Tensor t : range(max(lengths))) {
    const Tensor next = cell(inputs.read(t), h), live = expand_dims(t < lengths, 1);
    h = where(live, next, h);
    outputs.write(t, where(live, next, 0.0f));
  }
  return transpose(outputs.stack(), {1, 0, 2});
}

}  // namespace

int main() {
  const Generator generator(1);
  const Cell cell{Variable(generator.normal({3, 4}, {.stddev = 0.5})), Variable(generator.normal({4, 4}, {.stddev = 0.5}))};
  const Tensor x = generator.normal({2, 5, 3}), lengths({3, 5});

  auto plain = function([&](Tensor x, Tensor lengths) { return dynamic(cell, x, lengths); });
  auto form = function([&](Tensor x, Tensor lengths) {
    const auto step = [&](const Tensor& x_t, const Tensor& h) {
      const Tensor next = cell(x_t, h);
      return std::pair(next, next);
    };
    return dynamic_rnn(step, x, zeros({2, 4}), lengths).first;
  });
  const Tensor one = plain(x, lengths), other = form(x, lengths), eager = dynamic(cell, x, lengths);
  const bool is_same = array_equal(one, other).item<bool>() && array_equal(one, eager).item<bool>();
  std::printf("the loop, the form and the eager run give the same bits: %s\n", is_same ? "yes" : "no");
  std::printf("behind the end of the first sequence: %g\n", max(abs(one[0][Slice(3, 5)])).item<float>());
  return is_same && max(abs(one[0][Slice(3, 5)])).item<float>() == 0 ? 0 : 1;
}
