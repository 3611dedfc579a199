// A dynamic RNN: an LSTM cell over sequences of different lengths, in plain C++. The same code is unrolled where the number of
// steps is a C++ int and one loop where it is a tensor. What NumPy makes of the same numbers stands in .npy files.
#include <etch/etch.h>

#include <cstdio>
#include <exception>
#include <string>
#include <tuple>
#include <vector>

namespace {

using etch::Tensor;

struct State {
  Tensor h, c;  // [batch, units]
};

struct LSTMCell {
  Tensor kernel;  // [input + units, 4 units]
  Tensor bias;    // [4 units]

  int64_t units() const { return bias.shape()[0] / 4; }

  State operator()(const Tensor& x, const State& state) const {
    const std::vector<Tensor> gates = split(matmul(etch::concat({x, state.h}, 1), kernel) + bias, 4, 1);
    const Tensor c = sigmoid(gates[1]) * state.c + sigmoid(gates[0]) * tanh(gates[2]);
    return {sigmoid(gates[3]) * tanh(c), c};
  }
};

struct Sequences {
  Tensor outputs;  // [batch, time, units], 0 behind the end of a sequence
  Tensor last;     // [batch, units], the h with which each sequence ended
};

/// Runs a cell over x, [batch, time, input], for so many steps: an int, or a tensor.
template <class Count>
Sequences run_sequences(const LSTMCell& cell, const Tensor& x, const Tensor& lengths, const Count& steps) {
  const int64_t batch = x.shape()[0], time = x.shape()[1];
  const etch::TensorArray inputs{transpose(x, {1, 0, 2})};
  etch::TensorArray outputs = etch::TensorArray::of(time, etch::DType::f32, {batch, cell.units()});
  State state{etch::zeros({batch, cell.units()}), etch::zeros({batch, cell.units()})};
  for (Count t = 0; t < steps; ++t) {
    const State next = cell(inputs.read(t), state);
    const Tensor live = expand_dims(t < lengths, 1);
    state = {where(live, next.h, state.h), where(live, next.c, state.c)};
    outputs.write(t, where(live, next.h, 0.f));
  }
  return {transpose(outputs.stack(), {1, 0, 2}), state.h};
}

float distance(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item<float>(); }

bool run(const std::string& folder) {
  const auto load = [&](const std::string& name) { return etch::load_npy(folder + "/" + name + ".npy"); };
  const Tensor x = load("x"), lengths = load("lengths"), outputs = load("expected_outputs"), last = load("expected_last");
  const LSTMCell cell{load("kernel"), load("bias")};

  auto unrolled = etch::function([](const LSTMCell& cell, Tensor x, Tensor lengths) {
    const Sequences found = run_sequences(cell, x, lengths, static_cast<int>(x.shape()[1]));
    return std::tuple(found.outputs, found.last);
  });
  auto loop = etch::function([](const LSTMCell& cell, Tensor x, Tensor lengths) {
    const Sequences found = run_sequences(cell, x, lengths, max(lengths));  // no step that no sequence takes
    return std::tuple(found.outputs, found.last);
  });

  bool is_right = true;
  const auto report = [&](const char* what, float far) {
    std::printf("%-36s %.1e from NumPy\n", what, far);
    is_right &= far < 1e-5f;
  };
  const auto [unrolled_outputs, unrolled_last] = unrolled(cell, x, lengths);
  const auto [loop_outputs, loop_last] = loop(cell, x, lengths);
  std::printf("unrolled: %d ops; as a loop: %d\n", unrolled.concrete(cell, x, lengths).num_traced_ops(),
              loop.concrete(cell, x, lengths).num_traced_ops());
  report("outputs, unrolled", distance(unrolled_outputs, outputs));
  report("outputs, a loop", distance(loop_outputs, outputs));
  report("last state, unrolled", distance(unrolled_last, last));
  report("last state, a loop", distance(loop_last, last));

  const Tensor kernel_gradient = load("expected_kernel_gradient"), bias_gradient = load("expected_bias_gradient");
  const auto learn = [&](const std::string& name, const auto& run) {
    etch::GradientTape tape;
    tape.watch(cell.kernel);
    tape.watch(cell.bias);
    const Tensor all = std::get<0>(run(cell, x, lengths));
    const Tensor loss = sum(all * all) / 2;
    const std::vector<Tensor> gradients = tape.gradient(loss, std::vector<Tensor>{cell.kernel, cell.bias});
    report(("gradient of the kernel, " + name).c_str(), distance(gradients[0], kernel_gradient));
    report(("gradient of the bias, " + name).c_str(), distance(gradients[1], bias_gradient));
  };
  learn("unrolled", unrolled);
  learn("a loop", loop);
  return is_right;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: dynamic_rnn FOLDER\n");
    return 2;
  }
  try {
    return run(argv[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
