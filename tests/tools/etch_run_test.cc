// The binary etch-run: what it runs and prints, and its one line on bad input.
#include <gtest/gtest.h>

#include <string>

#include "compiler/codegen/target.h"
#include "etch/npy.h"
#include "etch/tensor.h"
#include "tests/tools/tool_test.h"

namespace {

using etch::Tensor;

constexpr char kGraph[] = R"(graph(%0: f32[2,3], %1: f32[3]) {
  %2 = mul(%0, %1) : f32[2,3]
  %3 = reduce(%2) kind=sum axes=[1] : f32[2]
  return %2, %3
}
)";

class EtchRun : public ToolTest {
 protected:
  EtchRun() : ToolTest("etch-run") {
    write("in.ir", kGraph);
    etch::save_npy(path("x.npy"), Tensor({{1.0f, 2.0f, 3.0f}, {4.0f, 5.0f, 6.0f}}));
    etch::save_npy(path("w.npy"), Tensor({1.0f, 10.0f, 100.0f}));
    etch::save_npy(path("i.npy"), Tensor({1, 2, 3}));
  }
};

constexpr char kOutputs[] =
    "output 0 : f32[2,3]\n[[  1.  20. 300.]\n [  4.  50. 600.]]\noutput 1 : f32[2]\n[321. 654.]\n";

TEST_F(EtchRun, PrintsTheOutputsOfNpyInputs) { EXPECT_EQ(run("--inputs=x.npy,w.npy in.ir").out, kOutputs); }

TEST_F(EtchRun, InterpretsToTheSameOutputs) {
  EXPECT_EQ(run("--interpret --inputs=x.npy,w.npy in.ir").out, kOutputs);
}

TEST_F(EtchRun, RunsUnfusedToTheSameOutputs) {
  EXPECT_EQ(run("--unfused --threads=2 --inputs=x.npy,w.npy in.ir").out, kOutputs);
}

TEST_F(EtchRun, RunsRegions) {
  const auto cond = [](const std::string& predicate) {
    return "graph(%0: bool[], %1: f32[2]) {\n  %2 = constant value=true : bool[]\n  %3 = cond(" + predicate +
           "; %1) : f32[2] {  // demo.cc:4\n    then(%0: f32[2]) {\n      %1 = neg(%0) : f32[2]\n      return %1\n    }\n"
           "    otherwise(%0: f32[2]) {\n      return %0\n    }\n  }\n  return %3\n}\n";
  };
  write("cond.ir", cond("%0"));
  etch::save_npy(path("p.npy"), Tensor(true));
  etch::save_npy(path("v.npy"), Tensor({1.0f, -2.0f}));
  EXPECT_EQ(run("--interpret --inputs=p.npy,v.npy cond.ir").out, "output 0 : f32[2]\n[-1.  2.]\n");
  EXPECT_EQ(run("--inputs=p.npy,v.npy cond.ir").out, "output 0 : f32[2]\n[-1.  2.]\n");
  EXPECT_EQ(run("--unfused --inputs=p.npy,v.npy cond.ir").out, "output 0 : f32[2]\n[-1.  2.]\n");
  write("constant.ir", cond("%2"));
  EXPECT_EQ(run("--inputs=p.npy,v.npy constant.ir").out, "output 0 : f32[2]\n[-1.  2.]\n");
}

TEST_F(EtchRun, ReadsTheStandardInput) { EXPECT_EQ(run("--inputs=x.npy,w.npy - < in.ir").out, kOutputs); }

TEST_F(EtchRun, RandomInputsAreTheSameForTheSameSeed) {
  EXPECT_EQ(run("--seed=7 in.ir").out, run("--seed=7 in.ir").out);
  EXPECT_NE(run("--seed=7 in.ir").out, run("--seed=8 in.ir").out);
}

TEST_F(EtchRun, SavesOutputsAsNpy) {
  EXPECT_EQ(run("--save=y --inputs=x.npy,w.npy in.ir").exit_code, 0);
  EXPECT_EQ(etch::load_npy(path("y_1.npy")).to_vector<float>(), (std::vector<float>{321.0f, 654.0f}));
}

TEST_F(EtchRun, ComparesAllWays) {
  const Outcome outcome = run("--compare --special in.ir");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("fused, 1 thread: equal bits"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("interpreter, output 1: at most"), std::string::npos) << outcome.out;
}

TEST_F(EtchRun, TimesFusedAndUnfused) {
  const Outcome outcome = run("--time=3 in.ir");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("unfused"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(" % of the memory probe, "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(" % of the arithmetic probe "), std::string::npos) << outcome.out;
}

TEST_F(EtchRun, MakesCodeForAnyTargetThatRunsHere) {
  for (const char* target : {"host", "sse4", "avx2"}) {
    const Outcome outcome = run(std::string("--inputs=x.npy,w.npy in.ir --target=") + target);
    if (outcome.exit_code == 2) {
      EXPECT_NE(outcome.err.find("this processor"), std::string::npos) << outcome.err;
    } else {
      EXPECT_EQ(outcome.out, kOutputs) << target;
    }
  }
}

TEST_F(EtchRun, EmitsEveryStage) {
  EXPECT_NE(run("--emit=graph in.ir").out.find("reduce(%2) kind=sum"), std::string::npos);
  EXPECT_NE(run("--emit=schedule in.ir").out.find("why="), std::string::npos);
  EXPECT_NE(run("--emit=loops in.ir").out.find("for i0 in"), std::string::npos);
  EXPECT_NE(run("--emit=llvm in.ir").out.find("define void @"), std::string::npos);
  EXPECT_NE(run("--emit=optimized-llvm in.ir").out.find("define void @"), std::string::npos);
  EXPECT_NE(run("--emit=asm in.ir").out.find("ret"), std::string::npos);
}

TEST_F(EtchRun, BadInputIsOneLineAndExitCode2) {
  write("bad.ir", "graph(%0: f32[2]) {\n  %1 = frobnicate(%0) : f32[2]\n  return %1\n}\n");
  expect_one_line("", "no graph given; see etch-run --help");
  expect_one_line("--frobnicate in.ir", "unknown option --frobnicate; see etch-run --help");
  expect_one_line("none.ir", "none.ir: No such file or directory");
  expect_one_line("in.ir in.ir", "one graph at a time: in.ir and in.ir");
  expect_one_line("--threads=0 in.ir", "--threads takes a number from 1 on, not '0'");
  expect_one_line("--change in.ir", "unknown option --change; see etch-run --help");
  expect_one_line("--compare=1 in.ir", "--compare takes no value");
  expect_one_line("--seed in.ir", "--seed needs a value: --seed=...");
  std::string targets;
  for (const std::string& name : etch::target_names()) targets += (targets.empty() ? "" : ", ") + name;
  expect_one_line("--target=z80 in.ir", "--target=z80: it may be " + targets);
  expect_one_line("--emit=gpu in.ir", "--emit=gpu: it may be graph, schedule, loops, llvm, optimized-llvm or asm");
  expect_one_line("--inputs=x.npy in.ir", "the graph has 2 inputs, --inputs names 1");
  expect_one_line("--inputs=x.npy,i.npy in.ir", "i.npy holds i32[3], input 1 of the graph is f32[3]");
}

TEST_F(EtchRun, BadFilesAreOneLineAndExitCode2) {
  write("bad.ir", "graph(%0: f32[2]) {\n  %1 = frobnicate(%0) : f32[2]\n  return %1\n}\n");
  write("bad.npy", "not numpy");
  for (const char* arguments : {"bad.ir", "--inputs=bad.npy,w.npy in.ir", "--inputs=none.npy,w.npy in.ir", "/dev/null", "."}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

}  // namespace
