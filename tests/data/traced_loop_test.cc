// `for` over data sets, and iterators, in traced functions: the same as in eager code.
#include <gmock/gmock.h>

#include "etch/data.h"
#include "etch/effects.h"
#include "etch/etch.h"

namespace etch::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

/// A pipeline of pairs whose source counts what is taken.
struct Source {
  std::shared_ptr<int> taken = std::make_shared<int>(0);

  Dataset<std::pair<Tensor, Tensor>> pairs(int n) const {
    return from_generator([taken = taken, n, i = 0]() mutable -> std::optional<std::pair<Tensor, Tensor>> {
      if (i == n) return std::nullopt;
      ++*taken;
      const auto x = static_cast<float>(i++);
      return std::pair(Tensor({x, x + 1}), Tensor(2 * x));
    }, {.spec = {{{{DType::f32, {2}}, {DType::f32, {}}}}}});
  }
};

Tensor weighted(const Dataset<std::pair<Tensor, Tensor>>& dataset, Tensor total) {
  for (auto [x, y] : dataset) total = total + sum(x) * y;
  return total;
}

TEST(TracedLoop, GivesTheBitsOfTheEagerLoop) {
  const Source source;
  const auto dataset = source.pairs(10);
  const Tensor eager = weighted(dataset, Tensor(0.1f));
  auto traced = function([=](Tensor start) { return weighted(dataset, start); });
  EXPECT_EQ(traced(Tensor(0.1f)).item<float>(), eager.item<float>());
}

TEST(TracedLoop, TakesExactlyTheElementsUsed) {
  const Source source;
  const auto dataset = source.pairs(10);
  auto traced = function([=](Tensor start) { return weighted(dataset, start); });
  traced.concrete(Tensor(0.0f));
  EXPECT_EQ(*source.taken, 0);
  for (int call = 1; call <= 6; ++call) {
    traced(Tensor(0.0f));
    EXPECT_EQ(*source.taken, 10 * call);
  }
}

TEST(TracedLoop, IsOneWhileLoopOfTheGraph) {
  const auto dataset = Source().pairs(10);
  auto traced = function([=](Tensor start) { return weighted(dataset, start); });
  const std::string graph = traced.concrete(Tensor(0.0f)).text("graph");
  EXPECT_THAT(graph, HasSubstr("while_loop"));
  EXPECT_THAT(graph, HasSubstr("next_element(\"from_generator\")"));
  EXPECT_EQ(graph.find("while_loop"), graph.rfind("while_loop"));
}

TEST(TracedLoop, BatchesOfTwoSizesHaveABodyEach) {
  const auto batches = from_tensor_slices(range(10, DType::f32)).batch(4);
  auto traced = function([=](Tensor total) {
    for (Tensor x : batches) total = total + sum(x) * static_cast<float>(x.shape()[0]);
    return total;
  });
  EXPECT_EQ(traced(Tensor(0.0f)).item<float>(), 4.0f * (0 + 1 + 2 + 3 + 4 + 5 + 6 + 7) + 2.0f * (8 + 9));
}

TEST(TracedLoop, EpochsShuffleAnewByATensor) {
  const auto shuffled = from_tensor_slices(range(20, DType::f32)).shuffle(20, {.seed = 7});
  const auto digest = [&](const Tensor& epochs) {
    Tensor digest(0.0f);
    for (Tensor epoch : etch::range(epochs)) {
      for (Tensor x : shuffled.epoch(epoch)) digest = digest * 0.5f + x;
    }
    return digest;
  };
  auto traced = function(digest);
  EXPECT_EQ(traced(Tensor(3)).item<float>(), digest(Tensor(3)).item<float>());
  EXPECT_NE(traced(Tensor(3)).item<float>(), traced(Tensor(2)).item<float>());
}

TEST(TracedLoop, AnEndlessGeneratorEndsByBreak) {
  const auto taken = std::make_shared<int>(0);
  const auto endless = from_generator([taken, i = 0]() mutable -> std::optional<Tensor> {
    ++*taken;
    return Tensor(static_cast<float>(i++));
  }, {.spec = {{{{DType::f32, {}}}}}, .cardinality = INFINITE_CARDINALITY});
  auto traced = function([=](Tensor limit) {
    Tensor sum(0.0f);
    for (Tensor x : endless) {
      sum = sum + x;
      if (sum > limit) break;
    }
    return sum;
  });
  EXPECT_EQ(traced(Tensor(9.0f)).item<float>(), 10.0f);
  EXPECT_EQ(*taken, 5);
}

TEST(TracedLoop, ThreadsOfThePipelineEndWithTheCall) {
  const auto dataset = Source().pairs(100).map([](Tensor x, Tensor y) { return x + y; }, {.parallel = 2, .spec = {{{{DType::f32, {2}}}}}})
                           .prefetch(4);
  auto traced = function([=](Tensor limit) {
    Tensor total(0.0f);
    for (Tensor x : dataset) {
      total = total + sum(x);
      if (total > limit) break;
    }
    return total;
  });
  traced(Tensor(50.0f));
  EXPECT_EQ(num_pipeline_threads(), 0);
}

TEST(TracedLoop, ReduceIsALoopToo) {
  const auto dataset = Source().pairs(5);
  auto traced = function([=](Tensor start) {
    return dataset.reduce(start, [](Tensor state, const std::pair<Tensor, Tensor>& element) { return state + element.second; });
  });
  EXPECT_EQ(traced(Tensor(1.0f)).item<float>(), 21.0f);
}

TEST(TracedLoop, NestedLoopsWalkApart) {
  const auto dataset = Source().pairs(3);
  const auto products = [=](Tensor total) {
    for (auto [x, y] : dataset) {
      for (auto [u, v] : dataset) total = total + y * v;
    }
    return total;
  };
  auto traced = function(products);
  EXPECT_EQ(traced(Tensor(0.0f)).item<float>(), products(Tensor(0.0f)).item<float>());
}

TEST(TracedLoop, ADataSetIsAnArgument) {
  const auto three = Source().pairs(3), four = Source().pairs(4);
  auto traced = function([](const Dataset<std::pair<Tensor, Tensor>>& dataset, Tensor start) { return weighted(dataset, start); });
  EXPECT_EQ(traced(three, Tensor(0.0f)).item<float>(), weighted(three, Tensor(0.0f)).item<float>());
  EXPECT_EQ(traced(four, Tensor(0.0f)).item<float>(), weighted(four, Tensor(0.0f)).item<float>());
  EXPECT_EQ(traced(three, Tensor(0.0f)).item<float>(), weighted(three, Tensor(0.0f)).item<float>());
  EXPECT_EQ(traced.stats().traces, 2);
}

TEST(TracedIterator, GoesOnFromCallToCall) {
  const Source source;
  auto iterator = source.pairs(5).iterator();
  auto two = function([&](Tensor start) {
    for (int i = 0; i < 2; ++i) {
      if (auto element = iterator.next()) start = start + element->second;
    }
    return start;
  });
  EXPECT_EQ(two(Tensor(0.0f)).item<float>(), 0.0f + 2.0f);
  EXPECT_EQ(iterator.position(), 2);
  EXPECT_EQ(two(Tensor(0.0f)).item<float>(), 4.0f + 6.0f);
  EXPECT_EQ(two(Tensor(0.0f)).item<float>(), 8.0f);
  EXPECT_EQ(two(Tensor(0.5f)).item<float>(), 0.5f);
  EXPECT_EQ(*source.taken, 5);
}

TEST(TracedIterator, StandsBehindTheLastElementOfACallThatThrows) {
  auto iterator = Source().pairs(5).iterator();
  const Variable seen(0.0f);
  auto run = function([&](Tensor limit) {
    while (auto element = iterator.next()) {
      seen += element->second;
      require(element->second < limit, "{} is too large", element->second);
    }
    return limit;
  });
  const std::string error = error_of([&] { run(Tensor(5.0f)); });
  EXPECT_THAT(error, HasSubstr("6.0 is too large"));
  EXPECT_THAT(error, HasSubstr("(behind 4 elements of from_generator)"));
  EXPECT_EQ(iterator.position(), 4);
  EXPECT_EQ(seen.value().item<float>(), 0.0f);
}

TEST(TracedIterator, ThatIsGoneIsAnError) {
  auto iterator = std::make_unique<Iterator<std::pair<Tensor, Tensor>>>(Source().pairs(5).iterator());
  auto run = function([&](Tensor start) {
    auto element = iterator->next();
    return element ? start + element->second : start;
  });
  run(Tensor(0.0f));
  iterator.reset();
  EXPECT_THAT(error_of([&] { run(Tensor(0.0f)); }), HasSubstr("iterator over a data set that the function was traced with is gone"));
}

TEST(TracedLoopErrors, UnknownTypesNameTheRemedy) {
  const auto dataset = range(3).map([](int64_t i) { return Tensor(i); });
  auto run = function([=](Tensor start) {
    for (Tensor x : dataset) start = start + x;
    return start;
  });
  EXPECT_THAT(error_of([&] { run(Tensor(int64_t{0})); }),
              HasSubstr("a loop over range > map in a traced function: the types of its elements are not known before it runs; state "
                        "them, by `with_spec`"));
}

TEST(TracedLoopErrors, HostValuesNameTheRemedy) {
  const auto dataset = range(3);
  auto run = function([=](Tensor start) {
    for (int64_t x : dataset) start = start + x;
    return start;
  });
  EXPECT_THAT(error_of([&] { run(Tensor(int64_t{0})); }), HasSubstr("its elements hold more than tensors"));
}

TEST(TracedLoopErrors, AnIteratorIsNotMadeInATrace) {
  const auto dataset = Source().pairs(3);
  auto run = function([=](Tensor start) {
    auto iterator = dataset.iterator();
    return start + iterator.next()->second;
  });
  EXPECT_THAT(error_of([&] { run(Tensor(0.0f)); }), HasSubstr("making an iterator in a traced function would happen once"));
}

TEST(TracedLoopErrors, APipelineDoesNotReadWhatTheCallAssigns) {
  const Variable w(2.0f, {.name = "w"});
  auto scale = function([=](Tensor x) { return w * x; });
  const auto dataset = from_tensor_slices(range(4, DType::f32)).map(scale);
  auto run = function([=](Tensor start) {
    for (Tensor x : dataset) w.assign_add(x);
    return start;
  });
  EXPECT_THAT(error_of([&] { run(Tensor(0.0f)); }), HasSubstr("reads variable w f32[], which the compiled function"));
  EXPECT_EQ(w.value().item<float>(), 2.0f);
}

TEST(TracedLoop, FunctionsOfThePipelineReadVariablesAsTheyStandAtTheCall) {
  const Variable w(2.0f, {.name = "w"});
  auto scale = function([=](Tensor x) { return w * x; });
  const auto dataset = from_tensor_slices(range(4, DType::f32)).map(scale);
  auto run = function([=](Tensor start) {
    for (Tensor x : dataset) start = start + x;
    return start;
  });
  EXPECT_EQ(run(Tensor(0.0f)).item<float>(), 12.0f);
  w.assign(3.0f);
  EXPECT_EQ(run(Tensor(0.0f)).item<float>(), 18.0f);
}

}  // namespace
}  // namespace etch::data
