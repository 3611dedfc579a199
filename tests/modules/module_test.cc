// Modules: how variables are found, named, counted, frozen, cloned and set.
#include "etch/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "etch/function.h"
#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Variable number(float value) { return Variable(value, {.name = "number"}); }

template <class M>
std::vector<std::string> names(const M& module) {
  std::vector<std::string> names;
  for (const NamedVariable& variable : named_variables(module)) names.push_back(variable.name);
  return names;
}

std::vector<float> values(const std::vector<Variable>& variables) {
  std::vector<float> values;
  for (const Variable& variable : variables) values.push_back(variable.value().item<float>());
  return values;
}

struct Scale {
  Variable factor = number(2);
  Variable count = Variable(3.f, {.trainable = false});
  Tensor operator()(const Tensor& x) const { return x * factor; }
};

struct Pair {
  Scale first, second;
  int units = 4;
  std::string label = "pair";
};

TEST(Module, NamesArePathsOfMembers) {
  EXPECT_THAT(names(Pair()), ElementsAre("first.factor", "first.count", "second.factor", "second.count"));
}

TEST(Module, AVariableIsAModule) { EXPECT_THAT(names(number(1)), ElementsAre("")); }

struct Containers {
  std::vector<Variable> list{number(1), number(2)};
  std::array<Variable, 2> array{number(3), number(4)};
  std::map<std::string, Variable> by_name{{"a", number(5)}, {"b", number(6)}};
  std::map<int, Variable> by_number{{7, number(7)}};
  std::optional<Variable> some = number(8);
  std::optional<Variable> none;
  std::shared_ptr<Scale> shared = std::make_shared<Scale>();
  std::unique_ptr<Scale> unique = std::make_unique<Scale>();
  std::shared_ptr<Scale> null;
  std::tuple<Variable, int> tuple{number(9), 1};
  std::pair<int, Variable> pair{1, number(10)};
  std::variant<int, Variable> variant = number(11);
};

TEST(Module, ContainersAndSmartPointersAreOpened) {
  EXPECT_THAT(names(Containers()),
              ElementsAre("list[0]", "list[1]", "array[0]", "array[1]", "by_name[a]", "by_name[b]", "by_number[7]", "some",
                          "shared.factor", "shared.count", "unique.factor", "unique.count", "tuple[0]", "pair[1]",
                          "variant"));
}

struct Others {
  Tensor tensor = ones(2);
  std::vector<float> numbers{1, 2};
  std::vector<bool> flags{true};
  std::function<int()> function;
  Tensor (*pointer)(const Operand&) = etch::tanh;
  std::unique_ptr<std::mutex> mutex;
  Variable nothing;
  Variable v = number(1);
};

TEST(Module, WhatHoldsNoVariablesIsPassedOver) { EXPECT_THAT(names(Others()), ElementsAre("v")); }

class Private {
 public:
  ETCH_MEMBERS(inner_, v_)
  explicit Private(float value) : v_(number(value)) {}

 private:
  Scale inner_;
  int ignored_ = 0;
  Variable v_;
};
struct HoldsPrivate {
  std::vector<Private> parts;
};

TEST(Module, AClassWithPrivateMembersNamesThemInOneLine) {
  EXPECT_THAT(names(HoldsPrivate{{Private(1), Private(2)}}),
              ElementsAre("parts[0].inner.factor", "parts[0].inner.count", "parts[0].v", "parts[1].inner.factor",
                          "parts[1].inner.count", "parts[1].v"));
}

TEST(Module, WhatIsSharedIsCountedOnce) {
  const Scale trunk;
  const Pair two{trunk, trunk};
  EXPECT_THAT(names(two), ElementsAre("first.factor", "first.count"));
}

TEST(Module, TwoModelsShareACopiedPart) {
  const Scale trunk;
  const Pair a{trunk, {}}, b{{}, trunk};
  a.first.factor.assign(7);
  EXPECT_EQ(b.second.factor.value().item<float>(), 7);
}

TEST(Module, TrainableAndOtherVariables) {
  const Scale scale;
  EXPECT_THAT(values(variables(scale)), ElementsAre(2, 3));
  EXPECT_THAT(values(trainable_variables(scale)), ElementsAre(2));
  EXPECT_THAT(values(non_trainable_variables(scale)), ElementsAre(3));
}

TEST(Module, FreezingIsRecursive) {
  const Pair pair;
  set_trainable(pair.first, false);
  EXPECT_EQ(trainable_variables(pair).size(), 1);
  set_trainable(pair, false);
  EXPECT_EQ(trainable_variables(pair).size(), 0);
}

TEST(Module, WhatWasNotMadeToBeTrainedStaysSo) {
  const Scale scale;
  set_trainable(scale, false);
  set_trainable(scale, true);
  EXPECT_THAT(values(trainable_variables(scale)), ElementsAre(2));
}

TEST(Module, FreezingRetracesTheSameFunction) {
  const Pair pair;
  auto count = function([&](Tensor x) { return x + static_cast<float>(trainable_variables(pair).size()); });
  EXPECT_EQ(count(0.f).item<float>(), 2);
  set_trainable(pair.second, false);
  EXPECT_EQ(count(0.f).item<float>(), 1);
  EXPECT_EQ(count.stats().traces, 2);
}

TEST(Module, SettingFreeAgainFindsTheFirstTrace) {
  const Pair pair;
  auto count = function([&](Tensor x) { return x + static_cast<float>(trainable_variables(pair).size()); });
  count(0.f);
  set_trainable(pair, false);
  count(0.f);
  set_trainable(pair, true);
  EXPECT_EQ(count(0.f).item<float>(), 2);
  EXPECT_EQ(count.stats().traces, 2);
}

TEST(Module, AFunctionThatDidNotAskIsNotTracedAgain) {
  const Scale scale;
  auto f = function([&](Tensor x) { return scale(x); });
  f(ones(2));
  set_trainable(scale, false);
  f(ones(2));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Module, ARetraceSaysWhatWasFrozen) {
  const Scale scale;
  auto count = function([&](Tensor x) { return x + static_cast<float>(trainable_variables(scale).size()); },
                        {.on_retrace = Retrace::forbid});
  count(0.f);
  set_trainable(scale, false);
  EXPECT_THAT(error_of([&] { count(0.f); }), HasSubstr("variable number f32[] was trainable and is frozen now"));
}

TEST(Module, AConcreteFunctionRefusesOtherFlags) {
  const Scale scale;
  auto count = function([&](Tensor x) { return x + static_cast<float>(trainable_variables(scale).size()); });
  const auto concrete = count.concrete(Tensor(0.f));
  set_trainable(scale, false);
  EXPECT_THAT(error_of([&] { concrete(Tensor(0.f)); }), HasSubstr("was trainable and is frozen now"));
}

TEST(Module, FreezingInsideOfATraceIsAnError) {
  const Scale scale;
  auto f = function([&](Tensor x) {
    set_trainable(scale, false);
    return x;
  });
  EXPECT_THAT(error_of([&] { f(ones(2)); }), HasSubstr("set_trainable inside of a traced function would happen once"));
}

TEST(Module, SubmodulesAreListedFromTheOutside) {
  struct Outer {
    Pair pair;
    Scale third;
  };
  std::vector<std::string> found;
  for (const Submodule& submodule : submodules(Outer())) {
    found.push_back(submodule.name + " " + submodule.type + " " + std::to_string(submodule.variables.size()));
  }
  EXPECT_THAT(found, ElementsAre("pair.first Scale 2", "pair.second Scale 2", "third Scale 2"));
}

TEST(Module, ACloneHasVariablesOfItsOwn) {
  const Pair pair;
  const Pair copy = clone(pair);
  copy.first.factor.assign(9);
  EXPECT_EQ(pair.first.factor.value().item<float>(), 2);
}

TEST(Module, ACloneStartsWithTheValuesAndFlags) {
  const Pair pair;
  pair.first.factor.assign(9);
  set_trainable(pair.second, false);
  EXPECT_THAT(values(variables(clone(pair))), ElementsAre(9, 3, 2, 3));
  EXPECT_THAT(values(trainable_variables(clone(pair))), ElementsAre(9));
}

TEST(Module, WhatIsSharedInsideIsSharedInTheClone) {
  const auto part = std::make_shared<Scale>();
  struct Two {
    std::shared_ptr<Scale> a, b;
    Scale c;
  };
  const Two copy = clone(Two{part, part, *part});
  EXPECT_EQ(copy.a, copy.b);
  EXPECT_NE(copy.a, part);
  EXPECT_EQ(variables(copy).size(), 2);
}

TEST(Module, EveryContainerIsCloned) {
  const Containers original;
  const Containers copy = clone(original);
  for (const Variable& variable : variables(original)) variable.assign(0);
  EXPECT_THAT(values(variables(copy)), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 2, 3, 2, 3, 9, 10, 11));
}

TEST(Module, AClassWithPrivateMembersIsCloned) {
  const Private original(5);
  const Private copy = clone(original);
  for (const Variable& variable : variables(original)) variable.assign(0);
  EXPECT_THAT(values(variables(copy)), ElementsAre(2, 3, 5));
}

TEST(Module, WeightsGoFromOneModelToAnother) {
  const Pair a, b;
  a.second.factor.assign(8);
  set_weights(b, get_weights(a));
  EXPECT_THAT(values(variables(b)), ElementsAre(2, 3, 8, 3));
}

TEST(Module, WeightsOfAnotherShapeChangeNothing) {
  const Pair pair;
  std::vector<Tensor> weights = get_weights(pair);
  weights[0] = Tensor(5.f);
  weights[2] = ones(2);
  EXPECT_THAT(error_of([&] { set_weights(pair, weights); }),
              HasSubstr("set_weights: second.factor is f32[] and cannot take f32[2], tensor 2 of those given"));
  EXPECT_THAT(values(variables(pair)), ElementsAre(2, 3, 2, 3));
}

TEST(Module, TheNumberOfWeightsIsChecked) {
  EXPECT_THAT(error_of([&] { set_weights(Pair(), {}); }), HasSubstr("0 tensors are given, but the module has 4 variables"));
}

TEST(Module, WeightsAreSetInATrace) {
  const Scale scale;
  auto f = function([&](Tensor x) { set_weights(scale, {x, x + 1}); });
  f(5.f);
  EXPECT_THAT(values(variables(scale)), ElementsAre(5, 6));
}

TEST(Module, SummaryIsATable) {
  struct Model {
    Scale scale;
    Variable offset = Variable(zeros({1000, 2}));
  };
  EXPECT_EQ(summarize(Model()), R"(Model
module    type   variables                  parameters
(itself)  Model  offset f32[1000,2]              2,000
scale     Scale  factor f32[], count f32[]           2
total 2,002, trainable 2,001, not trainable 1
)");
}

TEST(DeferredVariable, GetsItsValueOnce) {
  const Variable v = Variable::deferred({.name = "v"});
  const Variable copy = v;
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    copy.build([&] {
      ++calls;
      return ones(3);
    });
  }
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(v.shape(), Shape(3));
}

TEST(DeferredVariable, IsAnErrorToReadBefore) {
  const Variable v = Variable::deferred({.name = "v"});
  EXPECT_THAT(error_of([&] { (void)(v + 1.f); }), HasSubstr("variable v, not built yet"));
  EXPECT_THAT(error_of([&] { v.assign(1.f); }), HasSubstr("variable v, not built yet"));
  EXPECT_THAT(error_of([&] { (void)v.shape(); }), HasSubstr("variable v, not built yet"));
}

TEST(DeferredVariable, StaysEmptyIfItsInitialiserThrows) {
  const Variable v = Variable::deferred({.name = "v"});
  EXPECT_THROW(v.build([]() -> Tensor { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_FALSE(v.built());
  v.build([] { return ones(3); });
  EXPECT_TRUE(v.built());
}

TEST(DeferredVariable, CannotBeBuiltOfItself) {
  const Variable v = Variable::deferred({.name = "v"});
  const auto of_itself = [&] {
    v.build([&] {
      v.build([] { return ones(2); });
      return ones(2);
    });
  };
  EXPECT_THAT(error_of(of_itself), HasSubstr("variable v is needed to make its own value"));
}

TEST(DeferredVariable, IsBuiltInsideOfATraceOnce) {
  struct Lazy {
    Variable v = Variable::deferred({.name = "v"});
    Tensor call(Tensor x) {
      v.build([&] { return full(x.shape(), 3.f); });
      return x * v;
    }
  };
  Lazy lazy;
  auto f = function(&Lazy::call, &lazy);
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (std::vector<float>{3, 3}));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (std::vector<float>{3, 3}));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_EQ(f.stats().hits, 1);
}

TEST(DeferredVariable, CanBeFrozenBefore) {
  const Scale scale{Variable::deferred({.name = "v"}), {}};
  set_trainable(scale, false);
  scale.factor.build([] { return Tensor(1.f); });
  EXPECT_EQ(trainable_variables(scale).size(), 0);
}

TEST(DeferredVariable, IsNotListed) {
  const Scale scale{Variable::deferred({.name = "v"}), number(1)};
  EXPECT_THAT(names(scale), ElementsAre("count"));
}

}  // namespace
}  // namespace etch
