// host_call: its text, its interpreter, its place in schedules, and runs that begin anew.
#include <gmock/gmock.h>

#include "compiler/compile.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/ops/host_call.h"
#include "compiler/ir/text.h"
#include "compiler/ir/walk.h"
#include "etch/etch.h"
#include "tests/messages.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kLoop = R"(graph(%0: i64[], %1: i64[]) {
  %2 = constant value=0 : i64[]
  %3, %4 = while_loop(%2, %2; %0) : i64[], i64[] {
    test(%0: i64[], %1: i64[], %2: i64[]) {
      %3 = less(%0, %2) : bool[]
      return %3, %0, %1
    }
    body(%0: i64[], %1: i64[], %2: i64[]) {
      %3 = host_call(%1, %0) function=print("turn {}: \"\\\n") : i64[]
      %4 = constant value=1 : i64[]
      %5 = add(%0, %4) : i64[]
      return %5, %3
    }
  }
  return %3, %4
}
)";

Graph graph_of(std::string_view text) {
  absl::StatusOr<Graph> graph = parse(text);
  if (!graph.ok()) throw Error(std::string(graph.status().message()));
  return *std::move(graph);
}

std::string parse_error(std::string_view call) {
  const std::string text = "graph(%0: i64[], %1: f32[2]) {\n  %2 = " + std::string(call) + " : i64[]\n  return %2\n}\n";
  const absl::StatusOr<Graph> graph = parse(text);
  return graph.ok() ? "no error" : std::string(graph.status().message());
}

Literal number(int64_t value) {
  Literal literal{{DType::i64, {}}, std::vector<std::byte>(8)};
  store(literal, 0, value);
  return literal;
}

std::vector<std::string> run(const Executable& executable, int64_t turns, const RunOptions& options) {
  const int64_t nothing = 0;
  alignas(64) int64_t results[2] = {};
  const void* inputs[] = {&turns, &nothing};
  void* outputs[] = {&results[0], &results[1]};
  return lines_of([&] {
    executable.run(inputs, outputs, options);
    EXPECT_EQ(results[0], turns);
    EXPECT_EQ(results[1], turns);
  });
}

TEST(HostCall, IsReadBackFromItsText) {
  const Graph graph = graph_of(kLoop);
  EXPECT_EQ(print(graph), kLoop);
}

TEST(HostCall, OfAFunctionThatIsNotThereIsAnError) {
  EXPECT_THAT(parse_error("host_call(%0) function=next(\"\")"),
              HasSubstr("the host function `next` cannot be read from text: only the program that made it has it"));
  EXPECT_THAT(parse_error("host_call(%0) function=print(\"{\")"), HasSubstr("the format `{` has a single {"));
}

TEST(HostCall, WantsATokenAndWhatItsFunctionTakes) {
  EXPECT_THAT(parse_error("host_call(%1) function=print(\"\")"), HasSubstr("operand 0 is f32[2], not the token, i64[]"));
  EXPECT_THAT(parse_error("host_call(%0) function=print(\"{}\")"), HasSubstr("the format `{}` has 1 place for values, not 0"));
  EXPECT_THAT(parse_error("host_call(%0, %1) function=require(\"\")"), HasSubstr("the condition is not bool[]"));
}

TEST(HostCall, IsInterpreted) {
  const Literal inputs[] = {number(2), number(0)};
  const std::vector<std::string> lines = lines_of([&] {
    const auto results = interpret(graph_of(kLoop), inputs);
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_EQ((*results)[1], number(2));
  });
  EXPECT_THAT(lines, ElementsAre("turn 0: \"\\\n\n", "turn 1: \"\\\n\n"));
}

TEST(HostCall, ThatThrowsIsAStatusOfTheInterpreter) {
  const Graph graph = graph_of("graph(%0: i64[], %1: bool[]) {\n  %2 = host_call(%0, %1) function=require(\"no\") : i64[]\n"
                               "  return %2\n}\n");
  const Literal inputs[] = {number(0), {{DType::boolean, {}}, std::vector<std::byte>(1)}};
  EXPECT_THAT(std::string(interpret(graph, inputs).status().message()), HasSubstr("require: no"));
}

TEST(HostCall, KeepsALoopFromBeingOneKernel) {
  const absl::StatusOr<Compiled> compiled = compile(graph_of(kLoop), {});
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_THAT(to_string(compiled->schedule, compiled->graph), HasSubstr("print(\"turn {}: \\\"\\\\\\n\") acts on the host"));
  EXPECT_THAT(to_string(*compiled->executable), HasSubstr("host print("));
}

TEST(HostCall, OfALaterRunDoesNotRepeatWhatAFormerOneDid) {
  const absl::StatusOr<Compiled> compiled = compile(graph_of(kLoop), {});
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EffectLog log;
  RunOptions options;
  options.effects = &log;
  EXPECT_EQ(run(*compiled->executable, 2, options).size(), 2u);
  EXPECT_EQ(log.done, 2);
  EXPECT_THAT(run(*compiled->executable, 4, options), ElementsAre(HasSubstr("turn 2"), HasSubstr("turn 3")));
  EXPECT_EQ(log.done, 4);
}

TEST(HostCall, IsMuteWhereARunIsToBe) {
  const absl::StatusOr<Compiled> compiled = compile(graph_of(kLoop), {});
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  RunOptions options;
  options.mute = true;
  EXPECT_THAT(run(*compiled->executable, 3, options), IsEmpty());
}

/// Gives 10, 20, 30, ... in its calls.
class Tens final : public HostFunction {
 public:
  std::string_view name() const override { return "tens"; }
  std::string refuse(std::span<const HostType>) const override { return {}; }
  std::span<const HostType> results() const override { return results_; }
  void run(std::span<const HostValue>, std::span<const HostValue> results) const override {
    *static_cast<int32_t*>(results[0].data) = 10 * ++calls;
  }
  mutable int calls = 0;

 private:
  const std::vector<HostType> results_{{DType::i32, {}}};
};

TEST(HostCall, GivesWhatItsFunctionGivesAndAgainInALaterRun) {
  const auto tens = std::make_shared<Tens>();
  GraphBuilder builder;
  const Value token = builder.input(kTokenType).value();
  const Results first = builder.emit_all(op::HostCall{Host(tens)}, {{token}}, {}, {}).value();
  const Results second = builder.emit_all(op::HostCall{Host(tens)}, {{first[0]}}, {}, {}).value();
  const Value outputs[] = {first[1], second[1], second[0]};
  const absl::StatusOr<Compiled> compiled = compile(std::move(builder).finish(outputs), {});
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const int64_t start = 0;
  alignas(64) int32_t a = 0;
  alignas(64) int32_t b = 0;
  alignas(64) int64_t last = 0;
  const void* inputs[] = {&start};
  void* results[] = {&a, &b, &last};
  EffectLog log;
  RunOptions options;
  options.effects = &log;
  for (int i = 0; i < 2; ++i) {
    a = b = 0;
    compiled->executable->run(inputs, results, options);
    EXPECT_EQ(a, 10);
    EXPECT_EQ(b, 20);
  }
  EXPECT_EQ(tens->calls, 2);
}

}  // namespace
}  // namespace etch
