// The key of the eager cache: whatever decides the compiled function of an op is part of it.
#include "frontend/eager_key.h"

#include <gtest/gtest.h>

#include "absl/hash/hash.h"
#include "tests/ir/flip_fields.h"

namespace etch::detail {
namespace {

constexpr Type kMatrix{DType::f32, {2, 3}};
constexpr Type kOther{DType::f64, {2, 3}};
constexpr Type kWider{DType::f32, {2, 4}};

void expect_apart(const EagerKey& a, const EagerKey& b, const std::string& what) {
  EXPECT_FALSE(a == b) << what;
  EXPECT_NE(absl::HashOf(a), absl::HashOf(b)) << what;
}

TEST(EagerKey, EveryFieldOfEveryOpMakesAnotherKey) {
  for (int i = kNumTableOps; i < kNumOps; ++i) {
    const EagerKey key{static_cast<Op>(i), {kMatrix}, {kMatrix}};
    for (const auto& [field, op] : flip_fields(key.op)) {
      expect_apart(key, {op, key.operands, key.wanted}, std::string(name(op)) + " " + field);
    }
  }
}

TEST(EagerKey, OpOperandsAndWantedTypeMakeAnotherKey) {
  const EagerKey key{op::Cast{}, {kMatrix}, {kMatrix}};
  expect_apart(key, {op::Bitcast{}, {kMatrix}, {kMatrix}}, "op");
  expect_apart(key, {op::Cast{}, {kOther}, {kMatrix}}, "dtype of an operand");
  expect_apart(key, {op::Cast{}, {kWider}, {kMatrix}}, "shape of an operand");
  expect_apart(key, {op::Cast{}, {kMatrix, kMatrix}, {kMatrix}}, "number of operands");
  expect_apart(key, {op::Cast{}, {kMatrix}, {kOther}}, "dtype wanted");
  expect_apart(key, {op::Cast{}, {kMatrix}, {}}, "no type wanted");
}

}  // namespace
}  // namespace etch::detail
