// Functions of a member function and an object: which members are followed, what keys the trace, what is refused.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "etch/function.h"
#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using Floats = std::vector<float>;

Floats values_of(const Tensor& x) { return x.to_vector<float>(); }
const Tensor kTwo({1.f, 2.f});
Tensor two(float a, float b) { return Tensor({a, b}); }

struct Model {
  Tensor weight;
  int factor = 1;
  Tensor forward(Tensor x) const { return x * weight * factor; }
};

TEST(Members, AReplacedTensorIsFollowedWithoutARetrace) {
  Model model{two(2, 3)};
  auto f = function(&Model::forward, &model);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 6}));
  model.weight = two(10, 20);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{10, 40}));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_EQ(f.concrete(kTwo).num_captures(), 0);
}

TEST(Members, ATensorOfAnotherShapeIsTracedAgain) {
  Model model{two(2, 3)};
  auto f = function(&Model::forward, &model);
  f(kTwo);
  model.weight = Tensor({5.f});
  EXPECT_EQ(values_of(f(kTwo)), (Floats{5, 10}));
  EXPECT_EQ(f.stats().traces, 2);
}

TEST(Members, PlainValuesArePartOfTheSignature) {
  Model model{two(2, 3)};
  auto f = function(&Model::forward, &model);
  f(kTwo);
  model.factor = 10;
  EXPECT_EQ(values_of(f(kTwo)), (Floats{20, 60}));
  model.factor = 1;
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 6}));
  EXPECT_EQ(f.stats().traces, 2);
}

enum class Mode { add, multiply };
struct Layer {
  Tensor weight;
  Mode mode = Mode::add;
};
struct Network {
  std::vector<Layer> layers;
  std::array<Tensor, 2> pair;
  std::optional<Tensor> bias;
  std::map<std::string, Tensor> extra;
  std::pair<Tensor, double> scaled;
  std::string name;
  Tensor forward(Tensor x) const {
    for (const Layer& layer : layers) x = layer.mode == Mode::add ? x + layer.weight : x * layer.weight;
    x = x + pair[0] - pair[1];
    if (bias) x = x + *bias;
    for (const auto& [key, tensor] : extra) x = x + tensor * static_cast<float>(key.size());
    return x + scaled.first * scaled.second;
  }
};

TEST(Members, AreReachedThroughAggregatesAndContainers) {
  Network net{{{kTwo, Mode::add}, {kTwo, Mode::multiply}}, {kTwo, kTwo}, kTwo, {{"abc", kTwo}}, {kTwo, 2.0}, "net"};
  auto f = function(&Network::forward, &net);
  const auto eager = [&] { return values_of(net.forward(kTwo)); };
  const auto check = [&](int64_t traces) {
    EXPECT_EQ(values_of(f(kTwo)), eager());
    EXPECT_EQ(f.stats().traces, traces);
  };
  check(1);
  net = {{{two(1, 3), Mode::add}, {two(5, 7), Mode::multiply}}, {two(9, 2), two(4, 4)}, two(6, 1), {{"abc", two(8, 8)}},
         {two(3, 5), 2.0}, "net"};
  check(2);  // no two are the same tensor any more
  net.layers[1].weight = two(-1, 2);
  net.pair[1] = two(-2, 2);
  net.bias = two(-3, 2);
  net.extra["abc"] = two(-4, 2);
  net.scaled.first = two(-5, 2);
  check(2);
  net.layers[0].mode = Mode::multiply;
  check(3);
  net.bias.reset();
  check(4);
  net.layers.push_back({two(1, 1)});
  check(5);
  net.extra["d"] = two(2, 2);
  check(6);
  net.scaled.second = 3.0;
  check(7);
}

TEST(Members, WhichTensorsAreTheSameIsPartOfTheSignature) {
  struct Pair {
    Tensor a, b;
    Tensor forward(Tensor x) const { return x * a - x * b; }
  };
  Pair pair{kTwo, kTwo};
  auto f = function(&Pair::forward, &pair);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{0, 0}));
  pair.b = two(0, 0);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{1, 4}));
  EXPECT_EQ(f.stats().traces, 2);
  const std::string text = f.concrete(kTwo).text("signature");
  EXPECT_NE(text.find("this.b changed from f32[2], the same tensor as this.a to f32[2]"), std::string::npos) << text;
  pair.a = pair.b = two(3, 3);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{0, 0}));
  EXPECT_EQ(f.stats().traces, 2);
}

TEST(Members, ManyTensorsOfWhichSomeAreTheSame) {
  struct Many {
    std::vector<Tensor> tensors;
    Tensor forward(Tensor x) const {
      for (const Tensor& tensor : tensors) x = x + tensor;
      return x;
    }
  };
  Many many{std::vector<Tensor>(40, kTwo)};
  auto f = function(&Many::forward, &many);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{41, 82}));
  many.tensors[39] = two(0, 0);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{40, 80}));
  for (Tensor& tensor : many.tensors) tensor = two(1, 0);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{41, 2}));
  for (Tensor& tensor : many.tensors) tensor = two(2, 0);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{81, 2}));
  EXPECT_EQ(f.stats().traces, 3);
}

class Hidden {
 public:
  explicit Hidden(Tensor x) : x_(std::move(x)) {}
  const Tensor& get() const { return x_; }

 private:
  Tensor x_;
};

TEST(Members, WhatCannotBeReadStaysACapture) {
  struct Mixed {
    Hidden hidden;
    std::function<Tensor(Tensor)> call;
    Tensor weight;
    std::shared_ptr<Tensor> shared;
    const Tensor* pointer;
    Tensor forward(Tensor x) const { return call(x * weight) + *shared + *pointer + hidden.get(); }
  };
  const Tensor one = two(1, 1);
  struct Closed {  // members without default constructor close the whole aggregate
    Mixed mixed;
    Tensor forward(Tensor x) const { return mixed.forward(x); }
  };
  Closed closed{{Hidden(one), [](Tensor x) { return x; }, kTwo, std::make_shared<Tensor>(one), &one}};
  auto f = function(&Closed::forward, &closed);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{4, 7}));
  EXPECT_EQ(f.concrete(kTwo).num_captures(), 2);

  struct Open {
    std::function<Tensor(Tensor)> call;
    Tensor weight;
    std::shared_ptr<Tensor> shared;
    Tensor forward(Tensor x) const { return call(x * weight) + *shared; }
  };
  Open open{[](Tensor x) { return x; }, kTwo, std::make_shared<Tensor>(one)};
  auto g = function(&Open::forward, &open);
  EXPECT_EQ(values_of(g(kTwo)), (Floats{2, 5}));
  open.weight = two(0, 0);
  EXPECT_EQ(values_of(g(kTwo)), (Floats{1, 1}));
  EXPECT_EQ(g.concrete(kTwo).num_captures(), 1);
}

TEST(Members, OneThatHoldsNothingIsAllowed) {
  struct Optional {
    Tensor weight, bias;
    Tensor forward(Tensor x) const { return bias.defined() ? x * weight + bias : x * weight; }
  };
  Optional object{kTwo, {}};
  auto f = function(&Optional::forward, &object);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{1, 4}));
  object.bias = two(1, 1);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 5}));
}

TEST(Members, AnArgumentThatIsAMemberTooIsAnInputOfItsOwn) {
  Model model{kTwo};
  auto f = function(&Model::forward, &model);
  EXPECT_EQ(values_of(f(model.weight)), (Floats{1, 4}));
  EXPECT_EQ(values_of(f(two(5, 5))), (Floats{5, 10}));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Members, AreFollowedByConcreteFunctionsToo) {
  Model model{two(2, 3)};
  auto concrete = function(&Model::forward, &model, {.name = "f"}).concrete(TensorSpec{DType::f32, {2}});
  model.weight = two(10, 20);
  EXPECT_EQ(values_of(concrete(kTwo)), (Floats{10, 40}));
  model.factor = 3;
  EXPECT_NE(error_of([&] { concrete(kTwo); }).find("takes args[0] f32[2], this.weight f32[2], this.factor 1, but"),
            std::string::npos);
}

TEST(Members, AreNamedInReports) {
  Model model{two(2, 3)};
  auto f = function(&Model::forward, &model, {.name = "f", .on_retrace = Retrace::forbid});
  EXPECT_NE(f.explain(kTwo).find("args[0] f32[2]\n    this.weight f32[2]\n    this.factor 1\n"), std::string::npos);
  f(kTwo);
  model.factor = 2;
  EXPECT_NE(error_of([&] { f(kTwo); }).find("this.factor changed from 1 to 2"), std::string::npos);
}

TEST(Members, AMemberIsNoDestination) {
  Model model{two(2, 3)};
  auto f = function(&Model::forward, &model);
  EXPECT_NE(error_of([&] { f.call_into(model.weight, kTwo); }).find("overlaps input tensor 1"), std::string::npos);
}

// --- Traces that change their own key ---

TEST(MembersThatTheTraceChanges, ACounterIsNamed) {
  struct Counting {
    Tensor weight;
    int calls = 0;
    Tensor forward(Tensor x) { return ++calls, x * weight; }
  };
  Counting object{kTwo};
  auto f = function(&Counting::forward, &object, {.name = "f"});
  const std::string error = error_of([&] { f(kTwo); });
  EXPECT_NE(error.find("function f changes this.calls from 0 to 1 while it is traced"), std::string::npos) << error;
  EXPECT_EQ(f.stats().entries, 0);
}

struct Caching {
  Tensor last;
  bool throws = false;
  Tensor forward(Tensor x) {
    last = x + 1;
    if (throws) throw std::logic_error("user");
    return last * 2;
  }
};

TEST(MembersThatTheTraceChanges, AnAssignedTensorIsNamedAndPutBack) {
  Caching object{kTwo};
  auto f = function(&Caching::forward, &object, {.name = "f"});
  const std::string error = error_of([&] { f(kTwo); });
  EXPECT_NE(error.find("function f assigns this.last while it is traced"), std::string::npos) << error;
  EXPECT_EQ(values_of(object.last), (Floats{1, 2}));
}

TEST(MembersThatTheTraceChanges, AnAssignedTensorIsPutBackWhenTheTraceThrows) {
  Caching object{kTwo, true};
  auto f = function(&Caching::forward, &object);
  EXPECT_THROW(f(kTwo), std::logic_error);
  EXPECT_EQ(values_of(object.last), (Floats{1, 2}));
}

TEST(MembersThatTheTraceChanges, AGrowingContainerIsNamed) {
  struct Growing {
    std::vector<Tensor> seen;
    Tensor forward(Tensor x) { return seen.push_back(x), x; }
  };
  Growing object;
  auto f = function(&Growing::forward, &object, {.name = "f"});
  EXPECT_NE(error_of([&] { f(kTwo); }).find("function f adds this.seen[0] while it is traced"), std::string::npos);
}

TEST(MembersThatTheTraceChanges, EagerRunsMayChangeThem) {
  Caching object{kTwo};
  auto f = function(&Caching::forward, &object);
  const ScopedFlags eager("eager");
  EXPECT_EQ(values_of(f(kTwo)), (Floats{4, 6}));
  EXPECT_EQ(values_of(object.last), (Floats{2, 3}));
}

}  // namespace
}  // namespace etch
