// Expressions over the builder: the nodes that they make, and what numbers become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "compiler/ir/ex.h"
#include "compiler/ir/text.h"
#include "etch/error.h"

namespace etch {
namespace {

/// The text of the graph that returns f(inputs of these types).
std::string text_of(std::initializer_list<Type> types, const std::function<Ex(std::vector<Ex>)>& f) {
  GraphBuilder builder;
  Emitter emitter(builder);
  std::vector<Ex> inputs;
  for (const Type& type : types) inputs.push_back({emitter, builder.input(type).value()});
  const Value output = f(inputs).value();
  return print(std::move(builder).finish({&output, 1}));
}

TEST(Expressions, MakeTheNodesThatTheyRead) {
  const Type x{DType::f32, {4}};
  EXPECT_EQ(text_of({x, x}, [](auto v) { return v[0] * (1 - v[1] * v[1]); }),
            "graph(%0: f32[4], %1: f32[4]) {\n"
            "  %2 = mul(%1, %1) : f32[4]\n"
            "  %3 = constant value=1 : f32[]\n"
            "  %4 = sub(%3, %2) : f32[4]\n"
            "  %5 = mul(%0, %4) : f32[4]\n"
            "  return %5\n"
            "}\n");
  EXPECT_EQ(text_of({x, x}, [](auto v) { return max(where(v[0] > 0, v[1], 0), -0.5); }),
            "graph(%0: f32[4], %1: f32[4]) {\n"
            "  %2 = constant value=0 : f32[]\n"
            "  %3 = greater(%0, %2) : bool[4]\n"
            "  %4 = where(%3, %1, %2) : f32[4]\n"
            "  %5 = constant value=-0.5 : f32[]\n"
            "  %6 = max(%4, %5) : f32[4]\n"
            "  return %6\n"
            "}\n");
  EXPECT_EQ(text_of({{DType::boolean, {4}}}, [](auto v) { return where(v[0], true, false); }),
            "graph(%0: bool[4]) {\n"
            "  %1 = constant value=true : bool[]\n"
            "  %2 = constant value=false : bool[]\n"
            "  %3 = where(%0, %1, %2) : bool[4]\n"
            "  return %3\n"
            "}\n");
}

TEST(Expressions, MoveAndReduce) {
  EXPECT_EQ(text_of({{DType::f32, {2, 3}}},
                    [](auto v) { return cast(broadcast(reshape(sum(v[0], {1}), {2, 1}), {2, 4}), DType::f64); }),
            "graph(%0: f32[2,3]) {\n"
            "  %1 = reduce(%0) kind=sum axes=[1] : f32[2]\n"
            "  %2 = reshape(%1) : f32[2,1]\n"
            "  %3 = broadcast(%2) : f32[2,4]\n"
            "  %4 = cast(%3) : f64[2,4]\n"
            "  return %4\n"
            "}\n");
}

TEST(Expressions, ANumberTakesTheDtypeBesideItIfItIsExactThere) {
  const auto with = [](DType dtype, auto number) {
    return [=] { return text_of({{dtype, {}}}, [&](auto v) { return v[0] == number; }); };
  };
  EXPECT_THAT(with(DType::f32, 0.1)(), testing::HasSubstr("constant value=0.1 : f32[]"));  // a floating number is rounded
  EXPECT_THAT(with(DType::u8, 255)(), testing::HasSubstr("constant value=255 : u8[]"));
  EXPECT_THAT(with(DType::i64, INT64_MAX)(), testing::HasSubstr("constant value=9223372036854775807 : i64[]"));
  EXPECT_THAT(with(DType::i32, -3.0)(), testing::HasSubstr("constant value=-3 : i32[]"));
  EXPECT_THAT(with(DType::boolean, true)(), testing::HasSubstr("constant value=true : bool[]"));
  EXPECT_THROW(with(DType::f32, 16777217)(), InternalError);
  EXPECT_THROW(with(DType::f64, INT64_MAX)(), InternalError);
  EXPECT_THROW(with(DType::u8, -1)(), InternalError);
  EXPECT_THROW(with(DType::u8, 256)(), InternalError);
  EXPECT_THROW(with(DType::i32, 0.5)(), InternalError);
  EXPECT_THROW(with(DType::i32, NAN)(), InternalError);
  EXPECT_THROW(with(DType::boolean, 2)(), InternalError);
}

TEST(Expressions, ThatAreIllTypedOrOfNumbersAloneAreBugs) {
  const Type f{DType::f32, {4}}, i{DType::i32, {4}};
  EXPECT_THROW(text_of({f, i}, [](auto v) { return v[0] + v[1]; }), InternalError);
  EXPECT_THROW(text_of({f}, [](auto v) { return where(v[0] > 0, 1, 0); }), InternalError);
}

}  // namespace
}  // namespace etch
