// Training steps of a small transformer: the same weights to the bit in every way of running.
#include <gtest/gtest.h>

#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/optimizers.h"
#include "runtime/parallel.h"
#include "tests/training/training.h"

namespace etch {
namespace {

constexpr int64_t kLength = 6, kWidth = 8, kAlphabet = 5;

struct Block {
  layers::LayerNormalization before_attention{};
  layers::MultiHeadAttention attention{.num_heads = 2, .key_dim = 4, .dropout = 0.1};
  layers::LayerNormalization before_dense{};
  layers::Dense up{16, activations::gelu};
  layers::Dense down{kWidth};

  Tensor operator()(Tensor x, bool training) const {
    const Tensor seen = before_attention(x);
    x = x + attention(seen, seen, {.use_causal_mask = true, .training = training});
    return x + down(up(before_dense(x)));
  }
};

struct Transformer {
  layers::Embedding characters{kAlphabet, kWidth};
  layers::Embedding positions{kLength, kWidth};
  std::vector<Block> blocks = std::vector<Block>(2);
  layers::Dense logits{kAlphabet};

  Tensor operator()(Tensor text, bool training) const {
    Tensor x = characters(text) + positions(range(kLength));
    for (const Block& block : blocks) x = block(x, training);
    return logits(x);
  }
};

/// Text in which each character is the one before it plus 1 or, now and then, 2.
Tensor text() {
  const Tensor steps = 1 + cast(random::bernoulli(Tensor(uint64_t{4}), 400, 0.2), DType::i32);
  return cumsum(steps) % static_cast<int32_t>(kAlphabet);
}

Trained train(int steps, FunctionOptions options = {}) {
  random::set_seed(3);
  const Tensor all = text();
  const Transformer model;
  const optimizers::Adam adam(1e-2f);
  const Generator places(7);
  auto step = function(
      [&] {
        const Tensor starts = places.uniform_int(4, 0, 400 - kLength);
        const Tensor stretch = gather(all, expand_dims(starts, 1) + range(kLength + 1));
        const Tensor next = stretch[{Slice(), Slice(1, kLength + 1)}];
        return train_step(model, adam, [&] { return loss_of_logits(model, stretch[{Slice(), Slice(0, kLength)}], next); });
      },
      options);
  Trained result;
  for (int i = 0; i < steps; ++i) result.losses.push_back(step().item<float>());
  result.weights = get_weights(model);
  return result;
}

constexpr int kSteps = 12;

TEST(Transformer, LearnsWhatFollows) {
  const Trained trained = train(60);
  EXPECT_LT(trained.losses.back(), 0.5f * trained.losses.front());
}

TEST(Transformer, HasTheSameBitsEagerAndTraced) {
  const Trained traced = train(kSteps);
  const ScopedFlags flags("eager");
  expect_same(train(kSteps), traced);
}

TEST(Transformer, HasTheSameBitsFusedAndUnfused) { expect_same(train(kSteps, {.fuse = false}), train(kSteps)); }

TEST(Transformer, HasTheSameBitsOnTwoThreadsThatShareEachLaunch) {
  const Trained one = train(kSteps, {.threads = 1});
  for (const bool fuse : {true, false}) {
    const ScopedFlags flags("grain=1");
    const int64_t before = num_split_loops();
    expect_same(train(kSteps, {.fuse = fuse, .threads = 2}), one);
    EXPECT_GT(num_split_loops() - before, 20 * kSteps);
  }
}

TEST(Transformer, EagerHasTheSameBitsOnTwoThreadsThatShareEachLaunch) {
  const Trained one = train(kSteps, {.threads = 1});
  const ScopedFlags flags("eager,threads=2,grain=1");
  expect_same(train(kSteps), one);
}

}  // namespace
}  // namespace etch
