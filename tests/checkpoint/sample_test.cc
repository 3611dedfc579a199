// A checkpoint of this version of the format, as it was committed: later versions read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "etch/checkpoint.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "etch/optimizers.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

struct Tied {
  Variable first, second;
};

struct HostState {
  SavedState state;
  SavedState save_state() const { return state; }
  void restore_state(const SavedState& other) { state = other; }
};

const std::string kSample = ETCH_SOURCE_DIR "/tests/checkpoint/samples/etch.safetensors";

/// Writes the file anew, where ETCH_UPDATE_GOLDENS asks for it.
void update_sample() {
  if (!std::getenv("ETCH_UPDATE_GOLDENS")) return;
  const Variable shared(Tensor({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}}), {.name = "shared"});
  const Tied model{shared, shared};
  const optimizers::Adam optimizer(0.5);
  optimizer.apply_gradients({ones({3, 2})}, {shared});
  const Variable step(int64_t{7});
  HostState data;
  data.state.set("position", int64_t{-5});
  data.state.set("epoch", uint64_t{18446744073709551615u});
  data.state.set("rate", 0.1);
  data.state.set("nan", std::numeric_limits<double>::quiet_NaN());
  data.state.set("has_ended", false);
  data.state.set("name", std::string("tfrecord > map"));
  data.state.set("bytes", std::string("\xff\0\x01", 3));
  data.state.set("buffer", std::string(2000, 'x'));
  data.state.set("walk/indices", Tensor({3, 1, 2}));
  Checkpoint(named("model", model), named("optimizer", optimizer), named("step", step), named("data", data))
      .save(kSample);
}

TEST(Sample, IsRead) {
  update_sample();
  const Tied model{Variable(zeros({3, 2})), Variable(zeros({3, 2}))};
  const optimizers::Adam optimizer(0.1);
  const Variable step(int64_t{0});
  HostState data;
  Checkpoint(named("model", model), named("optimizer", optimizer), named("step", step), named("data", data))
      .restore(kSample)
      .assert_consumed();
  EXPECT_EQ(step.value().item<int64_t>(), 7);
  EXPECT_EQ(optimizer.iterations().value().item<int64_t>(), 1);
  EXPECT_EQ(optimizer.learning_rate().value().item<float>(), 0.5f);
  EXPECT_EQ(to_string(model.first.value()), to_string(model.second.value()));
  EXPECT_NEAR(model.first.value().data<float>()[0], 0.5f, 1e-5);
  EXPECT_EQ(data.state.get<int64_t>("position"), -5);
  EXPECT_EQ(data.state.get<uint64_t>("epoch"), 18446744073709551615u);
  EXPECT_EQ(data.state.get<double>("rate"), 0.1);
  EXPECT_TRUE(data.state.get<double>("nan") != data.state.get<double>("nan"));
  EXPECT_FALSE(data.state.get<bool>("has_ended"));
  EXPECT_EQ(data.state.get<std::string>("name"), "tfrecord > map");
  EXPECT_EQ(data.state.get<std::string>("bytes"), std::string("\xff\0\x01", 3));
  EXPECT_EQ(data.state.get<std::string>("buffer"), std::string(2000, 'x'));
  EXPECT_EQ(to_string(data.state.get<Tensor>("walk/indices")), to_string(Tensor({3, 1, 2})));
}

}  // namespace
}  // namespace etch
