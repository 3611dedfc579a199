// The binary etch-opt: its options, its output and its one line on bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "tests/tools/tool_test.h"

namespace {

constexpr char kGraph[] = R"(graph(%0: f32[4]) {
  %1 = constant value=1 : f32[]
  %2 = mul(%1, %0) : f32[4]  // demo.cc:2
  %3 = exp(%0) : f32[4]  // demo.cc:3
  %4 = tanh(%2) : f32[4]  // demo.cc:4
  return %4
}
)";
constexpr char kResult[] = "graph(%0: f32[4]) {\n  %1 = tanh(%0) : f32[4]  // demo.cc:4\n  return %1\n}\n";

class EtchOpt : public ToolTest {
 protected:
  EtchOpt() : ToolTest("etch-opt") { write("in.ir", kGraph); }
};

TEST_F(EtchOpt, RunsAllPassesByDefault) {
  const Outcome outcome = run("in.ir");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, kResult);
}

TEST_F(EtchOpt, ReadsTheStandardInput) { EXPECT_EQ(run("- < in.ir").out, kResult); }

TEST_F(EtchOpt, RunsNoPassOfAnEmptyList) { EXPECT_EQ(run("--passes= in.ir").out, kGraph); }

TEST_F(EtchOpt, RunsThePassesThatAreListed) {
  EXPECT_EQ(run("--passes=prune,lower_reductions in.ir").out, R"(graph(%0: f32[4]) {
  %1 = constant value=1 : f32[]
  %2 = mul(%1, %0) : f32[4]  // demo.cc:2
  %3 = tanh(%2) : f32[4]  // demo.cc:4
  return %3
}
)");
}

TEST_F(EtchOpt, WritesTheResultToAFile) {
  EXPECT_EQ(run("--verify -o result.ir in.ir").out, "");
  EXPECT_EQ(read("result.ir"), kResult);
}

TEST_F(EtchOpt, PrintsTheGraphAroundEachPass) {
  const std::string graph(kGraph);
  EXPECT_EQ(run("--passes=prune --print-before in.ir -o result.ir").out, "// before prune\n" + graph + "// result\n");
  EXPECT_TRUE(run("--passes=prune --print-after in.ir").out.starts_with(
      "// after prune: pruned 1 node: %3 exp (demo.cc:3)\ngraph("));
}

TEST_F(EtchOpt, TakesTheGradientBeforeThePasses) {
  EXPECT_EQ(run("--gradient in.ir").out, R"(graph(%0: f32[4], %1: f32[4]) {
  %2 = constant value=1 : f32[]
  %3 = tanh(%0) : f32[4]  // demo.cc:4
  %4 = mul(%3, %3) : f32[4]  // demo.cc:4
  %5 = sub(%2, %4) : f32[4]  // demo.cc:4
  %6 = mul(%1, %5) : f32[4]  // demo.cc:4
  return %6
}
)");
}

TEST_F(EtchOpt, SaysWhyAnInputHasNoGradient) {
  write("floor.ir", R"(graph(%0: f32[4], %1: i32[4], %2: f32[4]) {
  %3 = floor(%0) : f32[4]  // demo.cc:2
  %4 = cast(%1) : f32[4]  // demo.cc:3
  %5 = add(%3, %4) : f32[4]  // demo.cc:4
  return %5
}
)");
  EXPECT_EQ(run("--gradient floor.ir").out, R"(// no gradient in %0: floor (demo.cc:2) is constant between jumps
// no gradient in %1: it is of i32, and only floats have gradients
// no gradient in %2: no target depends on it
graph(%0: f32[4], %1: i32[4], %2: f32[4], %3: f32[4]) {
  return
}
)");
}

TEST_F(EtchOpt, ListsPassesWithReasons) {
  const Outcome outcome = run("--list-passes");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.out.find("lower_reductions  lowering  before"), std::string::npos) << outcome.out;
}

TEST_F(EtchOpt, ListsEveryOpOnce) {
  const std::string out = run("--list-ops").out;
  for (const char* op : {"\nadd ", "\ntanh ", "\ncast ", "\nreduce ", "\nconcat "}) {
    const size_t at = out.find(op);
    EXPECT_NE(at, std::string::npos) << op;
    EXPECT_EQ(out.find(op, at + 1), std::string::npos) << op;
  }
}

TEST_F(EtchOpt, ShowsItsOptions) {
  const Outcome outcome = run("--help");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.out.find("--passes="), std::string::npos);
}

TEST_F(EtchOpt, SaysWhichOptionIsWrong) {
  expect_one_line("--frobnicate in.ir", "there is no option '--frobnicate'; see --help");
  expect_one_line("--passes=prune,fo in.ir", "there is no pass 'fo'; see --list-passes");
  expect_one_line("in.ir -o", "-o needs a file");
  expect_one_line("in.ir other.ir", "there is one input, but 'in.ir' and 'other.ir' are given");
  expect_one_line("", "there is no input; give a file, or - for the standard input");
}

TEST_F(EtchOpt, SaysWhichFileIsWrong) {
  expect_one_line("missing.ir", "cannot read 'missing.ir'");
  expect_one_line(".", "cannot read '.'");
  expect_one_line("-o missing/out.ir in.ir", "cannot write 'missing/out.ir'");
}

TEST_F(EtchOpt, SaysWhereTheTextIsWrong) {
  const std::string texts[] = {"",
                               "graph",
                               "graph(%0: f32[4]) {",
                               "graph(%0: f99[4]) {\n  return %0\n}\n",
                               "graph(%0: f32[4]) {\n  %1 = frob(%0) : f32[4]\n  return %1\n}\n",
                               "graph(%0: f32[4]) {\n  %1 = add(%0, %7) : f32[4]\n  return %1\n}\n",
                               "graph(%0: f32[4], %1: f32[3]) {\n  %2 = add(%0, %1) : f32[4]\n  return %2\n}\n",
                               "graph(%0: f32[99999999999999999999]) {\n  return %0\n}\n",
                               "graph(%0: f32[4]) {\n  %1 = slice(%0) start=[9] step=[0] : f32[1]\n  return %1\n}\n",
                               std::string("\0\xff\xfe", 3)};
  for (const std::string& text : texts) {
    write("bad.ir", text);
    const Outcome outcome = run("bad.ir");
    EXPECT_EQ(outcome.exit_code, 2) << text;
    EXPECT_EQ(outcome.out, "") << text;
    EXPECT_TRUE(outcome.err.starts_with("etch-opt: bad.ir:")) << text << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

}  // namespace
