// Printing and parsing: what is printed reads back to the same graph, and no text crashes the parser.
#include "compiler/ir/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "tests/ir/random_emit.h"

namespace etch {
namespace {

constexpr std::string_view kExample =
    "graph(%0: f32[8,4], %1: f32[]) {\n"
    "  %2 = constant value=0.5 : f32[]\n"
    "  %3 = mul(%0, %2) : f32[8,4]  // demo.cc:12\n"
    "  %4 = reduce(%3) kind=sum axes=[1] : f32[8]  // demo.cc:13 in block/softmax\n"
    "  %5 = slice(%3) start=[7,0] step=[-1,1] : f32[8,1]  // in crop\n"
    "  %6 = pad(%3, %1) low=[0,1] high=[2,0] : f32[10,5]\n"
    "  %7 = transpose(%6) perm=[1,0] : f32[5,10]\n"
    "  %8 = iota axis=1 : i64[2,3]\n"
    "  %9 = concat(%3, %3, %3) axis=0 : f32[24,4]\n"
    "  %10 = cast(%4) : bool[8]\n"
    "  return %3, %4\n"
    "}\n";

TEST(Text, PrintsWhatItParsed) {
  const absl::StatusOr<Graph> graph = parse(kExample);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(print(*graph), kExample);
}

TEST(Text, PrintsOneNodeWithoutItsOrigin) {
  const Graph graph = parse(kExample).value();
  EXPECT_EQ(print(graph, graph.node(Value{4})), "%4 = reduce(%3) kind=sum axes=[1] : f32[8]");
  EXPECT_EQ(print(graph, graph.node(Value{1})), "%1 = input index=1 : f32[]");
}

TEST(Text, PrintsAGraphWithoutInputsAndOutputs) {
  const std::string text = "graph() {\n  return\n}\n";
  EXPECT_EQ(print(parse(text).value()), text);
}

TEST(Text, MergesEqualNodesAndRenumbers) {
  EXPECT_EQ(print(parse("graph(%7: f32[2]) {\n"
                        "  %9 = exp(%7) : f32[2]\n"
                        "  %3 = exp(%7) : f32[2]\n"
                        "  return %3, %9\n"
                        "}")
                      .value()),
            "graph(%0: f32[2]) {\n"
            "  %1 = exp(%0) : f32[2]\n"
            "  return %1, %1\n"
            "}\n");
}

TEST(Text, ReadsAnyWhiteSpaceAndSkipsComments) {
  EXPECT_TRUE(parse("// RUN: something\r\n\t graph ( %0:f32[ 2 ]\n, //inputs\n%1 : f32[2]){//nodes\n"
                    "%2=add(%0,%1):f32[2]//not an origin\n return%2 // the end\n}\n// after")
                  .ok());
}

TEST(Text, RoundTripsRandomGraphs) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Graph graph = RandomEmitter(seed).graph(300);
    const std::string text = print(graph);
    const absl::StatusOr<Graph> parsed = parse(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status() << "\n" << text;
    ASSERT_TRUE(*parsed == graph) << text;
    ASSERT_EQ(print(*parsed), text);
    ASSERT_TRUE(verify(*parsed).ok());
  }
}

struct ConstantCase {
  DType dtype;
  uint64_t bits;
  std::string text;
};

const ConstantCase kConstants[] = {
    {DType::f32, to_bits(0.1f), "0.1"},
    {DType::f32, to_bits(-0.0f), "-0"},
    {DType::f32, to_bits(16777216.0f), "16777216"},
    {DType::f32, to_bits(std::numeric_limits<float>::denorm_min()), "1e-45"},
    {DType::f32, to_bits(std::numeric_limits<float>::max()), "3.4028235e+38"},
    {DType::f32, to_bits(std::numeric_limits<float>::infinity()), "inf"},
    {DType::f32, 0x7fc00000, "nan"},
    {DType::f32, 0x7fc00001, "nan:0x7fc00001"},
    {DType::f32, 0xff800001, "nan:0xff800001"},
    {DType::f64, to_bits(0.1), "0.1"},
    {DType::f64, to_bits(1.0 / 3), "0.3333333333333333"},
    {DType::f64, to_bits(-std::numeric_limits<double>::infinity()), "-inf"},
    {DType::f64, to_bits(5e-324), "5e-324"},
    {DType::f64, 0x7ff8000000000000, "nan"},
    {DType::f64, 0xfff8000000000000, "nan:0xfff8000000000000"},
    {DType::i32, to_bits(std::numeric_limits<int32_t>::min()), "-2147483648"},
    {DType::i64, to_bits(std::numeric_limits<int64_t>::min()), "-9223372036854775808"},
    {DType::u8, 255, "255"},
    {DType::bf16, 0x3dcd, "0.1"},
    {DType::bf16, 0x7f7f, "3.39e+38"},
    {DType::bf16, 0x0001, "9e-41"},
    {DType::bf16, 0x7fc0, "nan"},
    {DType::bf16, 0xffff, "nan:0xffff"},
    {DType::f16, 0x7bff, "6.55e+04"},
    {DType::f16, 0x0001, "6e-08"},
    {DType::f16, 0xfc00, "-inf"},
    {DType::u64, ~uint64_t{0}, "18446744073709551615"},
    {DType::i8, 0x80, "-128"},
    {DType::boolean, 0, "false"},
    {DType::boolean, 1, "true"},
};

Graph graph_of_constant(DType dtype, uint64_t bits) {
  GraphBuilder builder;
  const Value value = builder.constant(bits, Type{dtype, {}}).value();
  return std::move(builder).finish({&value, 1});
}

std::string print_only(const Graph& graph) { return print(graph, graph.nodes()[0]); }

TEST(Text, PrintsConstantsShortly) {
  for (const ConstantCase& c : kConstants) {
    EXPECT_EQ(print_only(graph_of_constant(c.dtype, c.bits)),
              "%0 = constant value=" + c.text + " : " + to_string(Type{c.dtype, {}}));
  }
}

TEST(Text, RoundTripsConstantsOfRandomBits) {
  RandomEmitter random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto dtype = static_cast<DType>(i % kNumDTypes);
    const uint64_t bits = dtype == DType::boolean ? i / kNumDTypes % 2 : random.bits() >> (64 - 8 * size_of(dtype));
    const Graph graph = graph_of_constant(dtype, bits);
    const absl::StatusOr<Graph> parsed = parse(print(graph));
    ASSERT_TRUE(parsed.ok()) << parsed.status() << print(graph);
    ASSERT_TRUE(*parsed == graph) << print(graph);
  }
}

TEST(Text, KeepsOrigins) {
  const struct {
    std::string file;
    int line;
    std::string scope;
  } cases[] = {{"demo.cc", 12, ""},        {"demo.cc", 0, "softmax"}, {"", 0, "block1/layer norm"},
               {"/a dir/b:c.cc", 1234, ""}, {"x in y.cc", 3, "z in w"}, {"C:\\dir\\a.cc", 7, "s:9"}};
  for (const auto& c : cases) {
    GraphBuilder builder;
    const Value x = builder.input({DType::f32, {}}).value();
    const Origin origin{c.file.empty() ? -1 : builder.name(c.file), c.line,
                        c.scope.empty() ? -1 : builder.name(c.scope)};
    const Value y = builder.emit(Op::exp, {&x, 1}, origin).value();
    const Graph parsed = parse(print(std::move(builder).finish({&y, 1}))).value();
    EXPECT_EQ(parsed.name_of(parsed.node(y).origin.file), c.file);
    EXPECT_EQ(parsed.node(y).origin.line, c.line);
    EXPECT_EQ(parsed.name_of(parsed.node(y).origin.scope), c.scope);
  }
}

TEST(Text, AControlCharacterInANameDoesNotEndTheLine) {
  GraphBuilder builder;
  const Value x = builder.input({DType::f32, {}}).value();
  const Value y = builder.emit(Op::exp, {&x, 1}, Origin{-1, 0, builder.name("a\n}\r")}).value();
  const absl::StatusOr<Graph> parsed = parse(print(std::move(builder).finish({&y, 1})));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->name_of(parsed->node(y).origin.scope), "a }");
}

struct Malformed {
  std::string text;
  std::string message;
};

const Malformed kMalformed[] = {
    {"", "1:1: expected `graph`"},
    {"\n\n  grph()", "3:3: expected `graph`"},
    {"graph", "1:6: expected '('"},
    {"graph(0: f32[])", "1:7: expected a value such as %0"},
    {"graph(%: f32[])", "1:7: expected a value such as %0"},
    {"graph(% 0: f32[])", "1:7: expected a value such as %0"},
    {"graph(%-1: f32[])", "1:7: expected a value such as %0"},
    {"graph(%0 f32[])", "1:10: expected ':'"},
    {"graph(%0: f17[])",
     "1:11: expected a type such as f32[8,4], of f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64 or bool"},
    {"graph(%0: f32)", "1:14: expected '['"},
    {"graph(%0: f32[3)", "1:16: expected ']'"},
    {"graph(%0: f32[,])", "1:15: expected a number"},
    {"graph(%0: f32[-1])", "1:11: f32[-1] is no type: extents are at least 0 and a tensor holds at most 2^46 bytes"},
    {"graph(%0: f32[99999999999999999999])", "1:15: the number does not fit in 64 bits"},
    {"graph(%0: f32[4611686018427387904,4611686018427387904])",
     "1:11: f32[4611686018427387904,4611686018427387904] is no type: extents are at least 0 and a tensor holds at "
     "most 2^46 bytes"},
    {"graph(%0: u8[1,1,1,1,1,1,1,1,1])", "1:30: at most 8 axes are supported"},
    {"graph(%0: f32[], %0: f32[])", "1:18: %0 is defined already"},
    {"graph(%0: f32[] %1: f32[])", "1:17: expected ')'"},
    {"graph(%0: f32[]) ", "1:18: expected '{'"},
    {"graph() {}", "1:10: expected `return`"},
    {"graph() { return", "1:17: expected '}'"},
    {"graph() { return } x", "1:20: expected the end of the text"},
    {"graph() { return %0 }", "1:18: %0 is not defined before this line"},
    {"graph(%0: f32[]) {\n  %1 exp(%0) : f32[]", "2:6: expected '='"},
    {"graph(%0: f32[]) {\n  %1 = expo(%0) : f32[]", "2:8: there is no op `expo`"},
    {"graph(%0: f32[]) {\n  %1 = (%0) : f32[]", "2:8: expected the name of an op"},
    {"graph(%0: f32[]) {\n  %1 = input index=1 : f32[]", "2:8: inputs stand in the first line only"},
    {"graph(%0: f32[]) {\n  %1 = exp(%2) : f32[]", "2:12: %2 is not defined before this line"},
    {"graph(%0: f32[]) {\n  %1 = exp(%1) : f32[]", "2:12: %1 is not defined before this line"},
    {"graph(%0: f32[]) {\n  %1 = exp(%0 : f32[]", "2:15: expected ')'"},
    {"graph(%0: f32[]) {\n  %1 = exp() : f32[]", "2:12: expected a value such as %0"},
    {"graph(%0: f32[]) {\n  %1 = exp : f32[]", "2:8: exp(): takes 1 operand, not 0"},
    {"graph(%0: f32[]) {\n  %1 = exp(%0)", "2:15: expected ':'"},
    {"graph(%0: f32[]) {\n  %1 = exp(%0) axis=0 : f32[]", "2:16: expected ':'"},
    {"graph(%0: f32[]) {\n  %1 = exp(%0) : f32[1]", "2:8: exp(f32[]): the result is f32[], not f32[1]"},
    {"graph(%0: f32[]) {\n  %0 = exp(%0) : f32[]", "2:3: %0 is defined already"},
    {"graph(%0: f32[2]) {\n  %1 = reduce(%0) axes=[0] : f32[]", "2:19: expected `kind`"},
    {"graph(%0: f32[2]) {\n  %1 = reduce(%0) kind=total axes=[0] : f32[]",
     "2:24: expected sum, prod, max, min, any, all, argmax or argmin"},
    {"graph(%0: f32[2]) {\n  %1 = reduce(%0) kind=sum axes=0 : f32[]", "2:33: expected '['"},
    {"graph(%0: f32[2]) {\n  %1 = reduce(%0) kind=sum axes=[1] : f32[]",
     "2:8: reduce(f32[2]) kind=sum axes=[1]: axis 1 is out of range for rank 1"},
    {"graph() {\n  %0 = constant value=x : f32[]", "2:23: the value is not a f32"},
    {"graph() {\n  %0 = constant value=1e39 : f32[]", "2:23: the value is not a f32"},
    {"graph() {\n  %0 = constant value=nan:0x7f800000 : f32[]", "2:23: the value is not a f32"},
    {"graph() {\n  %0 = constant value=nan:0x7fc000000000 : f32[]", "2:23: the value is not a f32"},
    {"graph() {\n  %0 = constant value=65520 : f16[]", "2:23: the value is not a f16"},
    {"graph() {\n  %0 = constant value=1.5 : i32[]", "2:23: the value is not a i32"},
    {"graph() {\n  %0 = constant value=256 : u8[]", "2:23: the value is not a u8"},
    {"graph() {\n  %0 = constant value=-1 : u8[]", "2:23: the value is not a u8"},
    {"graph() {\n  %0 = constant value=2 : bool[]", "2:23: the value is not a bool"},
    {"graph() {\n  %0 = constant value= : f32[]", "2:26: expected ':'"},
    {std::string("graph() {\n\0", 11), "2:1: expected `return`"},
    {"graph() {\n  \xff\xfe", "2:3: expected `return`"},
};

TEST(Text, NamesTheLineAndColumnOfAMistake) {
  for (const Malformed& c : kMalformed) {
    const absl::StatusOr<Graph> graph = parse(c.text);
    ASSERT_FALSE(graph.ok()) << c.text;
    EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(graph.status().message()), c.message) << c.text;
  }
}

bool starts_with_position(std::string_view message) {
  size_t i = 0;
  for (int part = 0; part < 2; ++part) {
    const size_t digits = i;
    while (i < message.size() && '0' <= message[i] && message[i] <= '9') ++i;
    if (i == digits || i == message.size() || message[i++] != ':') return false;
  }
  return true;
}

void expect_no_crash(const std::string& text) {
  const absl::StatusOr<Graph> graph = parse(text);
  if (!graph.ok()) {
    ASSERT_TRUE(starts_with_position(std::string(graph.status().message()))) << graph.status();
    return;
  }
  ASSERT_TRUE(verify(*graph).ok()) << text;
  const absl::StatusOr<Graph> again = parse(print(*graph));
  ASSERT_TRUE(again.ok() && *again == *graph) << text;
}

TEST(Text, EveryPrefixParsesOrFailsCleanly) {
  for (size_t n = 0; n < kExample.size(); ++n) expect_no_crash(std::string(kExample.substr(0, n)));
}

TEST(Text, EveryByteInEveryPlaceParsesOrFailsCleanly) {
  for (size_t i = 0; i < kExample.size(); ++i) {
    std::string text(kExample);
    for (int byte = 0; byte < 256; ++byte) {
      text[i] = static_cast<char>(byte);
      expect_no_crash(text);
    }
  }
}

TEST(Text, RandomDamageParsesOrFailsCleanly) {
  RandomEmitter random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string text(kExample);
    for (int64_t j = 0, n = 1 + random.below(6); j < n; ++j) {
      const size_t at = random.below(text.size());
      const size_t from = random.below(text.size());
      const size_t length = random.below(12);
      switch (random.below(4)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(from, length)); break;
        default: text.insert(at, std::to_string(static_cast<int64_t>(random.bits() >> random.below(64)))); break;
      }
      if (text.empty()) text = "g";
    }
    expect_no_crash(text);
  }
}

TEST(Text, ParsesTypes) {
  EXPECT_EQ(parse_type("f32[8,4]").value(), (Type{DType::f32, {8, 4}}));
  EXPECT_EQ(parse_type(" bool [ ] ").value(), (Type{DType::boolean, {}}));
  EXPECT_EQ(parse_type("u8[0,1,2,3,4,5,6,7]").value(), (Type{DType::u8, {0, 1, 2, 3, 4, 5, 6, 7}}));
  EXPECT_EQ(parse_type("f32[8,4]x").status().message(), "1:9: expected the end of the text");
  EXPECT_EQ(parse_type("").status().message(),
            "1:1: expected a type such as f32[8,4], of f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64 or "
            "bool");
}

}  // namespace
}  // namespace etch
