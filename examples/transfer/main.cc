// Transfer learning on handwritten digits: a trunk that learnt to tell digits serves a second head, which alone is trained then.
#include <etch/etch.h>
#include <etch/batches.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

using namespace etch;

struct Trunk {
  layers::Dense first{40, activations::relu}, second{20, activations::relu};
  Tensor operator()(const Tensor& x) const { return second(first(x)); }
};

/// One trunk and two paths through it.
struct Net {
  Trunk trunk;
  layers::Dense digit{10};  // which digit it is
  layers::Dense loops{3};   // how many loops it is written with: none (1, 2, 3, 5, 7), one (0, 4, 6, 9), or two (8)

  std::pair<Tensor, Tensor> operator()(const Tensor& x) const {
    const Tensor features = trunk(x);
    return {digit(features), loops(features)};
  }
};

Tensor loss_of(const Tensor& y, const Tensor& logits) {
  return losses::sparse_categorical_crossentropy(y, logits, {.from_logits = true});
}

Tensor loops_in(const Tensor& digits) {
  const Tensor has_one = (digits == 0) | (digits == 4) | (digits == 6) | (digits == 9);
  return where(digits == 8, 2, cast(has_one, DType::i32));
}

float share_right(const Tensor& y, const Tensor& logits) {
  const Tensor share = mean(cast(argmax(logits, -1) == cast(y, DType::i64), DType::f32));
  return share.item<float>();
}

/// How many nodes of a graph have the type of one of a trunk's kernels; its inputs do not count.
int count_of_kernel_shape(const std::string& graph, const Trunk& trunk) {
  int count = 0;
  std::istringstream lines(graph);
  for (std::string line; std::getline(lines, line);) {
    for (const Variable* kernel : {&trunk.first.kernel, &trunk.second.kernel}) {
      const std::string type = to_string(kernel->shape());
      count += line.find(" = ") != std::string::npos && line.find(" : f32" + type) != std::string::npos;
    }
  }
  return count;
}

void run(const std::string& folder) {
  random::set_seed(1);
  const Tensor images = load_npy(folder + "/images.npy"), digits = load_npy(folder + "/labels.npy");
  const Tensor loops = loops_in(digits);
  const Slice seen(0, 400), held_out(400, 500);

  const Net net;
  const optimizers::Adam slow(2e-3), fast(1e-2);  // each keeps the state of its part

  auto train_digit = function([&](Tensor x, Tensor y) {
    GradientTape tape;
    const Tensor loss = loss_of(y, net(x).first);
    const auto of_trunk = trainable_variables(net.trunk), of_head = trainable_variables(net.digit);
    const auto [d_trunk, d_head] = tape.gradient(loss, std::pair(of_trunk, of_head));
    slow.apply_gradients(d_trunk, of_trunk);
    fast.apply_gradients(d_head, of_head);
    return loss;
  });
  auto train_loops = function([&](Tensor x, Tensor y) {
    GradientTape tape;
    const Tensor loss = loss_of(y, net(x).second);  // the first path is traced as well, and pruned
    const auto of_head = trainable_variables(net.loops);
    fast.apply_gradients(tape.gradient(loss, of_head), of_head);
    return loss;
  });

  Tensor loss;
  Batches first = batches(images[seen], digits[seen], 32, /*seed=*/1), second = batches(images[seen], loops[seen], 32, 1);
  for (int epoch = 0; epoch < 30; ++epoch) {
    for (auto [x, y] : first) loss = train_digit(x, y);
  }
  const float right_digits = share_right(digits[held_out], net(images[held_out]).first);
  std::printf("phase 1, trunk and first head: loss %.4f, %.0f %% of 100 digits are right\n", loss.item<float>(),
              100 * right_digits);

  const std::vector<Tensor> trunk_before = get_weights(net.trunk);
  for (int epoch = 0; epoch < 30; ++epoch) {
    for (auto [x, y] : second) loss = train_loops(x, y);
  }
  const float right_loops = share_right(loops[held_out], net(images[held_out]).second);
  std::printf("phase 2, second head alone: loss %.4f, %.0f %% of their loops are right\n", loss.item<float>(),
              100 * right_loops);

  bool is_same = true;
  const std::vector<Tensor> trunk_after = get_weights(net.trunk);
  for (size_t i = 0; i < trunk_after.size(); ++i) {
    is_same = is_same && array_equal(trunk_before[i], trunk_after[i]).item<bool>();
  }
  const Tensor x = images[Slice(0, 32)], y = digits[Slice(0, 32)];
  const int with_trunk = count_of_kernel_shape(train_digit.concrete(x, y).text("graph"), net.trunk);
  const int without = count_of_kernel_shape(train_loops.concrete(x, y).text("graph"), net.trunk);
  std::printf("the trunk is %s; nodes of its kernels' shapes: %d in the step of phase 1, %d in that of phase 2\n",
              is_same ? "the same to the bit" : "another one", with_trunk, without);
  std::printf("what was pruned of the step of phase 2:\n");
  std::istringstream report(train_loops.explain(x, y));
  for (std::string line; std::getline(report, line);) {
    if (line.find("pruned") != std::string::npos) std::printf("  %s\n", line.c_str());
  }
  const bool does_its_job = right_digits >= 0.85f && right_loops >= 0.85f && is_same && with_trunk > 0 && without == 0;
  if (!does_its_job) throw std::runtime_error("the transfer does not do its job");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: transfer FOLDER_OF_DIGITS\n");
    return 2;
  }
  try {
    run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transfer: %s\n", error.what());
    return 2;
  }
}
