// One run of a callable in a trace: its arguments, its results, and the object that it may not change.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/trace.h"
#include "frontend/trace_function.h"

namespace etch::detail {

/// The trace's side of one run of the callable.
class RunSession final : public TraceSession {
 public:
  RunSession(Trace& trace, const ArgReader& reader) : reader_(reader), arguments_(trace), results_(trace) {}

  TensorVisitor& arguments() override { return arguments_; }
  void bind_object() override {
    for (const TensorImpl* member : reader_.object_tensors()) arguments_.trace.bind(*member);
  }
  TensorVisitor& results() override { return results_; }
  void keep(void* structure, void (*destroy)(void*), const ArgReader& reader) override {
    this->structure = std::shared_ptr<const void>(structure, destroy);
    result_key.assign(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  }

  /// What the callable returned.
  std::vector<Value>& values() { return results_.values; }
  std::string result_key;
  std::shared_ptr<const void> structure;

 private:
  struct Arguments final : TensorVisitor {
    explicit Arguments(Trace& trace) : trace(trace) {}
    void tensor(Tensor& tensor) override { tensor = trace.argument(impl_of(tensor, {}).type()); }
    Trace& trace;
  };
  struct Values final : TensorVisitor {
    explicit Values(Trace& trace) : trace(trace) {}
    void tensor(Tensor& tensor) override;
    Trace& trace;
    std::vector<Value> values;
  };

  const ArgReader& reader_;
  Arguments arguments_;
  Values results_;
};

/// What can be read of a callable's object, as it stands now.
class Members {
 public:
  explicit Members(const ObjectReader& object);

  /// Error if a run changed what was read.
  void check_unchanged(const Callable& callable, Location where) const;
  /// Puts back the tensors of an object that its member function assigned while it was traced: they are values of the
  /// trace, of no use outside.
  void put_back(const ObjectReader& object) const;

 private:
  bool same(const Members& other, size_t i) const;

  Leaves leaves_;
  std::vector<Tensor> tensors_;  // per leaf
};

/// Runs the callable once in a trace. Whatever it throws passes, with the object's tensors put back.
void run_callable(const Callable& callable, void* self, const Call& call, const Members& members, Trace& trace,
                  RunSession& session);

/// The Error of a callable that makes a variable each time it runs.
[[noreturn]] void fail_makes_variables(const Callable& callable, Location where);

/// Reads the arguments and the object of a call as they are now.
void read_again(const Callable& callable, const Call& call);

}  // namespace etch::detail
