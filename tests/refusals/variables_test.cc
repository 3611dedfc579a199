// A call that throws for lack of memory leaves every variable as it was, wherever the memory was missing.
#include <gtest/gtest.h>

#include <vector>

#include "etch/etch.h"
#include "refusing.h"

namespace etch {
namespace {

/// A training step on more variables than a call has room for on its stack; two of them share one value, one takes an argument.
struct Training {
  static constexpr int kVariables = 20;

  Training() {
    for (int i = 0; i < kVariables; ++i) all.emplace_back(full({50, 50}, static_cast<float>(i)));
  }

  Tensor step(const Tensor& x) const {
    const Tensor loss = sum(matmul(all[0], all[1]) * x);
    for (int i = 2; i < kVariables; ++i) all[i] -= all[i] * 0.1f + loss;
    all[0].assign(all[2] + all[3]);
    all[1].assign(all[0]);
    all[2].assign(x);
    return loss;
  }

  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> values;
    for (const Variable& v : all) values.push_back(v.value().to_vector<float>());
    return values;
  }

  std::vector<Tensor> handles() const { return {all.begin(), all.end()}; }

  std::vector<Variable> all;
};

/// Calls the step with each of its allocations refused, one at a time, until it needs no more: how often it threw.
/// `holds`: whether others hold the values, so that none is written in place.
int refuse_each_allocation(bool fuse, bool holds) {
  const Training training;
  auto step = function([&](Tensor x) { return training.step(x); }, {.fuse = fuse});
  const Tensor x = full({50, 50}, 0.5f);
  step(x);
  int num_threw = 0;
  for (int after = 0;; ++after) {
    const auto before = training.values();
    std::vector<Tensor> held;
    if (holds) held = training.handles();
    trim_memory();
    RefuseAllocation refuse(after);
    bool threw = false;
    try {
      step(x);
    } catch (const Error&) {
      threw = true;
    }
    if (!refuse.happened()) return num_threw;
    // A large block is asked for again when all that is kept was freed: then the call goes well.
    if (threw) {
      EXPECT_TRUE(training.values() == before) << after;
    }
    num_threw += threw;
  }
}

TEST(RefusedAllocations, LeaveVariablesAsTheyWere) {
  for (bool fuse : {true, false}) {
    const int few = refuse_each_allocation(fuse, false), many = refuse_each_allocation(fuse, true);
    if (kCanRefuseAllocations) {
      EXPECT_GE(few, 3) << "the result, the temporaries and lists of pointers";
      EXPECT_GE(many, few + Training::kVariables - 3) << "new values";
    }
  }
}

}  // namespace
}  // namespace etch
