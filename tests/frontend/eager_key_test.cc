// The key of the eager cache: whatever decides the compiled function of an op is part of it.
#include "frontend/eager_key.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "compiler/codegen/target.h"
#include "tests/ir/flip_fields.h"

namespace etch::detail {
namespace {

constexpr Type kMatrix{DType::f32, {2, 3}};
constexpr Type kOther{DType::f64, {2, 3}};
constexpr Type kWider{DType::f32, {2, 4}};

/// A key on types that stand as long as it.
struct Held {
  Held(const AnyOp& op, std::vector<Type> operands, std::optional<Type> wanted, const Target* target = nullptr)
      : op(op), operands(std::move(operands)), wanted(wanted), target(target) {
    for (const Type& type : this->operands) types.push_back({type.dtype, &type.shape});
  }
  EagerKeyView view() const { return {op, types, {wanted ? &*wanted : nullptr, wanted ? size_t{1} : 0}, target}; }

  AnyOp op;
  std::vector<Type> operands;
  std::optional<Type> wanted;
  const Target* target;
  std::vector<OperandType> types;
};

void expect_apart(const Held& a, const Held& b, const std::string& what) {
  EXPECT_FALSE(a.view() == b.view()) << what;
  EXPECT_NE(absl::HashOf(a.view()), absl::HashOf(b.view())) << what;
}

TEST(EagerKey, EveryFieldOfEveryOpMakesAnotherKey) {
  for (int i = kNumTableOps; i < kNumOps; ++i) {
    const Held key(static_cast<Op>(i), {kMatrix}, kMatrix);
    for (const auto& [field, op] : flip_fields(key.op)) {
      expect_apart(key, {op, {kMatrix}, kMatrix}, std::string(name(op)) + " " + field);
    }
  }
}

TEST(EagerKey, OpOperandsWantedTypeAndTargetMakeAnotherKey) {
  const Held key(op::Cast{}, {kMatrix}, kMatrix);
  expect_apart(key, {op::Bitcast{}, {kMatrix}, kMatrix}, "op");
  expect_apart(key, {op::Cast{}, {kOther}, kMatrix}, "dtype of an operand");
  expect_apart(key, {op::Cast{}, {kWider}, kMatrix}, "shape of an operand");
  expect_apart(key, {op::Cast{}, {kMatrix, kMatrix}, kMatrix}, "number of operands");
  expect_apart(key, {op::Cast{}, {kMatrix}, kOther}, "dtype wanted");
  expect_apart(key, {op::Cast{}, {kMatrix}, std::nullopt}, "no type wanted");
  expect_apart(key, {op::Cast{}, {kMatrix}, kMatrix, &host_target()}, "target");
}

TEST(EagerKey, AKeyThatOwnsIsEqualToTheOneItWasMadeOf) {
  const Held held(op::Cast{}, {kMatrix, kWider}, kOther, &host_target());
  const EagerKey key(held.view());
  EXPECT_TRUE(key.view() == held.view());
  EXPECT_EQ(absl::HashOf(key.view()), absl::HashOf(held.view()));
}

}  // namespace
}  // namespace etch::detail
