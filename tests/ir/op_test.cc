// AnyOp and its reflection: every field of every op counts, and is called in text what it is called in the source.
#include "compiler/ir/any_op.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "compiler/ir/field_text.h"
#include "tests/ir/flip_fields.h"

namespace etch {
namespace {

TEST(AnyOp, StandsForItsOp) {
  for (int i = 0; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    EXPECT_EQ(static_cast<Op>(AnyOp(op)), op);
    EXPECT_TRUE(AnyOp(op) == op);
    EXPECT_TRUE(AnyOp(op) == AnyOp(op));
  }
}

TEST(AnyOp, OpsWithEqualFieldsDiffer) {
  for (int i = 0; i < kNumOps; ++i) {
    for (int j = 0; j < i; ++j) EXPECT_FALSE(AnyOp(static_cast<Op>(i)) == AnyOp(static_cast<Op>(j))) << i << " " << j;
  }
}

TEST(AnyOp, EveryFieldCountsInEqualityHashAndText) {
  int fields = 0;
  for (int i = kNumTableOps; i < kNumOps; ++i) {
    const AnyOp op = static_cast<Op>(i);
    for (const auto& [name, other] : flip_fields(op)) {
      EXPECT_FALSE(op == other) << etch::name(op) << " " << name;
      EXPECT_NE(absl::HashOf(op), absl::HashOf(other)) << etch::name(op) << " " << name;
      EXPECT_NE(fields_text(op, DType::i64), fields_text(other, DType::i64)) << etch::name(op) << " " << name;
      ++fields;
    }
  }
  EXPECT_GE(fields, 11);
}

TEST(AnyOp, AsGivesTheFieldsOfItsOwnStructOnly) {
  const AnyOp op = op::Pad{{1}, {2}};
  ASSERT_NE(op.as<op::Pad>(), nullptr);
  EXPECT_EQ(op.as<op::Pad>()->high, (Dims{2}));
  EXPECT_EQ(op.as<op::Slice>(), nullptr);
  EXPECT_EQ(AnyOp(Op::add).as<op::Pad>(), nullptr);
}

TEST(AnyOp, IsSmall) { EXPECT_LE(sizeof(AnyOp), 24u); }

TEST(Fields, AreNamedAsInTheSource) {
  EXPECT_EQ(fields_text(op::Slice{{7, 0}, {-1, 1}}, DType::f32), " start=[7,0] step=[-1,1]");
  EXPECT_EQ(fields_text(op::Reduce{ReduceKind::max, {1}}, DType::f32), " kind=max axes=[1]");
  EXPECT_EQ(fields_text(op::Constant{to_bits(0.5f)}, DType::f32), " value=0.5");
  EXPECT_EQ(fields_text(Op::tanh, DType::f32), "");
}

TEST(CostOf, IsThatOfTheTableAndNothingForMovement) {
  EXPECT_EQ(cost_of(Op::add), 1);
  EXPECT_EQ(cost_of(Op::pow), info(Op::pow).cost);
  EXPECT_EQ(cost_of(Op::cast), 1);
  EXPECT_EQ(cost_of(Op::bitcast), 0);
  EXPECT_EQ(cost_of(Op::transpose), 0);
}

}  // namespace
}  // namespace etch
