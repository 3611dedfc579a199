// A callable of an explicit form as a program that is captured, where it tests tensors by plain `if` or loops.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "etch/control_flow.h"
#include "frontend/capture/capture.h"
#include "frontend/region_trace.h"
#include "frontend/vocabulary.h"

namespace etch::detail {

/// A callable that has been run, as a trace that holds all that it can do.
struct RecordedRegion {
  std::unique_ptr<RegionTrace> trace;
  Flat flat;
  std::vector<Value> values;  // of its tensors
};

/// A callable on parameters of its own. Traced tensors that it holds are given from around.
class RegionProgram final : public DescribedProgram, public CaptureStart {
 public:
  /// @param outer the trace around, or nullptr.
  RegionProgram(std::string_view op, Trace* outer, std::span<const Type> arguments, const Turn& callable, Location where);
  ~RegionProgram() override;

  /// Runs the callable, and again and again if it asks for the truth of tensors.
  RecordedRegion record();

  std::pair<capture::Listener*, Vocabulary*> start() override;

  // ---- capture::Program
  std::optional<capture::Failure> run(capture::Listener& listener) override;
  bool is_confirmed(const capture::Automaton& automaton) override;
  std::string name() const override;

 private:
  /// What the callable gives, in a trace that is the current one.
  Flat call(const std::vector<Tensor>& arguments) const { return callable_(arguments); }
  std::vector<Value> values_of(Trace& trace, const Flat& flat) const;
  /// All that the automaton says, with the place of the callable.
  std::string all_text(const capture::Automaton& automaton) const;
  void end_run(Trace& trace, const Flat& flat, capture::Listener& listener);
  /// Captures the rest once the first run has ended. @param flat what it gave, or nullptr where it threw.
  RecordedRegion finish(Trace& first, const Flat* flat);

  const std::string op_;
  Trace* const outer_;
  const std::vector<Type> types_;
  const Turn& callable_;
  const Location where_;
  std::unique_ptr<capture::Capturer> capturer_;
  capture::Listener* begun_ = nullptr;
  std::string structure_;   // of what it gives
};

/// A function's capture begins anew: callables of explicit forms in it may record so many ops, and no more.
void begin_region_runs();

}  // namespace etch::detail
