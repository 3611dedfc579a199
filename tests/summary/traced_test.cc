// Summaries in traced functions: their order, their writer, what is traced again, and what is not computed.
#include <gmock/gmock.h>

#include "etch/etch.h"
#include "etch/summary.h"
#include "tests/messages.h"
#include "tests/summary/event_reader.h"

namespace etch {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

/// The tags in the file, after a flush.
std::vector<std::string> tags_of(const summary::FileWriter& writer) {
  writer.flush();
  return tags_in(writer.path());
}

TEST(TracedSummary, EveryCallWritesOnce) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([](Tensor x) {
    summary::scalar("x", x, cast(x, DType::i64));
    return x + 1.0f;
  });
  const auto as = writer.as_default();
  for (float x : {3.0f, 4.0f, 5.0f}) (void)f(Tensor(x));
  EXPECT_THAT(tags_of(writer), ElementsAre("x@3", "x@4", "x@5"));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(TracedSummary, WithoutAWriterThereIsNoOp) {
  auto f = function([](Tensor x) {
    summary::scalar("x", sum(x), 0);
    summary::histogram("h", x, 0);
    summary::record_if(sum(x) > 0.0f, [&] { summary::scalar("y", sum(x), 0); });
    summary::flush();
    return x + 1.0f;
  });
  const auto concrete = f.concrete(TensorSpec{DType::f32, {4}});
  EXPECT_THAT(concrete.text("trace"), Not(HasSubstr("host_call")));
  EXPECT_EQ(concrete.num_traced_ops(), 1 + 2);  // sum and comparison, of which nothing comes
  EXPECT_EQ(concrete.num_ops(), 1);
}

TEST(TracedSummary, AWriterThatAppearsOrGoesTracesOnceEach) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([](Tensor x) {
    summary::scalar("x", x, 0);
    return x + 1.0f;
  });
  (void)f(Tensor(1.0f));
  EXPECT_EQ(f.stats().traces, 1);
  for (int i = 0; i < 2; ++i) {
    const auto as = writer.as_default();
    (void)f(Tensor(1.0f));
    EXPECT_EQ(f.stats().traces, 2);
    EXPECT_THAT(f.explain(Tensor(1.0f)), HasSubstr("there was no default writer of summaries and there is one now"));
  }
  (void)f(Tensor(1.0f));
  EXPECT_EQ(f.stats().traces, 2);
  EXPECT_THAT(tags_of(writer), SizeIs(2));
}

TEST(TracedSummary, AFunctionWithoutSummariesIsNotTracedAgain) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([](Tensor x) { return x + 1.0f; });
  (void)f(Tensor(1.0f));
  const auto as = writer.as_default();
  (void)f(Tensor(1.0f));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(TracedSummary, AnotherWriterGetsWhatIsCalledUnderIt) {
  const auto one = summary::create_file_writer(test_folder("1")), two = summary::create_file_writer(test_folder("2"));
  auto f = function([](Tensor x) {
    summary::scalar("x", x, cast(x, DType::i32));
    return x;
  });
  const summary::As outer(one);
  (void)f(Tensor(1.0f));
  {
    const summary::As inner(two);
    (void)f(Tensor(2.0f));
  }
  (void)f(Tensor(3.0f));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(tags_of(one), ElementsAre("x@1", "x@3"));
  EXPECT_THAT(tags_of(two), ElementsAre("x@2"));
}

TEST(TracedSummary, AConcreteFunctionSaysThatTheWriterIsGone) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([](Tensor x) {
    summary::scalar("x", x, 0);
    return x;
  }, {.name = "f"});
  std::optional<summary::As> as(writer);
  const auto concrete = f.concrete(Tensor(1.0f));
  (void)concrete(Tensor(1.0f));
  as.reset();
  EXPECT_THAT(error_of([&] { (void)concrete(Tensor(1.0f)); }),
              HasSubstr("concrete function f_0 was traced when there was a default writer of summaries and there is none now"));
}

TEST(TracedSummary, AWriterThatIsNamedInsideIsPartOfTheTrace) {
  const auto one = summary::create_file_writer(test_folder("1")), two = summary::create_file_writer(test_folder("2"));
  auto f = function([&](Tensor x) {
    {
      const auto as = one.as_default();
      summary::scalar("scope", x, 0);
      const summary::As none{summary::FileWriter()};
      summary::scalar("none", x, 0);
    }
    summary::scalar("argument", x, 1, {.writer = one});
    return cond(x > 0.0f, [&] {
      const auto as = one.as_default();
      summary::scalar("arm", x, 2);
      return x;
    }, [&] { return x; });
  });
  (void)f(Tensor(1.0f));
  const auto as = two.as_default();
  (void)f(Tensor(1.0f));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(tags_of(one), ElementsAre("scope@0", "argument@1", "arm@2", "scope@0", "argument@1", "arm@2"));
  EXPECT_THAT(tags_of(two), IsEmpty());
}

TEST(TracedSummary, KeepsItsPlaceAmongPrintAndRequire) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor n) {
    for (Tensor i : range(n)) {
      print("before", i);
      summary::scalar("x", i, i);
      summary::flush();
      print("after", i);
      require(i < 2, "{} is too much", i);
    }
    return n;
  });
  std::vector<std::string> seen;
  std::string error;
  {
    const ScopedPrintSink sink([&](std::string_view line) {
      seen.push_back(std::string(line) + std::to_string(tags_in(writer.path()).size()));
    });
    error = error_of([&] { (void)f(Tensor(5)); });
  }
  EXPECT_THAT(seen, ElementsAre("before 0\n0", "after 0\n1", "before 1\n1", "after 1\n2", "before 2\n2", "after 2\n3"));
  EXPECT_THAT(error, HasSubstr("2 is too much"));
  EXPECT_THAT(tags_of(writer), ElementsAre("x@0", "x@1", "x@2"));
}

TEST(TracedSummary, InBranchesAndLoopsOfBothForms) {
  const auto program = [](Tensor n) {
    for (Tensor i : range(n)) {
      if (i % 2 == 0) summary::scalar("even", i, i);
      cond(i % 3 == 0, [&] { summary::scalar("third", i, i); }, [] {});
    }
    return while_loop([&](Tensor i) { return i < n; }, [](Tensor i) {
      summary::text("turn", "of a loop", i);
      return i + 1;
    }, Tensor(3));
  };
  const auto eager = summary::create_file_writer(test_folder("eager"));
  {
    const auto as = eager.as_default();
    (void)program(Tensor(5));
  }
  const std::vector<std::string> expected{"even@0", "third@0", "even@2", "third@3", "even@4", "turn@3", "turn@4"};
  EXPECT_EQ(tags_of(eager), expected);
  const auto traced = summary::create_file_writer(test_folder("traced"));
  const auto as = traced.as_default();
  (void)function(program)(Tensor(5));
  EXPECT_EQ(tags_of(traced), expected);
}

TEST(TracedSummary, CapturesAndAuditsWriteNothing) {
  const ScopedFlags scoped("audit=1");
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([&](Tensor n, Tensor x) {
    Tensor i(0);
    for (; i < n; ++i) {
      summary::histogram("h", x, i);
      writer.flush();
    }
    return i;
  });
  (void)f(Tensor(3), ones({4}));
  EXPECT_GT(f.stats().audits, 0);
  EXPECT_GT(f.stats().runs, 1);
  EXPECT_THAT(tags_of(writer), ElementsAre("h@0", "h@1", "h@2"));
}

TEST(TracedSummary, IsNotRepeatedWhereALoopIsConfirmedFurther) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor n) {
    Tensor i(0);
    while (i < n) {
      summary::scalar("x", i, i);
      ++i;
    }
    return i;
  });
  (void)f(Tensor(1500));
  EXPECT_THAT(tags_of(writer), SizeIs(1500));
}

TEST(TracedSummary, OfAFunctionThatRunsEagerlyAndOfOneThatIsInlined) {
  const auto writer = summary::create_file_writer(test_folder());
  auto inner = function([](Tensor x) {
    summary::scalar("inner", x, 0);
    return x;
  });
  auto outer = function([&](Tensor x) { return inner(x) + 1.0f; });
  (void)outer(Tensor(1.0f));
  const auto as = writer.as_default();
  (void)outer(Tensor(1.0f));
  EXPECT_EQ(outer.stats().traces, 2);
  run_functions_eagerly(true);
  (void)outer(Tensor(1.0f));
  run_functions_eagerly(false);
  EXPECT_THAT(tags_of(writer), ElementsAre("inner@0", "inner@0"));
}

TEST(TracedSummary, GradientsGoByIt) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  Variable w(Tensor({1.0f, 2.0f}));
  auto step = function([&](Tensor x) {
    GradientTape tape;
    const Tensor y = w * x;
    summary::histogram("y", y, 0);
    const Tensor loss = cond(sum(y) > 0.0f, [&] {
      summary::scalar("arm", sum(y), 1);
      return sum(y * y);
    }, [&] { return sum(y); });
    summary::scalar("loss", loss, 2);
    return tape.gradient(loss, w);
  });
  EXPECT_THAT(step(Tensor({1.0f, 3.0f})).to_vector<float>(), ElementsAre(2, 36));
  EXPECT_THAT(tags_of(writer), ElementsAre("y@0", "arm@1", "loss@2"));
}

TEST(TracedSummary, AGradientThatRunsALoopAgainWritesNothingAgain) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor x, Tensor n) {
    GradientTape tape;
    tape.watch(x);
    const auto [last, y] = while_loop([&](Tensor i, Tensor) { return i < n; }, [](Tensor i, Tensor y) {
      const Tensor next = y * y;
      summary::scalar("y", next, i);
      return std::tuple(i + 1, next);
    }, std::tuple(Tensor(0), x), {.checkpoint = 2});
    return tape.gradient(y, x);
  });
  EXPECT_EQ(f(Tensor(1.5f), Tensor(3)).item<float>(), 8 * 17.0859375f);  // 8 x^7
  EXPECT_THAT(tags_of(writer), ElementsAre("y@0", "y@1", "y@2"));
}

TEST(TracedSummary, ATapeAroundACallGoesByIt) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  Variable w(Tensor(3.0f));
  auto f = function([&](Tensor x) {
    const Tensor y = w * x;
    summary::scalar("y", y, 0);
    return y * y;
  });
  GradientTape tape;
  const Tensor loss = f(Tensor(2.0f));
  EXPECT_EQ(tape.gradient(loss, w).item<float>(), 24);
  EXPECT_THAT(tags_of(writer), ElementsAre("y@0"));
}

// ---- record_if -----------------------------------------------------------------------------------------------------

TEST(RecordIf, IsControlFlowInsideOfTheCompiledFunction) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  for (const bool control_flow : {true, false}) {
    auto f = function([](Tensor step, Tensor x) {
      summary::record_if(step % 100 == 0, [&] { summary::histogram("h", x, step, {.buckets = 3}); });
      return x + 1.0f;
    }, {.control_flow = control_flow});
    for (int step : {0, 1, 99, 100, 101, 200}) (void)f(Tensor(step), ones({4}));
    EXPECT_EQ(f.stats().traces, 1);
    const std::string trace = f.concrete(Tensor(0), ones({4})).text("trace");
    EXPECT_LT(trace.find("cond("), trace.find("scatter_add("));
  }
  EXPECT_THAT(tags_of(writer), ElementsAre("h@0", "h@100", "h@200", "h@0", "h@100", "h@200"));
}

TEST(RecordIf, WhatIsNotRecordedIsNotComputed) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor step, Tensor x, Tensor index) {
    summary::record_if(step % 2 == 0, [&] { summary::histogram("h", gather(x, index), step); });
    return x + 1.0f;
  });
  const Tensor bad_index(std::vector<int32_t>{7});  // an Error of whoever computes it
  (void)f(Tensor(1), ones({4}), bad_index);
  EXPECT_THAT(error_of([&] { (void)f(Tensor(2), ones({4}), bad_index); }), HasSubstr("gather"));
  EXPECT_THAT(tags_of(writer), IsEmpty());
}

TEST(RecordIf, OfANumberIsDecidedByTheHost) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  for (int step = 0; step < 4; ++step) {
    summary::record_if(step % 2 == 0, [&] { summary::scalar("eager", 1, step); });
    summary::record_if(Tensor(step) == 1, [&] { summary::scalar("tensor", 1, step); });
  }
  EXPECT_THAT(tags_of(writer), ElementsAre("eager@0", "tensor@1", "eager@2"));
}

TEST(RecordIf, WithoutAWriterNothingIsLeftOfIt) {
  auto f = function([](Tensor step, Tensor x) {
    summary::record_if(step % 100 == 0, [&] { summary::histogram("h", x * 2.0f, step); });
    return x + 1.0f;
  });
  EXPECT_THAT(f.concrete(Tensor(0), ones({4})).text("trace"), Not(HasSubstr("cond")));
}

TEST(RecordIf, CountsForAnExplicitWriterToo) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([&](Tensor step) {
    summary::record_if(step % 2 == 0, [&] { summary::scalar("x", step, step, {.writer = writer}); });
    return step + 1;
  });
  for (int step : {0, 1, 2}) (void)f(Tensor(step));
  EXPECT_THAT(tags_of(writer), ElementsAre("x@0", "x@2"));
}

TEST(TracedSummary, WithoutAWriterAStepIsNotRead) {
  Variable step(Tensor(int64_t{0}), {.name = "the step"});
  auto f = function([&](Tensor x) {
    summary::scalar("x", x, step);
    return x + 1.0f;
  });
  EXPECT_EQ(f.concrete(Tensor(1.0f)).text("trace").find("graph(%0: f32[]) {"), 0u);
}

// ---- Steps ---------------------------------------------------------------------------------------------------------

TEST(TracedSummary, ADefaultStepThatIsANumberCountsWhenTheOpRuns) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor x) {
    summary::scalar("x", x);
    return x;
  });
  for (int64_t step : {3, 5}) {
    summary::set_step(step);
    (void)f(Tensor(1.0f));
  }
  summary::clear_step();
  EXPECT_THAT(error_of([&] { (void)f(Tensor(1.0f)); }), AllOf(HasSubstr("traced_test.cc:"), HasSubstr("summary x: there is no step")));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(tags_of(writer), ElementsAre("x@3", "x@5"));
}

TEST(TracedSummary, ADefaultStepThatIsAVariableIsReadWhereTheOpStands) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  Variable step(Tensor(int64_t{0}));
  summary::set_step(step);
  auto f = function([&](Tensor x) {
    summary::scalar("before", x);
    step += int64_t{1};
    summary::scalar("after", x);
    return x;
  });
  (void)f(Tensor(1.0f));
  (void)f(Tensor(1.0f));
  summary::set_step(7);
  EXPECT_THAT(error_of([&] { (void)f(Tensor(1.0f)); }),
              HasSubstr("summary before: the function was traced with another default step; give the step as an argument"));
  summary::clear_step();
  EXPECT_EQ(step.value().item<int64_t>(), 2);
  EXPECT_THAT(tags_of(writer), ElementsAre("before@0", "after@1", "before@1", "after@2"));
}

TEST(TracedSummary, TheStepOfAScopeCountsForWhatIsCalledInIt) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([&](Tensor x) {
    summary::scalar("outside", x);
    const auto as = writer.as_default(40);
    summary::scalar("inside", x);
    return x;
  });
  summary::set_step(1);
  for (int64_t step : {2, 3}) {
    const auto as = writer.as_default(step);
    (void)f(Tensor(1.0f));
  }
  const auto as = writer.as_default();
  (void)f(Tensor(1.0f));
  summary::clear_step();
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(tags_of(writer), ElementsAre("outside@2", "inside@40", "outside@3", "inside@40", "outside@1", "inside@40"));
}

TEST(TracedSummary, AClosedWriterIsAnErrorWithThePlaceOfTheOp) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  Variable count(Tensor(0));
  auto f = function([&](Tensor x) {
    count += 1;
    summary::scalar("x", x, 0);
    return x;
  });
  (void)f(Tensor(1.0f));
  writer.close();
  EXPECT_THAT(error_of([&] { (void)f(Tensor(1.0f)); }), AllOf(HasSubstr("traced_test.cc:"), HasSubstr("is closed")));
  EXPECT_EQ(count.value().item<int32_t>(), 1);  // as before the call
}

TEST(TracedSummary, AWriterIsNotClosedAndAGraphNotWrittenByATrace) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([&](Tensor x) {
    writer.close();
    return x;
  });
  EXPECT_THAT(error_of([&] { (void)f(Tensor(1.0f)); }), HasSubstr("a writer cannot be closed by a traced function; close it outside"));
  auto h = function([](Tensor x) { return x; });
  auto k = function([&](Tensor x) {
    summary::graph(h.concrete(TensorSpec{DType::f32, {}}), writer);
    return x;
  });
  EXPECT_THAT(error_of([&] { (void)k(Tensor(1.0f)); }), HasSubstr("a graph cannot be written by a traced function; write it outside"));
}

TEST(TracedSummary, ItsTextIsReadBack) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  auto f = function([](Tensor x) {
    summary::scalar("a \"name\"\n", x, 3, {.description = "said"});
    return x;
  });
  EXPECT_THAT(f.concrete(Tensor(1.0f)).text("trace"),
              HasSubstr(R"(function=summary_scalar("{\"tag\":\"a \\\"name\\\"\\n\",\"description\":\"said\",\"step\":3}"))"));
}

}  // namespace
}  // namespace etch
