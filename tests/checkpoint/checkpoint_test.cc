// Checkpoints: what is saved under which name, and how values find their variables.
#include "etch/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers.h"
#include "etch/optimizers.h"
#include "frontend/checkpoint/tensor_file.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

struct Net {
  layers::Dense hidden{4, activations::tanh};
  layers::Dropout dropout{0.5};
  layers::Dense logits{2};
  Tensor operator()(const Tensor& x, bool training = false) const { return logits(dropout(hidden(x), training)); }
};

/// One step of training.
void train(const Net& net, const optimizers::Optimizer& optimizer) {
  const auto step = function([&](Tensor x) {
    GradientTape tape;
    const Tensor loss = mean(square(net(x, true)));
    const std::vector<Variable> variables = trainable_variables(net);
    optimizer.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  (void)step(ones({3, 5}));
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : load_safetensors(path)) names.push_back(name);
  return names;
}

std::string bits(const Tensor& x) { return to_string(x); }

TEST(Checkpoint, NamesValuesByThePathsOfMembersAndSlotsByTheirVariables) {
  const Scratch scratch;
  random::set_seed(1);
  const Net net;
  const optimizers::Adam adam;
  train(net, adam);
  const Variable step(int64_t{7});
  const Generator generator(3);
  Checkpoint(named("model", net), named("optimizer", adam), named("step", step), named("random", generator))
      .save(scratch.file("x"));
  EXPECT_THAT(
      names_in(scratch.file("x")),
      UnorderedElementsAre("model/hidden.kernel", "model/hidden.bias", "model/logits.kernel", "model/logits.bias",
                           "model/dropout.generator.state", "optimizer/iterations", "optimizer/learning_rate",
                           "optimizer/m/hidden.kernel", "optimizer/v/hidden.kernel", "optimizer/m/hidden.bias",
                           "optimizer/v/hidden.bias", "optimizer/m/logits.kernel", "optimizer/v/logits.kernel",
                           "optimizer/m/logits.bias", "optimizer/v/logits.bias", "step", "random/state"));
}

TEST(Checkpoint, RestoresIntoVariablesThatExist) {
  const Scratch scratch;
  const Net a, b;
  const optimizers::Adam adam_a, adam_b;
  train(a, adam_a);
  train(b, adam_b);
  train(b, adam_b);
  Checkpoint(named("model", a), named("optimizer", adam_a)).save(scratch.file("x"));
  Checkpoint(named("model", b), named("optimizer", adam_b)).restore(scratch.file("x")).assert_consumed();
  train(a, adam_a);
  train(b, adam_b);
  const auto variables_a = variables(a), variables_b = variables(b);
  for (size_t i = 0; i < variables_a.size(); ++i) EXPECT_EQ(bits(variables_a[i]), bits(variables_b[i]));
  EXPECT_EQ(adam_b.iterations().value().item<int64_t>(), 2);
}

TEST(Checkpoint, RestoresBeforeLayersAndSlotsAreBuiltWithoutADrawOfRandomNumbers) {
  const Scratch scratch;
  random::set_seed(1);
  const Net a;
  const optimizers::Adam adam_a;
  train(a, adam_a);
  Checkpoint(named("model", a), named("optimizer", adam_a)).save(scratch.file("x"));
  random::set_seed(2);
  const uint64_t first_seed = random::next_seed();
  random::set_seed(2);
  const Net b;
  const optimizers::Adam adam_b;
  Checkpoint(named("model", b), named("optimizer", adam_b)).restore(scratch.file("x")).assert_consumed();
  train(a, adam_a);
  train(b, adam_b);
  EXPECT_EQ(random::next_seed(), first_seed);
  const auto variables_a = variables(a), variables_b = variables(b);
  ASSERT_EQ(variables_a.size(), variables_b.size());
  for (size_t i = 0; i < variables_a.size(); ++i) EXPECT_EQ(bits(variables_a[i]), bits(variables_b[i]));
}

TEST(Checkpoint, WithoutItInitialisersDoDraw) {
  random::set_seed(2);
  const uint64_t first_seed = random::next_seed();
  random::set_seed(2);
  const Net net;
  train(net, optimizers::Adam());
  EXPECT_NE(random::next_seed(), first_seed);
}

TEST(Checkpoint, ARestoredLayerRefusesInputsOfAnotherWidth) {
  const Scratch scratch;
  const layers::Dense a{4}, b{4};
  (void)a(ones({1, 3}));
  Checkpoint(named("layer", a)).save(scratch.file("x"));
  Checkpoint(named("layer", b)).restore(scratch.file("x")).assert_consumed();
  EXPECT_THAT(error_of([&] { (void)b(ones({1, 5})); }), HasSubstr("kernel is f32[3,4]"));
}

struct Tied {
  Variable embedding, output;
};

TEST(Checkpoint, ASharedVariableIsStoredOnceAndFoundUnderEachName) {
  const Scratch scratch;
  const Variable shared(Tensor({1.f, 2.f}));
  const Tied tied{shared, shared};
  Checkpoint(named("model", tied), named("again", tied)).save(scratch.file("x"));
  EXPECT_THAT(names_in(scratch.file("x")), ElementsAre("model/embedding"));
  // Where nothing is shared any more each gets the value.
  const Tied apart{Variable(zeros({2})), Variable(zeros({2}))};
  Checkpoint(named("model", apart)).restore(scratch.file("x")).assert_consumed();
  EXPECT_EQ(bits(apart.embedding), bits(shared));
  EXPECT_EQ(bits(apart.output), bits(shared));
  // And under another of its names alone.
  struct Output {
    Variable output;
  };
  const Output output{Variable(zeros({2}))};
  Checkpoint(named("model", output)).restore(scratch.file("x")).assert_consumed();
  EXPECT_EQ(bits(output.output), bits(shared));
}

struct Host {
  int64_t position = 0;
  std::string buffer;
  Tensor tensor;

  SavedState save_state() const {
    SavedState state;
    state.set("position", position);
    state.set("buffer", buffer);
    state.set("nan", std::numeric_limits<double>::quiet_NaN());
    state.set("unsigned", uint64_t{18446744073709551615u});
    state.set("flag", true);
    if (tensor.defined()) state.set("inner/tensor", tensor);
    return state;
  }
  void restore_state(const SavedState& state) {
    if (state.get<int64_t>("position") < 0) throw Error("the position is below 0");
    EXPECT_TRUE(std::isnan(state.get<double>("nan")));
    EXPECT_EQ(state.get<uint64_t>("unsigned"), 18446744073709551615u);
    EXPECT_TRUE(state.get<bool>("flag"));
    position = state.get<int64_t>("position");
    buffer = state.get<std::string>("buffer");
    if (state.contains("inner/tensor")) tensor = state.get<Tensor>("inner/tensor");
  }
};

TEST(Checkpoint, HoldsStatesOfTheHostAndPlainValues) {
  const Scratch scratch;
  Host data{-0x7fffffffffff, std::string("bytes \xff\0 that are no text", 25), Tensor({1, 2, 3})};
  data.position = 5;
  int64_t epoch = -3;
  double rate = 0.1;
  bool flag = true;
  std::string name = "a name";
  Checkpoint(named("data", data), named("epoch", epoch), named("rate", rate), named("flag", flag), named("name", name))
      .save(scratch.file("x"));
  const Host before = data;
  data = {};
  epoch = 0, rate = 0, flag = false, name = "";
  Checkpoint(named("data", data), named("epoch", epoch), named("rate", rate), named("flag", flag), named("name", name))
      .restore(scratch.file("x"))
      .assert_consumed();
  EXPECT_EQ(data.position, before.position);
  EXPECT_EQ(data.buffer, before.buffer);
  EXPECT_EQ(bits(data.tensor), bits(before.tensor));
  EXPECT_EQ(epoch, -3);
  EXPECT_EQ(rate, 0.1);
  EXPECT_TRUE(flag);
  EXPECT_EQ(name, "a name");
}

TEST(Checkpoint, LongStatesOfTheHostAreTensorsOfTheFile) {
  const Scratch scratch;
  Host data{5, std::string(100'000, '\xfe'), {}};
  Checkpoint(named("data", data)).save(scratch.file("x"));
  EXPECT_EQ(load_safetensors(scratch.file("x")).at("data/buffer").shape(), (Shape{100'000}));
  Host other;
  Checkpoint(named("data", other)).restore(scratch.file("x")).assert_consumed();
  EXPECT_EQ(other.buffer, data.buffer);
}

TEST(Checkpoint, ATableSaysWhatMatched) {
  const Scratch scratch;
  const Warnings warnings;
  const Variable kept(ones({2})), old(ones({3})), added(zeros({4}));
  Checkpoint(named("kept", kept), named("old", old)).save(scratch.file("x"));
  const RestoreStatus status = Checkpoint(named("kept", kept), named("added", added)).restore(scratch.file("x"));
  const std::string table =
      "value  type    " + scratch.file("x") +
      "\nadded  f32[4]  not in the file\nkept   f32[2]  restored\nold    f32[3]  not used: there is nothing"
      " of this name\n";
  EXPECT_EQ(to_string(status), table);
  EXPECT_THAT(error_of([&] { status.assert_consumed(); }), HasSubstr("was not restored as a whole:\n" + table));
  EXPECT_THAT(error_of([&] { status.assert_existing_objects_matched(); }),
              HasSubstr("has no value for some:\n" + table));
}

TEST(Checkpoint, WhatIsNotUsedGivesAWarningUnlessItIsExpected) {
  const Scratch scratch;
  const Variable a(ones({2})), b(ones({3}));
  Checkpoint(named("a", a), named("b", b)).save(scratch.file("x"));
  const Warnings warnings;
  (void)Checkpoint(named("a", a)).restore(scratch.file("x")).expect_partial();
  EXPECT_THAT(Warnings::kept(), ElementsAre());
  (void)Checkpoint(named("a", a)).restore(scratch.file("x"));
  EXPECT_THAT(Warnings::kept(), ElementsAre("restoring " + scratch.file("x") +
                                            " left values of it unused: b; expect_partial() says that this is meant"));
}

struct Growing {
  std::vector<Variable> parts;
};

TEST(Checkpoint, AValueWaitsForAVariableThatIsMadeLater) {
  const Scratch scratch;
  Growing saved{{Variable(ones({2})), Variable(ones({3}))}}, restored{{Variable(zeros({2}))}};
  Checkpoint(named("model", saved)).save(scratch.file("x"));
  const RestoreStatus status = Checkpoint(named("model", restored)).restore(scratch.file("x"));
  restored.parts[0].assign(5.f);
  restored.parts.push_back(Variable(zeros({3})));
  status.assert_consumed();
  EXPECT_EQ(bits(restored.parts[0]), bits(full({2}, 5.f)));  // what was restored is not restored again
  EXPECT_EQ(bits(restored.parts[1]), bits(ones({3})));
}

TEST(Checkpoint, AnotherTypeIsAnErrorThatChangesNothing) {
  const Scratch scratch;
  const Variable a(ones({2})), b(ones({3}));
  Host host{5, "", {}};
  Checkpoint(named("a", a), named("b", b), named("host", host)).save(scratch.file("x"));
  const Variable a2(zeros({2})), b2(zeros({4}));
  Host host2;
  EXPECT_THAT(
      error_of(
          [&] { (void)Checkpoint(named("a", a2), named("b", b2), named("host", host2)).restore(scratch.file("x")); }),
      HasSubstr("cannot restore " + scratch.file("x") + ": b is f32[4], but in the file f32[3]; nothing was restored"));
  EXPECT_EQ(bits(a2), bits(zeros({2})));
  EXPECT_EQ(host2.position, 0);
}

TEST(Checkpoint, AHostObjectThatRefusesItsStateChangesNothing) {
  const Scratch scratch;
  const Variable a(ones({2}));
  Host first{5, "", {}}, second{-5, "", {}};
  Checkpoint(named("a", a), named("first", first), named("second", second)).save(scratch.file("x"));
  const Variable a2(zeros({2}));
  Host first2{1, "", {}}, second2{2, "", {}};
  EXPECT_THAT(
      error_of([&] {
        (void)Checkpoint(named("a", a2), named("first", first2), named("second", second2)).restore(scratch.file("x"));
      }),
      HasSubstr(": second: the position is below 0; nothing was restored"));
  EXPECT_EQ(bits(a2), bits(zeros({2})));
  EXPECT_EQ(first2.position, 1);
  EXPECT_EQ(second2.position, 2);
}

TEST(Checkpoint, ADamagedFileChangesNothing) {
  const Scratch scratch;
  const Variable a(ones({64})), b(ones({64}));
  Checkpoint(named("a", a), named("b", b)).save(scratch.file("x"));
  std::string bytes = bytes_of(scratch.file("x"));
  bytes.back() ^= 1;
  write_bytes(scratch.file("x"), bytes);
  a.assign(2.f);
  EXPECT_THAT(error_of([&] { (void)Checkpoint(named("a", a), named("b", b)).restore(scratch.file("x")); }),
              HasSubstr("the elements of 'b', from byte "));
  EXPECT_EQ(bits(a), bits(full({64}, 2.f)));
}

TEST(Checkpoint, SlotsOfTwoModelsWithOnePathAreToldApart) {
  const Scratch scratch;
  const Net a, b;
  const optimizers::Adam adam;
  train(a, adam);
  train(b, adam);
  Checkpoint(named("a", a), named("b", b), named("optimizer", adam)).save(scratch.file("x"));
  EXPECT_THAT(names_in(scratch.file("x")), testing::Contains("optimizer/m/b/hidden.kernel"));
  const Net a2, b2;
  const optimizers::Adam adam2;
  Checkpoint(named("a", a2), named("b", b2), named("optimizer", adam2)).restore(scratch.file("x")).assert_consumed();
  train(b, adam);
  train(b2, adam2);
  EXPECT_EQ(bits(b.hidden.kernel), bits(b2.hidden.kernel));
}

TEST(Checkpoint, SlotsKnowTheirVariableBesideAModelOfTheSameForm) {
  const Scratch scratch;
  const Net model, average;
  const optimizers::Adam adam;
  train(model, adam);
  (void)average(ones({1, 5}));
  Checkpoint(named("average", average), named("model", model), named("optimizer", adam)).save(scratch.file("x"));
  EXPECT_THAT(names_in(scratch.file("x")), testing::Contains("optimizer/m/hidden.kernel"));
  const Net model2, average2;
  const optimizers::Adam adam2;
  Checkpoint(named("average", average2), named("model", model2), named("optimizer", adam2))
      .restore(scratch.file("x"))
      .assert_consumed();
  train(model, adam);
  train(model2, adam2);
  EXPECT_EQ(bits(model.hidden.kernel), bits(model2.hidden.kernel));
}

TEST(Checkpoint, InsideOfATracedFunctionItIsAnError) {
  const Scratch scratch;
  const Variable a(ones({2}));
  const Checkpoint checkpoint(named("a", a));
  checkpoint.save(scratch.file("x"));
  const auto f = function([&](Tensor x) {
    checkpoint.save(scratch.file("y"));
    return x;
  });
  EXPECT_THAT(error_of([&] { (void)f(ones({2})); }),
              HasSubstr("a checkpoint cannot be saved inside of a traced function"));
  const auto g = function([&](Tensor x) {
    init_scope([&] { (void)checkpoint.restore(scratch.file("x")); });
    return x;
  });
  EXPECT_THAT(error_of([&] { (void)g(ones({2})); }), HasSubstr("inside of a traced function; do it outside"));
  EXPECT_THAT(scratch.names(), ElementsAre("x"));
}

TEST(Checkpoint, NamesOfObjectsAreChecked) {
  const Variable a(ones({2}));
  EXPECT_THAT(error_of([&] { Checkpoint(named("a", a), named("a", a)); }),
              HasSubstr("Checkpoint: the name a stands twice"));
  EXPECT_THAT(error_of([&] { Checkpoint(named("", a)); }), HasSubstr("the name `` of an object is empty or has a `/`"));
  EXPECT_THAT(error_of([&] { Checkpoint(named("a/b", a)); }),
              HasSubstr("the name `a/b` of an object is empty or has a `/`"));
}

TEST(Checkpoint, RestoresTensorsOfPythonsFiles) {
  const Variable x(zeros({2}));
  const Checkpoint checkpoint(named("x", x));
  checkpoint.restore(ETCH_SOURCE_DIR "/tests/checkpoint/samples/python_no_metadata.safetensors").assert_consumed();
  EXPECT_EQ(bits(x), bits(Tensor({1.5f, 2.5f})));
}

// ---- Weights
// ------------------------------------------------------------------------------------------------------------

TEST(Weights, StandUnderTheNamesOfVariablesWithoutRandomStates) {
  const Scratch scratch;
  const Net a, b;
  train(a, optimizers::SGD());
  save_weights(a, scratch.file("x"));
  EXPECT_THAT(names_in(scratch.file("x")), ElementsAre("hidden.bias", "hidden.kernel", "logits.bias", "logits.kernel"));
  load_weights(b, scratch.file("x"));
  EXPECT_EQ(bits(b(ones({1, 5}))), bits(a(ones({1, 5}))));
}

TEST(Weights, WhatIsLeftOverIsAnErrorThatChangesNothing) {
  const Scratch scratch;
  const Growing two{{Variable(ones({2})), Variable(ones({3}))}}, one{{Variable(zeros({2}))}};
  save_weights(two, scratch.file("two"));
  save_weights(one, scratch.file("one"));
  EXPECT_THAT(error_of([&] { load_weights(one, scratch.file("two")); }),
              HasSubstr("parts[1]  f32[3]  not used: there is nothing of this name"));
  EXPECT_EQ(bits(one.parts[0]), bits(zeros({2})));
  EXPECT_THAT(error_of([&] { load_weights(two, scratch.file("one")); }),
              HasSubstr("parts[1]  f32[3]  not in the file"));
  load_weights(one, scratch.file("two"), {.partial = true});
  EXPECT_EQ(bits(one.parts[0]), bits(ones({2})));
}

TEST(Weights, AModuleWithoutValuesCannotBeSaved) {
  const Scratch scratch;
  EXPECT_THAT(error_of([&] { save_weights(Net(), scratch.file("x")); }),
              HasSubstr("the module has no variables with a value"));
}

}  // namespace
}  // namespace etch
