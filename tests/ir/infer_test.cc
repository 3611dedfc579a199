// Type inference: what each op gives, which dtypes it takes, and the message for everything else.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "compiler/ir/text.h"

namespace etch {
namespace {

/// The graph text of a node whose operands are given by their types: `exp(f32[2]) : f32[2]`.
std::string graph_text(const std::string& node) {
  std::string inputs;
  std::string operands;
  const size_t open = node.find('(');
  const size_t close = node.find(')');
  int count = 0;
  for (size_t at = open + 1; open != node.npos && at < close; ++count) {
    const size_t end = std::min(node.find("]", at) + 1, close);
    const std::string number = (count ? ", %" : "%") + std::to_string(count);
    inputs += number + ": " + node.substr(at, end - at);
    operands += number;
    at = end + 2;
  }
  const std::string line =
      open == node.npos ? node : node.substr(0, open + 1) + operands + node.substr(close);
  return "graph(" + inputs + ") {\n%" + std::to_string(count) + " = " + line + "\nreturn\n}\n";
}

/// The message without `LINE:COLUMN: `, or an empty one if the node is legal.
std::string message_for(const std::string& node) {
  const absl::StatusOr<Graph> graph = parse(graph_text(node));
  const std::string message(graph.status().message());
  return graph.ok() ? message : message.substr(message.find(": ") + 2);
}

TEST(Infer, ExplainsIllTypedNodes) {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/ir/type_errors.txt");
  std::string node;
  int count = 0;
  while (std::getline(file, node)) {
    if (node.empty() || node.starts_with('#')) continue;
    std::string message;
    ASSERT_TRUE(std::getline(file, message)) << node;
    EXPECT_EQ("  " + message_for(node), message) << node;
    ++count;
  }
  EXPECT_GT(count, 50);
}

TEST(Infer, GivesTheTypesOfLegalNodes) {
  for (const char* node : {
           "add(f32[8,1], f32[4]) : f32[8,4]",
           "add(f32[], f32[]) : f32[]",
           "add(i64[0,1], i64[1,5]) : i64[0,5]",
           "add(u8[1,2,1,2,1,2,1,2], u8[2,1,2,1,2,1,2,1]) : u8[2,2,2,2,2,2,2,2]",
           "less(f32[3], f32[2,1]) : bool[2,3]",
           "is_nan(f64[3]) : bool[3]",
           "where(bool[3], i32[2,1], i32[]) : i32[2,3]",
           "where(bool[3], bool[3], bool[3]) : bool[3]",
           "cast(bool[3]) : f64[3]",
           "bitcast(f64[3]) : i64[3]",
           "bitcast(u8[3]) : u8[3]",
           "constant value=1 : f32[2,0]",
           "iota axis=1 : f32[2,3]",
           "reduce(f32[2,3,4]) kind=sum axes=[0,2] : f32[3]",
           "reduce(u8[2,3,4]) kind=prod axes=[0,1,2] : u8[]",
           "reduce(f32[2,0]) kind=max axes=[1] : f32[2]",
           "reduce(bool[2,3]) kind=any axes=[0] : bool[3]",
           "reduce(f32[2,3]) kind=argmax axes=[0] : i64[3]",
           "reduce(f32[2,0]) kind=argmax axes=[0] : i64[0]",
           "dot(f32[2,3], f32[3,4]) : f32[2,4]",
           "dot(i32[7,2,3], i32[7,3,0]) : i32[7,2,0]",
           "reshape(f32[8,4]) : f32[2,16]",
           "reshape(f32[0,4]) : f32[7,0,3]",
           "reshape(f32[]) : f32[1,1]",
           "transpose(f32[2,3,4]) perm=[2,0,1] : f32[4,2,3]",
           "transpose(f32[]) perm=[] : f32[]",
           "broadcast(f32[3,1]) : f32[2,3,4]",
           "broadcast(f32[1]) : f32[0]",
           "slice(f32[8]) start=[7] step=[-2] : f32[4]",
           "slice(f32[8]) start=[8] step=[1] : f32[0]",
           "slice(f32[0]) start=[-1] step=[-1] : f32[0]",
           "pad(f32[8,0], f32[]) low=[1,2] high=[0,3] : f32[9,5]",
           "concat(f32[2,3], f32[2,0], f32[2,1]) axis=1 : f32[2,4]",
       }) {
    EXPECT_EQ(message_for(node), "") << node;
  }
}

// Per type rule: the dtypes that are legal, and `bool` if that is the result whatever the operands are.
struct RuleCase {
  TypeRule rule;
  std::string takes;
  bool gives_bool;
};

const std::string kFloats = "f16 bf16 f32 f64 ";
const std::string kIntegers = "i8 i16 i32 i64 u8 u16 u32 u64 ";

const RuleCase kRules[] = {
    {TypeRule::floating, kFloats, false},
    {TypeRule::numeric, kFloats + kIntegers, false},
    {TypeRule::integer, kIntegers, false},
    {TypeRule::word64, "u64 ", false},
    {TypeRule::logical, "bool ", false},
    {TypeRule::equality, kFloats + kIntegers + "bool ", true},
    {TypeRule::ordering, kFloats + kIntegers, true},
    {TypeRule::predicate, kFloats, true},
    {TypeRule::select, kFloats + kIntegers + "bool ", false},
};

TEST(Infer, EveryTableOpTakesTheDtypesOfItsRule) {
  for (int i = 0; i < kNumTableOps; ++i) {
    const Op op = static_cast<Op>(i);
    const RuleCase& rule = kRules[static_cast<int>(info(op).rule)];
    ASSERT_EQ(rule.rule, info(op).rule);
    std::string taken;
    for (int d = 0; d < kNumDTypes; ++d) {
      const auto dtype = static_cast<DType>(d);
      std::vector<Type> types(info(op).arity, Type{dtype, {3}});
      if (rule.rule == TypeRule::select) types[0].dtype = DType::boolean;
      const absl::StatusOr<Types> inferred = infer(op, types, {});
      if (!inferred.ok()) continue;
      taken.append(name(dtype)).append(" ");
      EXPECT_EQ((*inferred)[0], (Type{rule.gives_bool ? DType::boolean : dtype, {3}})) << name(op);
    }
    EXPECT_EQ(taken, rule.takes) << name(op);
  }
}

TEST(Infer, NeedsAResultTypeWhereTheTypeSaysWhatToDo) {
  const Type operand{DType::f32, {2}};
  for (int i = kNumTableOps; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    if (!needs_type(op) || op == Op::slice) continue;
    const bool is_source = op == Op::input || op == Op::constant || op == Op::iota;
    const std::string message(infer(op, {&operand, is_source ? 0u : 1u}, {}).status().message());
    EXPECT_TRUE(message.ends_with(": needs a result type")) << message;
  }
}

TEST(Infer, RejectsAnotherNumberOfResults) {
  const Type types[] = {{DType::f32, {2}}, {DType::f32, {2}}};
  EXPECT_EQ(infer(Op::exp, {types, 1}, types).status().message(), "exp(f32[2]): has 1 result, not 2");
}

TEST(Infer, RejectsADTypeThatIsNone) {
  const Type type{static_cast<DType>(99), {2}};
  EXPECT_EQ(infer(op::Constant{}, {}, {&type, 1}).status().message(), "constant: there is no dtype 99");
  GraphBuilder builder;
  EXPECT_EQ(builder.input(type).status().message(), "input: there is no dtype 99");
}

TEST(Infer, RejectsConstantsWithBitsBeyondTheirDtype) {
  const Type u8{DType::u8, {}};
  const Type boolean{DType::boolean, {}};
  EXPECT_FALSE(infer(op::Constant{256}, {}, {&u8, 1}).ok());
  EXPECT_FALSE(infer(op::Constant{2}, {}, {&boolean, 1}).ok());
}

TEST(Infer, RejectsNegativeExtents) {
  const Type negative{DType::f32, {-1}};
  EXPECT_EQ(infer(op::Iota{0}, {}, {&negative, 1}).status().message(),
            "iota() axis=0 -> f32[-1]: the result f32[-1] has a negative extent");
}

TEST(Shape, IsRepresentableUpToTheLimitInBytes) {
  EXPECT_TRUE(is_representable({kMaxBytes}, 1));
  EXPECT_FALSE(is_representable({kMaxBytes}, 4));
  EXPECT_FALSE(is_representable({kMaxBytes + 1}, 1));
  EXPECT_FALSE(is_representable({int64_t{1} << 62, 4}, 4));
  EXPECT_FALSE(is_representable({0, kMaxBytes, 2}, 1));
  EXPECT_FALSE(is_representable({3, -1}, 4));
  EXPECT_TRUE(is_representable({}, 8));
}

TEST(Op, NamesAreUniqueAndFound) {
  for (int i = 0; i < kNumOps; ++i) EXPECT_EQ(find_op(name(static_cast<Op>(i))), static_cast<Op>(i));
  EXPECT_EQ(find_op("expo"), std::nullopt);
}

}  // namespace
}  // namespace etch
