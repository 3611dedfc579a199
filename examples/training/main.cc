// A network of two layers learns a spiral: variables, a tape and an update in one compiled function.
#include <etch/etch.h>

#include <cstdio>
#include <vector>

using etch::GradientTape, etch::Tensor, etch::Variable;

struct Layer {
  Variable kernel, bias;
  Tensor operator()(Tensor x) const { return matmul(x, kernel) + bias; }
};

int main() {
  const Tensor t = expand_dims(etch::linspace(0.25, 2, 128), 1) * 3.14159265;
  const Tensor spiral = etch::concat({t * cos(t), t * sin(t)}, 1) * 0.2;
  const Tensor points = cast(etch::concat({spiral, -spiral}, 0), etch::DType::f32);
  const Tensor labels = etch::concat({etch::zeros(128), etch::ones(128)}, 0);

  const Layer hidden{Variable(2 * cos(reshape(etch::linspace(0.f, 500.f, 64), {2, 32})), {.name = "hidden.kernel"}),
                     Variable(etch::zeros(32), {.name = "hidden.bias"})};
  const Layer logit{Variable(0.5f * sin(reshape(etch::linspace(1.f, 90.f, 32), {32, 1})), {.name = "logit.kernel"}),
                    Variable(etch::zeros(1), {.name = "logit.bias"})};
  const std::vector<Variable> variables{hidden.kernel, hidden.bias, logit.kernel, logit.bias};

  auto step = etch::function([&](Tensor x, Tensor labels) {
    GradientTape tape;  // watches the trainable variables that are read
    Tensor z = squeeze(logit(tanh(hidden(x))), 1);
    Tensor loss = mean(softplus(z) - labels * z);
    std::vector<Tensor> gradients = tape.gradient(loss, variables);
    for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(1.5f * gradients[i]);
    return loss;
  });

  for (int i = 0; i <= 2000; ++i) {
    const Tensor loss = step(points, labels);
    if (i % 500 == 0) std::printf("step %4d: loss %.3f\n", i, loss.item<float>());
  }
  std::printf("%d ops became %d kernels\n", step.concrete(points, labels).num_traced_ops(),
              step.concrete(points, labels).num_kernels());
}
