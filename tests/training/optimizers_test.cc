// Optimizers and schedules against 20 steps of Keras, and what an optimizer's state is.
#include "etch/optimizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/constraints.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "etch/options.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using optimizers::Optimizer;
using testing::ElementsAre;
using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/training/expected.txt");
  return cases.at(name);
}

// ---- Schedules -----------------------------------------------------------------------------------------------------

TEST(Schedules, AreThoseOfKeras) {
  using namespace schedules;
  const std::pair<const char*, Schedule> all[] = {
      {"exponential", exponential_decay(0.5, 10, 0.9)},
      {"exponential_staircase", exponential_decay(0.5, 10, 0.9, {.staircase = true})},
      {"inverse_time", inverse_time_decay(0.5, 10, 0.9)},
      {"inverse_time_staircase", inverse_time_decay(0.5, 10, 0.9, {.staircase = true})},
      {"cosine", cosine_decay(0.5, 30, {.alpha = 0.1})},
      {"cosine_warmup", cosine_decay(0.1, 30, {.alpha = 0.1, .warmup_target = 0.5, .warmup_steps = 10})},
      {"restarts", cosine_decay_restarts(0.5, 10, {.t_mul = 2, .m_mul = 0.8, .alpha = 0.1})},
      {"restarts_even", cosine_decay_restarts(0.5, 10, {.t_mul = 1})},
      {"piecewise", piecewise_constant_decay({5, 10, 30}, {1, 0.5, 0.25, 0.125})},
      {"polynomial", polynomial_decay(0.5, 30, {.end = 0.01, .power = 2})},
      {"polynomial_cycle", polynomial_decay(0.5, 10, {.end = 0.01, .cycle = true})}};
  for (const auto& [name, schedule] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("schedule_") + name);
    const Tensor& steps = expected.at("step");
    for (int64_t i = 0; i < steps.size(); ++i) expect_near(schedule(steps[i]), expected.at("rate")[i], 3e-6);
  }
}

TEST(Schedules, WarmUpRisesToTheNextOne) {
  const auto schedule = schedules::warm_up(4, schedules::exponential_decay(2, 1, 0.5));
  std::vector<float> rates;
  for (int64_t step = 0; step < 7; ++step) rates.push_back(schedule(Tensor(step)).item<float>());
  EXPECT_THAT(rates, ElementsAre(0, 0.5, 1, 1.5, 2, 1, 0.5));
}

TEST(Schedules, BoundariesAndValuesMustFit) {
  EXPECT_THAT(error_of([] { (void)schedules::piecewise_constant_decay({1, 2}, {1, 2}); }),
              HasSubstr("2 boundaries need 3 values, not 2"));
}

// ---- 20 steps ------------------------------------------------------------------------------------------------------

struct Path {
  std::vector<Tensor> a, b;  // the variables after each step
  Tensor final_a, final_b;   // and after finalize_variable_values
  int64_t traces = 0;
};

/// Applies the gradients of the file to two variables.
Path run(const Optimizer& optimizer, const Constraint& constraint = {}) {
  const KerasCase& gradients = keras("gradients");
  const Variable a(gradients.at("start_a"), {.name = "a", .constraint = constraint}), b(gradients.at("start_b"), {"b"});
  auto step = function([&](Tensor g_a, Tensor g_b) {
    optimizer.apply_gradients({g_a, g_b}, {a, b});
  });
  Path result;
  for (int64_t i = 0; i < 20; ++i) {
    step(gradients.at("a")[i], gradients.at("b")[i]);
    result.a.push_back(a);
    result.b.push_back(b);
  }
  optimizer.finalize_variable_values({a, b});
  result.final_a = a;
  result.final_b = b;
  result.traces = step.stats().traces;
  return result;
}

using Make = std::function<Optimizer()>;
const std::map<std::string, Make> kOptimizers = {
    {"sgd", [] { return optimizers::SGD(0.1); }},
    {"sgd_momentum", [] { return optimizers::SGD(0.1, {.momentum = 0.9}); }},
    {"sgd_nesterov", [] { return optimizers::SGD(0.1, {.momentum = 0.9, .nesterov = true}); }},
    {"sgd_decay", [] { return optimizers::SGD(0.1, {.weight_decay = 0.1}); }},
    {"sgd_value", [] { return optimizers::SGD(0.1, {.clipping = {.value = 0.2}}); }},
    {"sgd_norm", [] { return optimizers::SGD(0.1, {.clipping = {.norm = 0.5}}); }},
    {"sgd_global_norm", [] { return optimizers::SGD(0.1, {.clipping = {.global_norm = 0.5}}); }},
    {"adam", [] { return optimizers::Adam(); }},
    {"adam_options", [] { return optimizers::Adam(0.05, {.beta_1 = 0.8, .beta_2 = 0.95, .epsilon = 1e-3}); }},
    {"adam_schedule", [] { return optimizers::Adam(schedules::exponential_decay(0.1, 5, 0.5)); }},
    {"adamw", [] { return optimizers::AdamW(0.01); }},
    {"nadam", [] { return optimizers::Nadam(0.01); }},
    {"rmsprop", [] { return optimizers::RMSprop(0.01); }},
    {"rmsprop_momentum", [] { return optimizers::RMSprop(0.01, {.momentum = 0.9}); }},
    {"rmsprop_centered", [] { return optimizers::RMSprop(0.01, {.rho = 0.8, .momentum = 0.5, .centered = true}); }},
    {"adagrad", [] { return optimizers::Adagrad(0.1); }},
    {"adadelta", [] { return optimizers::Adadelta(1.0); }},
    {"lion", [] { return optimizers::Lion(0.01); }},
    {"sgd_average", [] { return optimizers::SGD(0.1, {.momentum = 0.9, .ema = {.momentum = 0.9}}); }},
    {"adam_overwrite",
     [] { return optimizers::Adam(0.05, {.ema = {.momentum = 0.8, .overwrite_frequency = 3}}); }},
    {"sgd_accumulation",
     [] {
       return optimizers::SGD(0.1, {.momentum = 0.9,
                                    .weight_decay = 0.1,
                                    .clipping = {.norm = 0.5},
                                    .gradient_accumulation_steps = 4});
     }},
    {"adam_accumulation", [] { return optimizers::Adam(0.05, {.gradient_accumulation_steps = 3}); }},
    {"nadam_accumulation", [] { return optimizers::Nadam(0.05, {.gradient_accumulation_steps = 3}); }},
    {"rmsprop_accumulation",
     [] { return optimizers::RMSprop(0.05, {.momentum = 0.9, .centered = true, .gradient_accumulation_steps = 2}); }},
    {"adam_accumulation_average",
     [] {
       return optimizers::Adam(
           schedules::exponential_decay(0.1, 5, 0.5),
           {.ema = {.momentum = 0.8, .overwrite_frequency = 2}, .gradient_accumulation_steps = 2});
     }},
    {"sgd_constraint", [] { return optimizers::SGD(0.1); }},
};

class TwentySteps : public testing::TestWithParam<std::string> {};

TEST_P(TwentySteps, AreThoseOfKeras) {
  const KerasCase& expected = keras("optimizer_" + GetParam());
  const Path traced =
      run(kOptimizers.at(GetParam())(), GetParam() == "sgd_constraint" ? constraints::max_norm(0.7) : Constraint());
  for (int64_t i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    expect_near(traced.a[i], expected.at("a")[i], 2e-6);
    expect_near(traced.b[i], expected.at("b")[i], 2e-6);
  }
  expect_near(traced.final_a, expected.at("final_a"), 2e-6);
  expect_near(traced.final_b, expected.at("final_b"), 2e-6);
  EXPECT_EQ(traced.traces, 1);
}

TEST_P(TwentySteps, HaveTheSameBitsEagerAndTraced) {
  const Path traced = run(kOptimizers.at(GetParam())());
  const ScopedFlags flags("eager");
  const Path eager = run(kOptimizers.at(GetParam())());
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(array_equal(traced.a[i], eager.a[i]).item<bool>()) << i;
    EXPECT_TRUE(array_equal(traced.b[i], eager.b[i]).item<bool>()) << i;
  }
}

std::vector<std::string> all_optimizers() {
  std::vector<std::string> names;
  for (const auto& [name, make] : kOptimizers) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, TwentySteps, testing::ValuesIn(all_optimizers()),
                         [](const auto& info) { return info.param; });

// ---- State ---------------------------------------------------------------------------------------------------------

TEST(Optimizer, ChangesItsRateWithoutARetrace) {
  const Variable w(0.f);
  optimizers::SGD sgd(1);
  auto step = function([&](Tensor g) { sgd.apply_gradients({g}, {w}); });
  step(1.f);
  sgd.learning_rate().assign(10);
  step(1.f);
  EXPECT_EQ(w.value().item<float>(), -11);
  EXPECT_EQ(step.stats().traces, 1);
}

TEST(Optimizer, CountsItsUpdates) {
  const Variable w(0.f);
  const optimizers::Adam adam;
  for (int i = 0; i < 3; ++i) adam.apply_gradients({Tensor(1.f)}, {w});
  EXPECT_EQ(adam.iterations().value().item<int64_t>(), 3);
}

TEST(Optimizer, AGradientThatIsNoneLeavesItsVariable) {
  const Variable a(1.f), b(1.f);
  optimizers::SGD(1).apply_gradients({Tensor(), Tensor(1.f)}, {a, b});
  EXPECT_EQ(a.value().item<float>(), 1);
  EXPECT_EQ(b.value().item<float>(), 0);
}

TEST(Optimizer, ListsItsVariables) {
  const Variable w(0.f, {"w"});
  const optimizers::Adam adam;
  adam.apply_gradients({Tensor(1.f)}, {w});
  std::vector<std::string> names;
  for (const NamedVariable& variable : named_variables(adam)) {
    names.push_back(variable.name + " " + variable.variable.name());
  }
  EXPECT_THAT(names, ElementsAre("iterations iterations", "learning_rate learning_rate", "slots[0][0] w_momentum",
                                 "slots[0][1] w_velocity"));
  EXPECT_TRUE(trainable_variables(adam).empty());
}

TEST(Optimizer, TwoOverPartsOfOneModelKeepApart) {
  const Variable a(0.f), b(0.f);
  const optimizers::SGD slow(1), fast(10);
  auto step = function([&](Tensor g) {
    slow.apply_gradients({g}, {a});
    fast.apply_gradients({g}, {b});
  });
  step(1.f);
  EXPECT_EQ(a.value().item<float>(), -1);
  EXPECT_EQ(b.value().item<float>(), -10);
}

TEST(Optimizer, ACloneGoesOnWithStateOfItsOwn) {
  const Variable w(0.f), v(0.f);
  const optimizers::SGD sgd(1, {.momentum = 0.5});
  sgd.apply_gradients({Tensor(1.f)}, {w});
  const optimizers::SGD copy = clone(sgd);
  sgd.apply_gradients({Tensor(0.f)}, {w});
  EXPECT_EQ(w.value().item<float>(), -1.5);
  copy.apply_gradients({Tensor(0.f)}, {w});  // its momentum is still that of one step
  EXPECT_EQ(w.value().item<float>(), -2);
  EXPECT_EQ(copy.iterations().value().item<int64_t>(), 2);
}

TEST(Optimizer, AModelClonedWithItsOptimizerTrainsOnByItself) {
  struct Training {
    optimizers::Nadam optimizer{0.1};
    Variable w{1.f};
    void step() const { optimizer.apply_gradients({w * 2}, {w}); }
  };
  const Training original;
  original.step();
  const Training copy = clone(original);
  const float before = original.w.value().item<float>();
  copy.step();
  EXPECT_EQ(original.w.value().item<float>(), before);
  original.step();
  EXPECT_EQ(original.w.value().item<float>(), copy.w.value().item<float>());
  EXPECT_EQ(variables(copy.optimizer).size(), variables(original.optimizer).size());
}

TEST(Optimizer, AccumulationUpdatesAtEachNthCallOnly) {
  const Variable w(0.f);
  const optimizers::SGD sgd(1, {.gradient_accumulation_steps = 3});
  std::vector<float> path;
  for (float g : {1.f, 2.f, 6.f, 3.f}) {
    sgd.apply_gradients({Tensor(g)}, {w});
    path.push_back(w.value().item<float>());
  }
  EXPECT_THAT(path, ElementsAre(0, 0, -3, -3));
}

TEST(Optimizer, AnUpdateOfOneVariableIsOneKernel) {
  const Variable w(zeros({64, 64}));
  const optimizers::Adam adam;
  auto step = function([&](Tensor g) { adam.apply_gradients({g}, {w}); });
  step(ones({64, 64}));
  const std::string schedule = step.concrete(ones({64, 64})).text("schedule");
  size_t large = 0;
  for (size_t at = schedule.find("64,64"); at != std::string::npos; at = schedule.find("64,64", at + 1)) ++large;
  EXPECT_GT(large, 0) << schedule;
  EXPECT_LE(step.concrete(ones({64, 64})).num_kernels(), 3) << schedule;  // scalars beside the update
}

TEST(Optimizer, AStepThatFailsChangesNothing) {
  const Variable a(1.f, {"a"}), b(1.f, {"b"});
  const optimizers::SGD sgd(1);
  EXPECT_THAT(error_of([&] { sgd.apply_gradients({Tensor(1.f), ones(2)}, {a, b}); }),
              HasSubstr("apply_gradients: variable b is f32[], but its gradient f32[2]"));
  EXPECT_EQ(a.value().item<float>(), 1);
  EXPECT_EQ(sgd.iterations().value().item<int64_t>(), 0);
}

TEST(Optimizer, MisuseIsAnErrorWithItsPlace) {
  const Variable w(1.f, {"w"}), count(1, {"count"});
  const optimizers::SGD sgd(1);
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("optimizers_test.cc:"));
  };
  says([&] { sgd.apply_gradients({}, {w}); }, "0 gradients are given for 1 variables");
  says([&] { sgd.apply_gradients({}, {}); }, "there are no variables; layers have variables from their first call on");
  says([&] { sgd.apply_gradients({Tensor()}, {w}); }, "no variable has a gradient");
  says([&] { sgd.apply_gradients({Tensor(1.f), Tensor(1.f)}, {w, w}); }, "variable w stands twice");
  says([&] { sgd.apply_gradients({Tensor(1)}, {count}); }, "variable count is of i32, not of floats");
  says([&] { (void)optimizers::SGD(schedules::constant(1)).learning_rate(); }, "the learning rate follows a schedule");
  says([&] { (void)optimizers::SGD(1, {.clipping = {.value = 1, .norm = 1}}); }, "may be set, not several");
  says([&] { (void)optimizers::SGD(1, {.clipping = {.norm = 0}}); }, "clipping to 0.0; the bound is above 0");
  says([&] { (void)optimizers::SGD(1, {.weight_decay = -1}); }, "weight_decay is -1.0; it may not be below 0");
  says([&] { (void)optimizers::SGD(1, {.ema = {.momentum = 1}}); }, "ema.momentum is 1.0; it is 0 for none, or below 1");
  says([&] { (void)optimizers::SGD(1, {.gradient_accumulation_steps = 0}); }, "steps is 0; it is 1 or more");
}

}  // namespace
}  // namespace etch
