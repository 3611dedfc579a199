// The verifier of schedules against schedules that were broken by hand, once small enough to be walked and once not.
#include "compiler/schedule/verify_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

using testing::HasSubstr;

class VerifySchedule : public testing::TestWithParam<int64_t> {
 protected:
  VerifySchedule() : graph_(*parse(text(GetParam()))), schedule_(*make_schedule(graph_, {.fuse = false})) {}

  /// Two values that are alive at once, a reduction, and a product of them: kernels exp, sum, tanh, sub.
  static std::string text(int64_t rows) {
    std::string full = cat("f32[", rows, ",17]"), kept = cat("f32[", rows, ",1]");
    return cat("graph(%0: ", full, ") {\n%1 = exp(%0) : ", full, "\n%2 = reduce(%1) kind=sum axes=[1] : f32[", rows,
               "]\n%3 = reshape(%2) : ", kept, "\n%4 = tanh(%0) : ", full, "\n%5 = sub(%1, %3) : ", full,
               "\n%6 = mul(%4, %5) : ", full, "\nreturn %6\n}\n");
  }

  ScheduledKernel& kernel(const std::string& part) {
    for (ScheduledKernel& kernel : schedule_.kernels) {
      if (kernel.name.find(part) != std::string::npos) return kernel;
    }
    ADD_FAILURE() << "no kernel " << part;
    return schedule_.kernels[0];
  }
  int64_t& address(ScheduledKernel& kernel, int access) {
    return kernel.sizes[SizesLayout(kernel.program).access(access)];
  }
  ScheduledBuffer& buffer_of(ScheduledKernel& kernel, int access) { return schedule_.buffers[kernel.buffers[access]]; }

  void expect_error(const std::string& kernel, const std::string& what) {
    absl::Status status = verify(schedule_, graph_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), testing::AllOf(HasSubstr(kernel), HasSubstr(what)));
  }

  Graph graph_;
  Schedule schedule_;
};

TEST_P(VerifySchedule, FindsAxesOutOfOrder) {
  KernelProgram& program = kernel("sum").program;
  const auto axes = program.axes;
  program.axes = {Role::reduce, Role::batch};
  expect_error("sum", "a batch axis is not among the first");
  program.axes = {Role::reduce, Role::results};
  expect_error("sum", "two axes are folded");
  program.axes = {Role::block, Role::vector};
  expect_error("sum", "blocks are not followed by what they are blocks of");
  program.axes = {Role::batch, Role::batch};
  expect_error("sum", "no axis is for the lanes");
  program.axes = axes;
  EXPECT_EQ(verify(schedule_, graph_), absl::OkStatus());
}

TEST_P(VerifySchedule, AGoodScheduleIsGood) { EXPECT_EQ(verify(schedule_, graph_), absl::OkStatus()); }

TEST_P(VerifySchedule, AnAccessThatLeavesItsBuffer) {
  ++address(kernel("exp"), 0);
  expect_error("exp", "access #0 leaves b0, input 0 (%0: ");
}

TEST_P(VerifySchedule, AReadBelowItsBuffer) {
  --address(kernel("sum"), 0);
  expect_error("sum", "access #0 leaves b");
}

TEST_P(VerifySchedule, AReaderThatRunsBeforeItsWriter) {
  std::swap(kernel("exp"), kernel("sum"));
  expect_error("sum", "it reads a value ");
}

TEST_P(VerifySchedule, AValueWhoseMemoryAnotherTook) {
  // tanh is written while exp is still wanted.
  const ScheduledBuffer& exp = buffer_of(kernel("exp"), 1);
  ScheduledBuffer& tanh = buffer_of(kernel("tanh"), 1);
  tanh.kind = exp.kind;
  tanh.index = exp.index;
  tanh.offset = exp.offset;
  expect_error("sub", "(%1: f32[");
}

TEST_P(VerifySchedule, AKernelThatOverwritesWhatItReadsElsewhere) {
  // The sum of a row may not lie where the rows lie.
  buffer_of(kernel("sum"), 1).offset = buffer_of(kernel("exp"), 1).offset;
  expect_error("", "(%1: f32[");
}

TEST_P(VerifySchedule, ABufferOutsideTheArena) {
  buffer_of(kernel("exp"), 1).offset = (schedule_.arena_bytes / 64) * 64;
  expect_error("", "lies outside the arena");
}

TEST_P(VerifySchedule, AnOutputThatIsNotWrittenInFull) {
  kernel("mul").sizes[0] -= 1;
  expect_error("", "no kernel writes all of b");
}

TEST_P(VerifySchedule, AWrittenInput) {
  ScheduledKernel& exp = kernel("exp");
  exp.buffers[1] = exp.buffers[0];
  expect_error("exp", "it writes b0, input 0");
}

TEST_P(VerifySchedule, AnArgumentThatComesLater) {
  kernel("exp").program.body[1].args[0] = 2;
  expect_error("exp", "an argument of %1 does not come before it");
}

TEST_P(VerifySchedule, AStageThatReadsItsOwnSum) {
  kernel("sum").program.body.back().stage = 0;
  expect_error("sum", "");
}

INSTANTIATE_TEST_SUITE_P(Rows, VerifySchedule, testing::Values(20, 500000));

/// A product, its best elements, and what follows from both results.
class VerifyCall : public testing::Test {
 protected:
  static std::string text() {
    return "graph(%0: f32[6,9]) {\n%1 = mul(%0, %0) : f32[6,9]\n%2, %3 = top_k(%1) k=2 : f32[6,2], i64[6,2]\n"
           "%4 = exp(%2) : f32[6,2]\nreturn %3, %4\n}\n";
  }

  ScheduledKernel& call() {
    for (ScheduledKernel& kernel : schedule_.kernels) {
      if (kernel.call) return kernel;
    }
    ADD_FAILURE() << "there is no call";
    return schedule_.kernels[0];
  }

  void expect_error(const std::string& what) {
    for (int64_t walked_bytes : {int64_t{1} << 23, int64_t{0}}) {
      const std::string message(verify(schedule_, graph_, walked_bytes).message());
      EXPECT_THAT(message, testing::AllOf(HasSubstr("top_k"), HasSubstr(what))) << walked_bytes;
    }
  }

  Graph graph_ = parse(text()).value();
  Schedule schedule_ = make_schedule(graph_, {}).value();
};

TEST_F(VerifyCall, AGoodOneIsGood) {
  EXPECT_EQ(verify(schedule_, graph_), absl::OkStatus());
  EXPECT_EQ(verify(schedule_, graph_, 0), absl::OkStatus());
}

TEST_F(VerifyCall, ThatWritesWhereItReads) {
  ScheduledBuffer& result = schedule_.buffers[call().buffers[1]];
  const ScheduledBuffer& operand = schedule_.buffers[call().buffers[0]];
  result.kind = operand.kind;
  result.offset = operand.offset;
  expect_error("it reads a value");
}

TEST_F(VerifyCall, ThatWritesAnInput) {
  schedule_.buffers[call().buffers[1]].kind = ScheduledBuffer::Kind::input;
  expect_error("it writes");
}

TEST_F(VerifyCall, BeforeItsOperandIsThere) {
  std::swap(schedule_.kernels[0], schedule_.kernels[1]);
  expect_error("it reads a value");
}

TEST_F(VerifyCall, OfAnotherNumberOfResults) {
  call().buffers.pop_back();
  expect_error("its number of buffers is wrong");
}

TEST_F(VerifyCall, OfAFunctionThatThereIsNot) {
  call().call->dtype = DType::boolean;
  expect_error("there is no such function for bool");
}

TEST(VerifyOverwrite, OfAnInputThatIsReadLater) {
  const Graph graph = parse("graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = dot(%1, %0) : f32[8,8]\nreturn %1, %2\n}").value();
  Schedule schedule = make_schedule(graph, {}).value();
  for (int64_t walked_bytes : {int64_t{0}, int64_t{1} << 20}) {
    schedule.overwrites = {-1, -1};
    EXPECT_EQ(verify(schedule, graph, walked_bytes), absl::OkStatus());
    schedule.overwrites = {0, -1};
    const std::string error(verify(schedule, graph, walked_bytes).message());
    EXPECT_NE(error.find("it reads a value where it does not lie: b0, output 0 (%0: f32[8,8])"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace etch
