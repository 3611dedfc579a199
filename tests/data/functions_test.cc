// User code in pipelines: etch::functions and host callables, and the variables that they read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/module.h"
#include "etch/options.h"
#include "tests/data/element_text.h"
#include "tests/messages.h"

namespace etch::data {
namespace {

using testing::HasSubstr;

Dataset<Tensor> numbers(int64_t n) { return from_tensor_slices(cast(etch::range(n), DType::f32)); }
auto add_variable(const Variable& w) {
  return etch::function([w](Tensor x) { return x + w; }, {.name = "add_w"});
}
Dataset<Tensor> untyped(int64_t n) {  // whose element_spec is not known
  return numbers(n).map([](Tensor x) { return x; });
}

TEST(DataFunctions, ReadVariablesAsTheyStoodWhenTheIteratorWasMade) {
  for (int threads : {1, 2}) {
    for (const auto& source : {numbers(4), untyped(4)}) {
      const Variable w(10.f, {.name = "w"});
      const auto dataset = source.map(add_variable(w), {.parallel = threads}).prefetch(2);
      auto walk = dataset.iterator();
      w.assign(100.f);
      EXPECT_EQ(walk.next()->item<float>(), 10);
      w.assign(200.f);
      EXPECT_EQ(rest_of(walk), (std::vector<std::string>{"11.000000", "12.000000", "13.000000"}));
      EXPECT_EQ(dataset.iterator().next()->item<float>(), 200);
    }
  }
}

TEST(DataFunctions, LaterTurnsOfRepeatReadTheSame) {
  const Variable w(10.f, {.name = "w"});
  auto walk = numbers(2).map(add_variable(w)).repeat(2).iterator();
  w.assign(100.f);
  EXPECT_EQ(rest_of(walk), (std::vector<std::string>{"10.000000", "11.000000", "10.000000", "11.000000"}));
}

TEST(DataFunctions, ARestoredIteratorReadsWhatTheSavedOneRead) {
  for (const auto& source : {numbers(4), untyped(4)}) {
    const Variable w(10.f, {.name = "w"});
    const auto dataset = source.map(add_variable(w), {.parallel = 2}).repeat(2);
    auto walk = dataset.iterator();
    walk.next();
    w.assign(100.f);
    const SavedState state = walk.state();
    auto restored = dataset.iterator();
    restored.restore(state);
    EXPECT_EQ(rest_of(restored), rest_of(walk));
  }
}

TEST(DataFunctions, AreTracedAndNotRunForTheTypesOfElements) {
  int calls = 0;
  const auto f = etch::function([&calls](Tensor x) {
    ++calls;
    return std::pair(stack({x, x}), x);
  });
  const auto dataset = numbers(10).map(f);
  EXPECT_EQ(to_string(dataset.element_spec().at(0)), "f32[2], f32[]");
  EXPECT_EQ(dataset.batch(4).element_spec().size(), 2u);
  const int traced = calls;
  dataset.to_vector();
  EXPECT_EQ(calls, traced);  // it is compiled
}

TEST(DataFunctions, OneElementIsPeekedWhereTypesAreNotKnownAndNoneIsLost) {
  int pulls = 0;
  const Variable w(1.f, {.name = "w"});
  const auto dataset = numbers(5).map([&pulls](Tensor x) { return ++pulls, x; }).map(add_variable(w));
  auto walk = dataset.iterator();
  EXPECT_EQ(pulls, 1);
  EXPECT_EQ(rest_of(walk).size(), 5u);
  EXPECT_EQ(pulls, 5);
}

TEST(DataFunctions, ThatAssignAreErrors) {
  const Variable w(1.f, {.name = "w"});
  const auto f = etch::function([w](Tensor x) {
    w.assign_add(1.f);
    return x + w;
  });
  const auto dataset = numbers(3).map(f);
  EXPECT_THAT(
      error_of([&] { dataset.iterator(); }),
      HasSubstr(
          "a function of a data set assigns variable w f32[]; elements are made ahead of time and maybe again, so it "
          "may "
          "only read variables: take random numbers of the seed that map_random gives, and carry other state in scan"));
  EXPECT_EQ(w.value().item<float>(), 1);
}

TEST(DataFunctions, GeneratorsInsideAreErrors) {
  const Generator generator(1);
  const auto f = etch::function([generator](Tensor x) { return x + generator.normal({}); });
  EXPECT_THAT(error_of([&] { numbers(3).map(f).iterator(); }), HasSubstr("assigns variable generator"));
}

TEST(DataFunctions, OfOtherStages) {
  const Variable limit(2.f, {.name = "limit"});
  auto small = numbers(6).filter(etch::function([limit](Tensor x) { return x < limit; })).iterator();
  limit.assign(5.f);
  EXPECT_EQ(rest_of(small).size(), 2u);
  auto while_small = numbers(6).take_while(etch::function([limit](Tensor x) { return x < limit; })).iterator();
  limit.assign(0.f);
  EXPECT_EQ(rest_of(while_small).size(), 5u);
  const auto step = etch::function([limit](Tensor s, Tensor x) { return std::pair(s + x, s * x + limit); });
  EXPECT_EQ(line_of(numbers(4).scan(Tensor(1.f), step)), "0.000000;1.000000;4.000000;12.000000");
}

TEST(DataFunctions, AreKeysOfGroups) {
  const Variable modulus(3, {.name = "modulus"});
  const auto dataset = from_tensor_slices(etch::range(7))
                           .group_by_window(etch::function([modulus](Tensor x) { return x % modulus; }),
                                            [](int64_t, const Dataset<Tensor>& w) { return w.batch(9); }, 2);
  auto walk = dataset.iterator();
  modulus.assign(1);
  EXPECT_EQ(rest_of(walk), (std::vector<std::string>{"[0,3]", "[1,4]", "[2,5]", "[6]"}));
}

TEST(DataFunctions, TakeSeedsInMapRandom) {
  const auto f = etch::function([](Tensor x, Tensor seed) { return x + random::uniform(seed, {}); });
  const auto host = [](Tensor x, Tensor seed) { return x + random::uniform(seed, {}); };
  EXPECT_EQ(texts_of(numbers(9).map_random(f, 3, {.parallel = 2}), 4), texts_of(numbers(9).map_random(host, 3), 4));
  EXPECT_NE(texts_of(numbers(9).map_random(f, 3), 4), texts_of(numbers(9).map_random(f, 3), 5));
  EXPECT_NE(texts_of(numbers(9).map_random(f, 3)), texts_of(numbers(9).map_random(f, 4)));
  EXPECT_EQ(to_string(numbers(9).map_random(f, 3).element_spec().at(0)), "f32[]");
}

TEST(DataFunctions, RunAsPlainCppReadTheSame) {
  const Variable w(10.f, {.name = "w"});
  auto walk = numbers(3).map(add_variable(w)).iterator();
  w.assign(100.f);
  const ScopedFlags flags("eager=1");
  EXPECT_EQ(rest_of(walk), (std::vector<std::string>{"10.000000", "11.000000", "12.000000"}));
}

constexpr const char* kReads =
    "a host callable of a data set reads variable w f32[]; what it reads would depend on when the element is made: "
    "give the pipeline "
    "an etch::function, which reads variables as they stood when the iterator was made, or take the value before and "
    "capture that";

TEST(DataFunctions, HostCallablesMayNotReadVariables) {
  const Variable w(1.f, {.name = "w"});
  for (int threads : {1, 2}) {
    const auto direct = numbers(3).map([w](Tensor x) { return x + w; }, {.parallel = threads});
    EXPECT_EQ(error_of([&] { direct.to_vector(); }),
              std::string("from_tensor_slices > map: map, element 0: ") + kReads);
    const auto compiled = add_variable(w);
    const auto through = numbers(3).map([compiled](Tensor x) { return compiled(x); }, {.parallel = threads});
    EXPECT_EQ(error_of([&] { through.to_vector(); }),
              std::string("from_tensor_slices > map: map, element 0: ") + kReads);
  }
  const auto filtered = numbers(3).filter([w](Tensor x) { return x < w; });
  EXPECT_THAT(error_of([&] { filtered.to_vector(); }), HasSubstr(kReads));
  const auto generated = from_generator([w] { return std::optional(w.value()); });
  EXPECT_THAT(error_of([&] { generated.to_vector(); }), HasSubstr(kReads));
  const Tensor value = w;  // the way out
  EXPECT_EQ(line_of(numbers(2).map([value](Tensor x) { return x + value; })), "1.000000;2.000000");
  EXPECT_EQ(w.value().item<float>(), 1);  // outside of a pipeline all is as before
}

TEST(DataFunctions, WhoseVariablesShowLateAreErrors) {
  const Variable w(1.f, {.name = "w"});
  const auto f = etch::function([w](Tensor x) { return x.shape()[0] > 2 ? x + w : x; });
  const auto dataset = range(2, 4).map(run_of).map([](Tensor x) { return cast(x, DType::f32); }).map(f);
  EXPECT_THAT(
      error_of([&] { dataset.to_vector(); }),
      HasSubstr(
          "map, element 1: a function of a data set uses variable w f32[] for elements of a type that came after the "
          "first "
          "ones, so its value at the iterator's making is not known; state all types of its elements by with_spec"));
  const auto stated = range(2, 4).map(run_of).map([](Tensor x) { return cast(x, DType::f32); })
                          .with_spec({{{{DType::f32, {2}}}}, {{{DType::f32, {3}}}}}).map(f);
  EXPECT_EQ(line_of(stated), "[2.000000,2.000000];[4.000000,4.000000,4.000000]");
}

}  // namespace
}  // namespace etch::data
