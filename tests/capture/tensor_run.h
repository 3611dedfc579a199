// Random programs on tensors, eager or traced.
#pragma once

#include <vector>

#include "etch/etch.h"
#include "tests/capture/random_program.h"

namespace etch::capture {

/// Thrown where an eager run does more events than a test has time for.
struct TooLong {};

/// Does what a program says with tensors.
class TensorRun final : public Listener, public Sim {
 public:
  using Compute = Tensor (*)(Kind kind, const std::vector<Tensor>& operands);

  TensorRun(std::vector<Tensor> given, const std::vector<Variable>& variables, Compute compute)
      : Sim(static_cast<Listener&>(*this)), given_(std::move(given)), variables_(variables), compute_(compute) {}

  Ref event(Kind kind, std::span<const Ref> operands, int) override {
    if (++events_ > 3000 && given_[0].is_eager()) throw TooLong();
    std::vector<Tensor> tensors;
    for (Ref operand : operands) tensors.push_back(tensor(operand));
    return add(compute_(kind, tensors));
  }
  bool ask(Ref condition, Kind) override { return static_cast<bool>(tensor(condition)); }
  void end(Kind, std::span<const Ref>, std::span<const Final>) override {}
  void assign(int slot, Ref value) override { variables_[slot].assign(tensor(value) + 0); }
  Ref read(int slot) override { return add(variables_[slot].value()); }

  std::vector<Tensor> results(const Lambda& program) {
    std::vector<Tensor> outputs;
    for (Ref result : program(*this)) outputs.push_back(tensor(result) + 1);
    return outputs;
  }

 private:
  Ref add(Tensor value) {
    values_.push_back(std::move(value));
    return static_cast<Ref>(values_.size()) - 1;
  }
  Tensor tensor(Ref ref) const { return ref < 0 ? given_[static_cast<size_t>(-2 - ref) % 3] : values_[ref]; }

  const std::vector<Tensor> given_;
  const std::vector<Variable>& variables_;
  const Compute compute_;
  std::vector<Tensor> values_;
  int events_ = 0;
};

}  // namespace etch::capture
