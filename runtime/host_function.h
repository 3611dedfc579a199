// HostFunction: what a compiled function does on the host between its kernels, such as to print.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "etch/dtype.h"
#include "etch/shape.h"

namespace etch {

/// The type of a value that a host function reads or writes.
struct HostType {
  DType dtype = DType::f32;
  Shape shape;

  int64_t bytes() const { return shape.product() * size_of(dtype); }
  bool operator==(const HostType&) const = default;
};

/// Such a value: its elements in row-major order.
struct HostValue {
  HostType type;
  void* data = nullptr;
};

/// A function of C++ that acts on the world, or takes values from it: its calls are effects, which happen once each and in the
/// order of the program. Immutable, shared; called from any thread.
class HostFunction {
 public:
  virtual ~HostFunction() = default;

  /// `print`.
  virtual std::string_view name() const = 0;
  /// What it was made with, for people, and for register_host_function.
  virtual std::string text() const { return {}; }
  /// True if name and text say all of it: functions with the same ones are equal, and it can be read back.
  virtual bool is_text() const { return false; }
  /// Why it does not take values of these types; empty if it does.
  virtual std::string refuse(std::span<const HostType> operands) const = 0;
  /// What it gives.
  virtual std::span<const HostType> results() const { return {}; }
  /// Does it. An Error is to say what is wrong, without a place.
  virtual void run(std::span<const HostValue> operands, std::span<const HostValue> results) const = 0;
};

/// Makes a function from what text() gave; throws Error for a text that is none.
using ReadHostFunction = std::shared_ptr<const HostFunction> (*)(std::string_view text);

/// How functions of this name are read back. To be called while the program starts.
bool register_host_function(std::string_view name, ReadHostFunction read);

/// The reader of this name, or nullptr.
ReadHostFunction find_host_function(std::string_view name);

}  // namespace etch
