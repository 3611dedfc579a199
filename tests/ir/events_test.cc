// Events: what is recorded stays apart; closing merges it, inputs first.
#include "compiler/ir/events.h"

#include <gtest/gtest.h>

#include "compiler/ir/text.h"

namespace etch {
namespace {

const Type kTwo{DType::f32, {2}};

Value record(Events& events, Op op, std::vector<Value> operands) { return (*events.record(op, operands, {}))[0]; }

TEST(Events, EqualOpsStayApart) {
  Events events;
  const Value x = *events.input(kTwo);
  const Value a = record(events, Op::tanh, {x});
  const Value b = record(events, Op::tanh, {x});
  EXPECT_NE(a, b);
  EXPECT_EQ(events.nodes().size(), 3u);
}

TEST(Events, ClosingMergesEqualOpsAndWhatFollowsFromThem) {
  Events events;
  const Value x = *events.input(kTwo);
  const Value a = record(events, Op::exp, {record(events, Op::tanh, {x})});
  const Value b = record(events, Op::exp, {record(events, Op::tanh, {x})});
  const Value outputs[] = {a, b, record(events, Op::add, {a, b})};
  EXPECT_EQ(print(events.close(outputs)), R"(graph(%0: f32[2]) {
  %1 = tanh(%0) : f32[2]
  %2 = exp(%1) : f32[2]
  %3 = add(%2, %2) : f32[2]
  return %2, %2, %3
}
)");
  EXPECT_EQ(events.nodes().size(), 6u);
}

TEST(Events, ClosingPutsInputsThatWereFoundLateFirst) {
  Events events;
  const Value x = *events.input(kTwo);
  const Value a = record(events, Op::tanh, {x});
  const Value late = *events.input({DType::f32, {}});
  const Value sum = record(events, Op::add, {a, late});
  EXPECT_EQ(print(events.close({&sum, 1})), R"(graph(%0: f32[2], %1: f32[]) {
  %2 = tanh(%0) : f32[2]
  %3 = add(%2, %1) : f32[2]
  return %3
}
)");
}

TEST(Events, AnExcerptIsAFunctionOfWhatIsGiven) {
  Events events;
  const Value x = *events.input(kTwo), y = *events.input(kTwo);
  const Value a = record(events, Op::tanh, {x});
  const Value b = record(events, Op::mul, {a, y});
  const Value c = record(events, Op::exp, {record(events, Op::add, {b, record(events, Op::mul, {a, y})})});
  record(events, Op::neg, {c});
  const Excerpt excerpt = events.excerpt({&c, 1}, [&](Value value) { return value == y || value == a || value == x; });
  EXPECT_EQ(excerpt.inputs, (std::vector<Value>{y, a}));
  EXPECT_EQ(print(excerpt.graph), R"(graph(%0: f32[2], %1: f32[2]) {
  %2 = mul(%1, %0) : f32[2]
  %3 = add(%2, %2) : f32[2]
  %4 = exp(%3) : f32[2]
  return %4
}
)");
}

TEST(Events, AreRepeatedOnOtherValues) {
  Events inner;
  const Value a = *inner.input(kTwo);
  const Value negative = record(inner, Op::neg, {a});
  const Value late = *inner.input({DType::f32, {}});
  const Value product = record(inner, Op::mul, {negative, late});
  Events events;
  const Value scalar = *events.input({DType::f32, {}}), x = *events.input(kTwo);
  const Value inputs[] = {record(events, Op::exp, {x}), scalar};
  const std::vector<Value> stands_for = events.repeat(inner, inputs).values;
  EXPECT_EQ(stands_for[a.id], inputs[0]);
  EXPECT_EQ(print(events.close({&stands_for[product.id], 1})), R"(graph(%0: f32[], %1: f32[2]) {
  %2 = exp(%1) : f32[2]
  %3 = neg(%2) : f32[2]
  %4 = mul(%3, %0) : f32[2]
  return %4
}
)");
}

TEST(Events, TypesAreInferredAlsoWhereASignatureComesAgain) {
  Events events;
  const Value x = *events.input(kTwo);
  const Value y = *events.input({DType::f32, {3, 1}});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(events.type(record(events, Op::less, {x, y})), (Type{DType::boolean, {3, 2}})) << i;
    EXPECT_EQ(events.type(record(events, Op::less, {x, x})), (Type{DType::boolean, {2}})) << i;
  }
}

TEST(Events, StandInsAreEventsOfTheirOwnAndWhatTheyStandForInTheGraph) {
  Events events;
  const Value x = *events.input(kTwo), leaf = events.leaf(kTwo);
  const auto stand_in = [&](Value of) { return events.stand_in({&leaf, 1}, {&kTwo, 1}, {&of, 1})[0]; };
  const Value first = stand_in(x), second = stand_in(x);
  const Value sum = record(events, Op::add, {first, second});
  const Value third = stand_in(sum), again = stand_in(third);
  EXPECT_NE(first, second);
  EXPECT_EQ(events.source(second), x);
  EXPECT_EQ(events.source(again), sum);
  EXPECT_EQ(events.source(sum), sum);
  const Value outputs[] = {record(events, Op::neg, {again}), third};
  EXPECT_EQ(print(events.close(outputs)),
            "graph(%0: f32[2]) {\n  %1 = add(%0, %0) : f32[2]\n  %2 = neg(%1) : f32[2]\n  return %2, %1\n}\n");
}

TEST(Events, AStretchIsRepeatedOnOtherValues) {
  Events events;
  const Value x = *events.input(kTwo), place = events.leaf(kTwo);
  const int begin = static_cast<int>(events.nodes().size());
  const Value product = record(events, Op::mul, {place, record(events, Op::exp, {x})});
  std::vector<Value> values(events.num_values());
  values[place.id] = record(events, Op::tanh, {x});
  const Events::Repeated repeated = events.repeat(events, begin, begin + 2, std::move(values));
  EXPECT_EQ(repeated.places, (std::vector<int>{begin + 3, begin + 4, begin + 5}));
  EXPECT_EQ(print(events.close({&repeated.values[product.id], 1})), R"(graph(%0: f32[2]) {
  %1 = exp(%0) : f32[2]
  %2 = tanh(%0) : f32[2]
  %3 = mul(%2, %1) : f32[2]
  return %3
}
)");
}

TEST(Events, IllegalOpsAreRefusedEachTime) {
  Events events;
  const Value pair[] = {*events.input(kTwo), *events.input({DType::f32, {3}})};
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<Results> results = events.record(Op::add, pair, {});
    ASSERT_FALSE(results.ok()) << i;
    EXPECT_EQ(results.status().message().find("add(f32[2], f32[3]): shapes [2] and [3] do not broadcast"), 0u) << i;
  }
  const Value nothing;
  for (Op op : {Op::abs, Op::tanh}) {
    EXPECT_FALSE(events.record(op, {}, {}).ok());
    EXPECT_FALSE(events.record(op, {&nothing, 1}, {}).ok());
  }
  EXPECT_EQ(events.nodes().size(), 2u);
}

}  // namespace
}  // namespace etch
