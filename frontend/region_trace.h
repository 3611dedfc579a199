// The recording of a callable as a region of a trace.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/region.h"
#include "frontend/trace.h"

namespace etch::detail {

/// What an input of a region stands for: an argument of the callable, a tensor from around, or the value of a variable.
struct RegionPort {
  int argument = -1;
  const TensorImpl* tensor = nullptr;
  const VariableCell* cell = nullptr;
  Type type;
};

/// A value that a region gives: one that it computes, or one of its ports as it came.
struct RegionOutput {
  Value value;
  int port = -1;
};

/// One run of a callable, recorded on its own.
class RegionTrace : public Trace {
 public:
  RegionTrace(std::string name, Trace* outer, CaptureStart* capture) : Trace(std::move(name), RegionOf{outer}, capture) {}

  /// Adds the arguments of the callable.
  std::vector<Tensor> arguments(std::span<const Type> types);

  /// The value of an argument.
  Value argument_at(size_t i) const { return arguments_[i]; }
  /// A handle to a value.
  Tensor tensor(Value value);

  /// The value that stands in a variable at the end, or none if nothing assigns to it.
  Value assigned(const VariableCell& cell);

  /// The graph that takes these ports, in order, and gives these outputs.
  Region region(std::span<const RegionPort> ports, std::span<const RegionOutput> outputs) const;

 private:
  /// What stands for a port among the inputs of the trace, or none if it is not used.
  Value input_of(const RegionPort& port) const;

  std::vector<Value> arguments_;
};

/// What several regions use from around: tensors, in order of first use, then variables.
class RegionUses {
 public:
  void add(RegionTrace& region);

  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Ref<VariableCell>>& assigned() const { return assigned_; }
  /// Variables that are read and not assigned.
  const std::vector<Ref<VariableCell>>& read() const { return read_; }
  Location where(const VariableCell& cell) const;

  /// The ports of what no region changes: tensors, then variables that are read.
  std::vector<RegionPort> invariants() const;

 private:
  void add_variable(const TracedVariable& variable);

  std::vector<Tensor> tensors_;
  std::vector<Ref<VariableCell>> assigned_, read_;
  FlatMap<const VariableCell*, Location> where_;
};

}  // namespace etch::detail
