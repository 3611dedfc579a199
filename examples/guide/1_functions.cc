// Functions, not sessions
//
// A session ran parts of a graph that somebody had built, by names. Here a function is called: with tensors, for tensors. The first
// call with new types traces and compiles it; what its results do not need is pruned.
#include <etch/etch.h>

#include <cstdio>

using namespace etch;

namespace {

struct Outputs {
  Tensor loss, accuracy;
};

/// Small functions are called by larger ones as in any program.
Tensor linear(const Tensor& w, const Tensor& b, const Tensor& x) { return matmul(x, w) + b; }

Outputs forward(const Tensor& w, const Tensor& b, const Tensor& x, const Tensor& y) {
  const Tensor logits = linear(w, b, x);
  const Tensor wrong = logits - y;
  return {mean(wrong * wrong), mean(cast((logits > 0.5f) == (y > 0.5f), DType::f32))};
}

}  // namespace

int main() {
  const Tensor w({{2.0f}, {-1.0f}}), b({0.5f});
  const Tensor x({{0.0f, 0.0f}, {1.0f, 0.0f}, {0.0f, 1.0f}, {1.0f, 1.0f}}), y({{0.0f}, {1.0f}, {0.0f}, {1.0f}});

  // Eagerly: op by op, as C++ runs.
  const Outputs eager = forward(w, b, x, y);

  // The same code as one compiled function, and another one that wants the loss alone: the accuracy is pruned from that.
  auto both = function(forward);
  auto loss_alone = function([](Tensor w, Tensor b, Tensor x, Tensor y) { return forward(w, b, x, y).loss; });
  const Outputs compiled = both(w, b, x, y);
  const Tensor loss = loss_alone(w, b, x, y);

  std::printf("loss %.4f, accuracy %.2f\n", compiled.loss.item<float>(), compiled.accuracy.item<float>());
  std::printf("ops: %d with the accuracy, %d without\n", both.concrete(w, b, x, y).num_ops(),
              loss_alone.concrete(w, b, x, y).num_ops());
  const bool is_same = array_equal(eager.loss, compiled.loss).item<bool>() && array_equal(loss, compiled.loss).item<bool>();
  std::printf("the same bits in each way: %s\n", is_same ? "yes" : "no");
  return is_same && both.concrete(w, b, x, y).num_ops() > loss_alone.concrete(w, b, x, y).num_ops() ? 0 : 1;
}
