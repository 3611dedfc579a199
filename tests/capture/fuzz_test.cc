// Random programs on tensors: captured and compiled against eager runs, to the bit.
#include <cstdlib>
#include <iostream>

#include <gmock/gmock.h>

#include "tests/capture/programs.h"
#include "tests/capture/random_program.h"

namespace etch::capture {
namespace {

struct TooLong {};

/// Does what a program says with tensors, eager or traced.
class TensorRun final : public Listener {
 public:
  explicit TensorRun(std::vector<Tensor> given) : given_(std::move(given)) {}

  Ref event(Kind kind, std::span<const Ref> operands, int) override {
    if (++events_ > 3000 && given_[0].is_eager()) throw TooLong();
    Tensor value(static_cast<int32_t>(kind * 7919 + 12345));
    for (Ref operand : operands) value = value * 31 + tensor(operand);
    value = value ^ (value >> 7);
    if (kind >= kTests) value = ((value >> 3) & 3) != 0;
    values_.push_back(value);
    return static_cast<Ref>(values_.size()) - 1;
  }
  bool ask(Ref condition, Kind) override { return static_cast<bool>(tensor(condition)); }
  void end(Kind, std::span<const Ref> results, std::span<const Final> finals) override {
    for (Ref result : results) outputs.push_back(tensor(result));
    outputs.resize(4, given_[0]);
    for (int slot = 0; slot < 2; ++slot) {
      const auto known = std::ranges::find(finals, slot, &Final::slot);
      outputs.push_back(known == finals.end() ? given_[0] : tensor(known->value));
    }
    for (Tensor& output : outputs) output = output + 1;
  }

  std::vector<Tensor> outputs;

 private:
  Tensor tensor(Ref ref) const { return ref < 0 ? given_[static_cast<size_t>(-2 - ref) % 3] : values_[ref]; }

  const std::vector<Tensor> given_;
  std::vector<Tensor> values_;
  int events_ = 0;
};

TEST(Fuzz, RandomPrograms) {
  const char* given = std::getenv("ETCH_PROGRAMS");
  const int count = given ? std::atoi(given) : 40;
  int captured = 0, refused = 0, calls = 0;
  for (int seed = 5000; seed < 5000 + count; ++seed) {
    const Lambda program = RandomProgram(static_cast<uint64_t>(seed), 6 + seed % 15).lambda();
    const auto run = [&](Tensor a, Tensor b, Tensor c) {
      TensorRun run({a, b, c});
      SimProgram(program).run(run);
      return run.outputs;
    };
    auto f = function(run, {.name = "demo"});
    std::mt19937 random(static_cast<uint32_t>(seed));
    for (int call = 0; call < 25; ++call) {
      const Tensor a(static_cast<int32_t>(random())), b(static_cast<int32_t>(random())), c(static_cast<int32_t>(random()));
      std::vector<Tensor> plain, compiled;
      try {
        plain = run(a, b, c);
      } catch (const TooLong&) {
        continue;
      }
      try {
        compiled = f(a, b, c);
      } catch (const Error& error) {
        ++refused;
        EXPECT_THAT(error.what(), testing::AnyOf(testing::HasSubstr("too large"), testing::HasSubstr("states"),
                                                 testing::HasSubstr("turn"), testing::HasSubstr("no decisions")));
        break;
      }
      captured += call == 0;
      ++calls;
      bool same = plain.size() == compiled.size();
      for (size_t i = 0; same && i < plain.size(); ++i) same = same_bits(plain[i], compiled[i]);
      EXPECT_TRUE(same) << "seed " << seed << ": eagerly " << values_text(plain) << ", captured " << values_text(compiled);
      if (!same) break;
    }
  }
  std::cout << captured << " captured, " << refused << " refused, " << calls << " calls\n";
}

}  // namespace
}  // namespace etch::capture
