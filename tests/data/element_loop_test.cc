// Loops over data sets in traced functions, over a source that counts what is taken from it.
#include "etch/data/element_loop.h"

#include <gmock/gmock.h>

#include "etch/control_flow.h"
#include "etch/effects.h"
#include "etch/etch.h"
#include "tests/failing_new.h"

namespace etch::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Counts {
  int opened = 0, open = 0, taken = 0;
  std::vector<uint64_t> epochs;
};

/// The tensors of one element; none at the end.
using Give = std::function<std::vector<Tensor>(int number)>;

class CountedElements final : public ElementMaker {
 public:
  CountedElements(Counts* counts, Give give) : counts_(counts), give_(std::move(give)) {}
  std::string path() const override { return "numbers > map"; }
  std::unique_ptr<TensorSource> open(uint64_t epoch) const override {
    ++counts_->opened;
    counts_->epochs.push_back(epoch);
    return std::make_unique<Walk>(counts_, give_);
  }

 private:
  struct Walk final : TensorSource {
    Walk(Counts* counts, Give give) : counts(counts), give(std::move(give)) { ++counts->open; }
    ~Walk() override { --counts->open; }
    bool next(std::vector<Tensor>& tensors) override {
      tensors = give(number);
      if (tensors.empty()) return false;
      ++number;
      ++counts->taken;
      return true;
    }
    Counts* const counts;
    const Give give;
    int number = 0;
  };

  Counts* const counts_;
  const Give give_;
};

Give scalars(int n) {
  return [n](int number) { return number < n ? std::vector<Tensor>{Tensor(static_cast<float>(number))} : std::vector<Tensor>(); };
}

const data::ElementSpec kScalar{{{DType::f32, {}}}};

struct Numbers {
  explicit Numbers(Give give, std::vector<data::ElementSpec> types = {kScalar})
      : plan(make_element_loop_plan(std::make_shared<CountedElements>(&counts, std::move(give)), types, {})) {}
  ElementLoop loop(const Tensor& epoch = Tensor(int64_t{0})) const { return ElementLoop(plan, epoch, Location::current()); }

  Counts counts;
  std::shared_ptr<const ElementLoopPlan> plan;
};

TEST(ElementLoop, TakesEachElementOnce) {
  Numbers numbers(scalars(5));
  auto sum = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) start = start + loop.tensors()[0];
    return start;
  });
  for (int call = 1; call <= 8; ++call) {   // the first ones are audited
    EXPECT_EQ(sum(Tensor(1.0f)).item<float>(), 11.0f);
    EXPECT_EQ(numbers.counts.taken, 5 * call);
    EXPECT_EQ(numbers.counts.opened, call);
    EXPECT_EQ(numbers.counts.open, 0);
  }
  EXPECT_EQ(sum.stats().audits, 4);
}

TEST(ElementLoop, AnAuditSeesTheElementsThatTheCallTook) {
  Numbers numbers(scalars(1500));
  auto sum = function([&](Tensor start) {
    int turns = 0;
    ElementLoop loop = numbers.loop();
    while (loop.next()) {
      ++turns;
      start = start + loop.tensors()[0];
    }
    return turns == 1500 ? start + 1.0f : start;   // which no run of the capture shows
  });
  try {
    sum(Tensor(0.0f));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("does not do what a plain run of it does"));
  }
  EXPECT_EQ(numbers.counts.taken, 1500);
}

TEST(ElementLoop, CaptureTakesNoElement) {
  Numbers numbers(scalars(5));
  auto sum = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) start = start + loop.tensors()[0];
    return start;
  });
  sum.concrete(Tensor(1.0f));
  EXPECT_EQ(numbers.counts.opened, 0);
  EXPECT_EQ(numbers.counts.taken, 0);
}

TEST(ElementLoop, BreakEndsTheWalkAndTakesNoMore) {
  Numbers numbers([](int number) { return std::vector<Tensor>{Tensor(static_cast<float>(number))}; });
  auto sum = function([&](Tensor limit) {
    Tensor sum(0.0f);
    ElementLoop loop = numbers.loop();
    while (loop.next()) {
      sum = sum + loop.tensors()[0];
      if (sum > limit) break;
    }
    return sum;
  });
  EXPECT_EQ(sum(Tensor(9.0f)).item<float>(), 10.0f);
  EXPECT_EQ(numbers.counts.taken, 5);
  EXPECT_EQ(numbers.counts.open, 0);
}

TEST(ElementLoop, MoreTurnsThanWereCheckedAreTrusted) {
  Numbers numbers(scalars(5000));
  auto count = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) start = start + 1.0f;
    return start;
  });
  EXPECT_EQ(count(Tensor(0.0f)).item<float>(), 5000.0f);
  EXPECT_EQ(numbers.counts.taken, 5000);
}

TEST(ElementLoop, AGuardedLoopInsideRunsAgainOnTheSameElements) {
  Numbers numbers(scalars(3));
  auto count = function([&](Tensor turns) {
    Tensor sum(0.0f);
    ElementLoop loop = numbers.loop();
    while (loop.next()) {
      Tensor i(0.0f);
      while (i < turns) i = i + 1.0f;
      sum = sum + i * loop.tensors()[0];
    }
    return sum;
  });
  EXPECT_EQ(count(Tensor(3000.0f)).item<float>(), 9000.0f);
  EXPECT_EQ(numbers.counts.taken, 3);
  EXPECT_EQ(numbers.counts.opened, 1);
}

TEST(ElementLoop, MoreElementsThanACallKeepsCannotBeGivenOnceMore) {
  constexpr int64_t kElements = int64_t{16} << 20;  // 64 MiB; 256 MiB are kept
  const Tensor large = zeros({kElements});
  Numbers numbers([large](int number) { return number < 5 ? std::vector<Tensor>{large} : std::vector<Tensor>(); },
                  {{{{DType::f32, {kElements}}}}});
  auto count = function([&](Tensor turns) {
    Tensor sum(0.0f);
    ElementLoop loop = numbers.loop();
    while (loop.next()) sum = sum + loop.tensors()[0][0];
    while (sum < turns) sum = sum + 1.0f;
    return sum;
  });
  try {
    count(Tensor(3000.0f));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("what the run took from a data set so far is too much to be given once more; give the "
                                        "function the option trust_loops"));
  }
  EXPECT_EQ(numbers.counts.open, 0);
}

TEST(ElementLoop, EachTypeHasABody) {
  const std::vector<data::ElementSpec> types{{{{DType::f32, {4}}}}, {{{DType::f32, {3}}}}};
  Numbers numbers(
      [](int number) {
        return number < 2 ? std::vector<Tensor>{full({4}, 1.0f)} : number < 3 ? std::vector<Tensor>{full({3}, 1.0f)} : std::vector<Tensor>();
      },
      types);
  auto total = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) start = start + sum(loop.tensors()[0]);
    return start;
  });
  EXPECT_EQ(total(Tensor(0.0f)).item<float>(), 11.0f);
}

TEST(ElementLoop, AnElementOfAnotherTypeIsAnErrorThatNamesIt) {
  Numbers numbers([](int number) {
    return std::vector<Tensor>{number < 2 ? Tensor(1.0f) : full({2}, 1.0f)};
  });
  Variable seen(0.0f);
  auto total = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) {
      seen += loop.tensors()[0];
      start = start + 1.0f;
    }
    return start;
  });
  try {
    total(Tensor(0.0f));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("element 2 of numbers > map is (f32[2]), but its element_spec says (f32[])"));
    EXPECT_THAT(error.what(), HasSubstr("(behind 2 elements of numbers > map)"));
  }
  EXPECT_EQ(seen.value().item<float>(), 0.0f);
  EXPECT_EQ(numbers.counts.open, 0);
}

TEST(ElementLoop, AWarmTurnAllocatesNothing) {
  const Tensor element({1.0f, 2.0f});
  Numbers numbers([element](int number) { return number < 10000 ? std::vector<Tensor>{element} : std::vector<Tensor>(); },
                  {{{{DType::f32, {2}}}}});
  auto total = function([&](Tensor start) {
    ElementLoop loop = numbers.loop();
    while (loop.next()) start = start + sum(loop.tensors()[0]);
    return start;
  }, {.audit = false});
  const Tensor start(0.0f);
  EXPECT_EQ(total(start).item<float>(), 30000.0f);
  constexpr int kOfTheSource = 1, kOfTheCall = 50;
  fail_after(kOfTheSource * 10001 + kOfTheCall);
  const Tensor result = total(start);
  fail_after(-1);
  EXPECT_EQ(result.item<float>(), 30000.0f);
}

TEST(ElementLoop, TheEpochIsATensor) {
  Numbers numbers(scalars(2));
  auto run = function([&](Tensor epochs) {
    Tensor sum(0.0f);
    for (Tensor epoch : range(epochs)) {
      ElementLoop loop = numbers.loop(epoch);
      while (loop.next()) sum = sum + loop.tensors()[0];
    }
    return sum;
  });
  EXPECT_EQ(run(Tensor(3)).item<float>(), 3.0f);
  EXPECT_THAT(numbers.counts.epochs, ElementsAre(0, 1, 2));
}

TEST(ElementLoop, EffectsKeepTheirOrder) {
  Numbers numbers(scalars(2));
  std::vector<std::string> lines;
  const ScopedPrintSink sink([&](std::string_view line) { lines.emplace_back(line); });
  auto run = function([&](Tensor start) {
    etch::print("begin");
    ElementLoop loop = numbers.loop();
    while (loop.next()) etch::print("element", loop.tensors()[0]);
    etch::print("end");
    return start;
  });
  run(Tensor(0.0f));
  EXPECT_THAT(lines, ElementsAre("begin\n", "element 0.0\n", "element 1.0\n", "end\n"));
}

TEST(ElementLoop, ATrainingStepInEachTurnAssignsVariables) {
  Numbers numbers(scalars(4));
  const auto train = [&](const Variable& w, const auto& elements) {
    elements([&](const Tensor& x) {
      GradientTape tape;
      const Tensor loss = (w * x - 1.0f) * (w * x - 1.0f);
      w -= 0.01f * tape.gradient(loss, w);
    });
  };
  const Variable eager(0.5f), traced(0.5f);
  train(eager, [](const auto& turn) {
    for (int i = 0; i < 4; ++i) turn(Tensor(static_cast<float>(i)));
  });
  auto step = function([&](Tensor unused) {
    train(traced, [&](const auto& turn) {
      ElementLoop loop = numbers.loop();
      while (loop.next()) turn(loop.tensors()[0]);
    });
    return unused;
  });
  step(Tensor(0.0f));
  EXPECT_EQ(traced.value().item<float>(), eager.value().item<float>());
}

}  // namespace
}  // namespace etch::detail
