// One run of a callable in a trace: its arguments, its results, and the object that it may not change.
#include "frontend/run_callable.h"

#include "compiler/ir/cat.h"

namespace etch::detail {
namespace {

/// By its number: another thread may have built it meanwhile.
bool is_same_variable(const ArgReader::Leaf& a, const ArgReader::Leaf& b) {
  const size_t number = b.text.rfind('#');
  return a.is_variable && number != std::string::npos && a.text.ends_with(std::string_view(b.text).substr(number));
}

}  // namespace

void RunSession::Values::tensor(Tensor& tensor) {
  if (!tensor.defined()) {
    throw Error(cat("function ", trace.name(), " returns a Tensor that holds nothing; assign it, or return an optional"));
  }
  values.push_back(trace.value_of(*TensorAccess::get(tensor), {}));
  tensor = Tensor();
}

Members::Members(const ObjectReader& object) {
  if (object.read == nullptr) return;
  ArgReader reader(&leaves_);
  object.read(object.object, reader);
  for (const ArgReader::Leaf& leaf : leaves_) tensors_.push_back(leaf.handle ? *leaf.handle : Tensor());
}

bool Members::same(const Members& other, size_t i) const {
  return i < leaves_.size() && i < other.leaves_.size() && leaves_[i].path == other.leaves_[i].path &&
         (leaves_[i].text == other.leaves_[i].text || is_same_variable(leaves_[i], other.leaves_[i])) &&
         TensorAccess::get(tensors_[i]) == TensorAccess::get(other.tensors_[i]);
}

void Members::put_back(const ObjectReader& object) const {
  const Members now(object);
  if (now.leaves_.size() != leaves_.size()) return;
  for (size_t i = 0; i < now.leaves_.size(); ++i) {
    const bool is_assigned = now.leaves_[i].handle && now.leaves_[i].path == leaves_[i].path &&
                             TensorAccess::get(now.tensors_[i]) != TensorAccess::get(tensors_[i]);
    // The handles are not const in truth, or they could not have been assigned.
    if (is_assigned) *const_cast<Tensor*>(now.leaves_[i].handle) = tensors_[i];
  }
}

void Members::check_unchanged(const Callable& callable, Location where) const {
  const Members now(callable.object);
  size_t i = 0;
  while (same(now, i)) ++i;
  if (i == leaves_.size() && i == now.leaves_.size()) return;
  const ArgReader::Leaf* was = i < leaves_.size() ? &leaves_[i] : nullptr;
  const ArgReader::Leaf* is = i < now.leaves_.size() ? &now.leaves_[i] : nullptr;
  std::string what;
  if (was && is && was->path == is->path) {
    what = is->handle ? cat("assigns ", is->path) : cat("changes ", is->path, " from ", was->text, " to ", is->text);
  } else {
    what = is ? cat("adds ", is->path) : cat("removes ", was->path);
  }
  throw Error(cat(at(where), "function ", callable.name, " ", what, " while it is traced. Its C++ code runs while tracing"
                  " only, so later calls would not do it: return new values and assign them after the call, and keep"
                  " counters outside of the object"));
}

void run_callable(const Callable& callable, void* self, const Call& call, const Members& members, Trace& trace,
                  RunSession& session) {
  try {
    const TraceScope scope(&trace);
    callable.type.trace(self, call.args, session);
    if (trace.made_variables().empty()) members.check_unchanged(callable, call.where);
  } catch (...) {
    members.put_back(callable.object);
    throw;
  }
  if (!trace.made_variables().empty()) members.put_back(callable.object);
}

void fail_makes_variables(const Callable& callable, Location where) {
  throw Error(cat(at(where), "function ", callable.name,
                  " makes a variable each time it is traced, so that no two traces have the same ones; make it before"
                  " the function is called, or only where there is none yet: if (!v.defined()) v = Variable(...), with"
                  " v kept outside of the function"));
}

void read_again(const Callable& callable, const Call& call) {
  call.reader.clear();
  callable.type.read(call.args, call.reader);
  if (callable.object.read) callable.object.read(callable.object.object, call.reader);
  call.reader.pin();
}

}  // namespace etch::detail
