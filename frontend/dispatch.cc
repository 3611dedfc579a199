// Every op's way: into the trace, or through the cache of one-op functions.
#include "frontend/dispatch.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <new>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "compiler/compile.h"
#include "compiler/ir/cat.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/user_words.h"
#include "runtime/fork.h"
#include "runtime/parallel.h"

namespace etch::detail {
namespace {

/// An operand with its number, if it is one, turned into bits.
struct Resolved {
  const TensorImpl* impl = nullptr;  // nullptr for a number
  DType dtype = DType::f32;
  uint64_t bits = 0;

  Shape shape() const { return impl ? impl->shape : Shape{}; }
};
using ResolvedList = absl::InlinedVector<Resolved, 3>;

/// The first tensor among operands, whose dtype the numbers take. The condition of `where` is no model for its values.
const Tensor* model_of(Op op, std::span<const Operand> operands, size_t i) {
  const bool selects = op < Op::cast && info(op).rule == TypeRule::select;
  for (size_t j = selects && i > 0 ? 1 : 0; j < (selects && i == 0 ? 1 : operands.size()); ++j) {
    if (operands[j].tensor()) return operands[j].tensor();
  }
  return nullptr;
}

ResolvedList resolve(Op op, std::span<const Operand> operands, Location where) {
  ResolvedList resolved;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    if (operand.tensor()) {
      const TensorImpl& impl = impl_of(*operand.tensor(), where);
      resolved.push_back({&impl, impl.dtype, 0});
      continue;
    }
    const Tensor* model = model_of(op, operands, i);
    if (model == nullptr) {
      const std::string number = number_text(operand.number());
      fail(where, cat(user_name(name(op)), " has plain numbers only, such as ", number,
                      ", so there is no tensor whose dtype they take; write Tensor(", number, ")"));
    }
    const DType dtype = impl_of(*model, where).dtype;
    resolved.push_back({nullptr, dtype, number_bits(operand.number(), dtype, where)});
  }
  return resolved;
}

Tensor record(Trace& trace, Op op, const ResolvedList& operands, const Attr& attr, const Type* wanted, Location where) {
  absl::InlinedVector<Value, 3> values;
  for (const Resolved& operand : operands) {
    if (operand.impl) {
      values.push_back(trace.value_of(*operand.impl, where));
      continue;
    }
    const Type type{operand.dtype, {}};
    const Tensor constant = trace.emit(Op::constant, {}, ConstantAttr{operand.bits}, &type, where);
    values.push_back(TensorAccess::get(constant)->value);
  }
  return trace.emit(op, values, attr, wanted, where);
}

/// A compiled function of one op.
struct EagerKernel {
  Type type;
  int32_t same_as = -1;  // the operand whose elements the result's are, or -1 where kernels compute them
  std::shared_ptr<const Executable> executable;
};

/// All that decides an EagerKernel, as numbers: op, operand types, attribute, wanted type and target.
class EagerKey {
 public:
  EagerKey(Op op, const ResolvedList& operands, const Attr& attr, const Type* wanted) {
    words_.push_back(static_cast<int64_t>(op) | static_cast<int64_t>(operands.size()) << 8 |
                     static_cast<int64_t>(wanted != nullptr) << 40 | static_cast<int64_t>(attr.index()) << 48);
    for (const Resolved& operand : operands) {
      static const Shape kScalar;
      add(operand.dtype, operand.impl ? operand.impl->shape : kScalar);
    }
    if (wanted) add(wanted->dtype, wanted->shape);
    std::visit([&](const auto& a) { add(a); }, attr);
    words_.push_back(static_cast<int64_t>(reinterpret_cast<uintptr_t>(current_flags().target)));
  }

  std::string_view text() const {
    return {reinterpret_cast<const char*>(words_.data()), words_.size() * sizeof(int64_t)};
  }

 private:
  void add(const Dims& dims) {
    words_.push_back(dims.rank());
    words_.insert(words_.end(), dims.begin(), dims.end());
  }
  void add(DType dtype, const Shape& shape) {
    words_.push_back(static_cast<int64_t>(dtype));
    add(shape);
  }
  void add(const NoAttr&) {}
  void add(const InputAttr& attr) { words_.push_back(attr.index); }
  void add(const ConstantAttr& attr) { words_.push_back(static_cast<int64_t>(attr.bits)); }
  void add(const AxisAttr& attr) { words_.push_back(attr.axis); }
  void add(const ReduceAttr& attr) {
    words_.push_back(static_cast<int64_t>(attr.kind));
    add(attr.axes);
  }
  void add(const TransposeAttr& attr) { add(attr.perm); }
  void add(const SliceAttr& attr) {
    add(attr.start);
    add(attr.step);
  }
  void add(const PadAttr& attr) {
    add(attr.low);
    add(attr.high);
  }

  absl::InlinedVector<int64_t, 40> words_;
};

/// The compiled one-op functions, the ones used longest ago dropped first.
class EagerCache {
 public:
  static constexpr size_t kLimit = 4096;

  static EagerCache& instance() {
    static auto* cache = new EagerCache;  // lives as long as the process: tensors may be used during static destruction
    return *cache;
  }

  std::shared_ptr<const EagerKernel> find(const EagerKey& key) {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(key.text());
    if (it == entries_.end()) {
      ++misses_;
      return nullptr;
    }
    ++hits_;
    order_.splice(order_.begin(), order_, it->second);
    return it->second->kernel;
  }

  void insert(const EagerKey& key, std::shared_ptr<const EagerKernel> kernel) {
    std::lock_guard lock(mutex_);
    if (entries_.contains(key.text())) return;
    order_.push_front({std::string(key.text()), std::move(kernel)});
    entries_.emplace(order_.front().key, order_.begin());
    if (order_.size() <= kLimit) return;
    entries_.erase(order_.back().key);
    order_.pop_back();
  }

  EagerCacheStats stats() {
    std::lock_guard lock(mutex_);
    return {static_cast<int64_t>(order_.size()), static_cast<int64_t>(kLimit), hits_, misses_};
  }

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const EagerKernel> kernel;
  };
  std::mutex mutex_;
  const ForkHandler fork_handler_{
      ForkOrder::eager_cache, this, [](void* self) { static_cast<EagerCache*>(self)->mutex_.lock(); },
      [](void* self) { static_cast<EagerCache*>(self)->mutex_.unlock(); },
      [](void* self) { static_cast<EagerCache*>(self)->mutex_.unlock(); }};
  std::list<Entry> order_;
  absl::flat_hash_map<std::string_view, std::list<Entry>::iterator> entries_;  // keys stand in order_
  int64_t hits_ = 0;
  int64_t misses_ = 0;
};

[[noreturn]] void fail_op(const absl::Status& status, Location where) {
  const Scope* scope = Scope::innermost();
  fail(where, cat(scope ? cat("in ", scope->path(), ": ") : "", in_user_words(std::string(status.message()))));
}

template <class T>
T value_or_fail(absl::StatusOr<T> value, Location where) {
  if (!value.ok()) fail_op(value.status(), where);
  return *std::move(value);
}

std::shared_ptr<const EagerKernel> compile_one(Op op, const ResolvedList& operands, const Attr& attr,
                                               const Type* wanted, Location where) {
  GraphBuilder builder;
  absl::InlinedVector<Value, 3> values;
  for (const Resolved& operand : operands) {
    values.push_back(value_or_fail(builder.input({operand.dtype, operand.shape()}), where));
  }
  const Value result = value_or_fail(
      wanted ? builder.emit(op, values, attr, *wanted) : builder.emit(op, values, attr), where);
  auto kernel = std::make_shared<EagerKernel>();
  kernel->type = builder[result].type;
  const Graph graph = std::move(builder).finish({&result, 1});
  CompileOptions options;
  options.fuse = false;
  options.target = *current_flags().target;
  options.verify = current_flags().verify;
  kernel->executable = value_or_fail(compile(graph, options), where).executable;
  const Output& output = kernel->executable->outputs[0];
  if (output.same_as == Output::SameAs::input) kernel->same_as = output.index;
  return kernel;
}

Tensor run(const EagerKernel& kernel, Op op, const ResolvedList& operands, Location where) {
  // A reshape is a view by its meaning. What the compiler finds equal otherwise is copied: results are tensors of their own.
  if (op == Op::reshape) return alias(*operands[0].impl, kernel.type.dtype, kernel.type.shape);
  Tensor result = allocate(kernel.type.dtype, kernel.type.shape, where, user_name(name(op)));
  void* output = TensorAccess::get(result)->data;
  const RunOptions options = run_options();
  if (kernel.same_as >= 0) {
    const Resolved& source = operands[kernel.same_as];
    copy_bytes(output, source.impl ? source.impl->data : &source.bits, kernel.type.bytes(), options.threads);
    return result;
  }
  absl::InlinedVector<const void*, 4> inputs;
  for (const Resolved& operand : operands) inputs.push_back(operand.impl ? operand.impl->data : &operand.bits);
  try {
    kernel.executable->run(inputs.data(), &output, options);
  } catch (const std::bad_alloc&) {
    fail_allocation(where, kernel.executable->memory_bytes(options), user_name(name(op)));
  }
  return result;
}

void check_eager(const ResolvedList& operands, Op op, Location where) {
  for (const Resolved& operand : operands) {
    if (operand.impl == nullptr || operand.impl->kind == TensorImpl::Kind::eager) continue;
    fail_no_elements(*operand.impl, user_name(name(op)), where);
  }
}

}  // namespace

Tensor apply(Op op, std::span<const Operand> operands, const Attr& attr, const Type* wanted, Location where) {
  where = Scope::place_of(where);
  const ResolvedList resolved = resolve(op, operands, where);
  if (Trace* trace = Trace::current()) return record(*trace, op, resolved, attr, wanted, where);
  check_eager(resolved, op, where);
  try {
    const EagerKey key(op, resolved, attr, wanted);
    std::shared_ptr<const EagerKernel> kernel = EagerCache::instance().find(key);
    if (!kernel) {
      kernel = compile_one(op, resolved, attr, wanted, where);
      EagerCache::instance().insert(key, kernel);
    }
    return run(*kernel, op, resolved, where);
  } catch (const std::bad_alloc&) {
    throw Error(cat(at(where), user_name(name(op)), ": out of memory"));
  }
}

Tensor constant(const Type& type, uint64_t bits, std::string_view op, Location where) {
  where = Scope::place_of(where);
  if (Trace* trace = Trace::current()) return trace->emit(Op::constant, {}, ConstantAttr{bits}, &type, where);
  Tensor result = allocate(type.dtype, type.shape, where, op);
  dispatch(type.dtype, [&]<class T> {
    std::fill_n(static_cast<T*>(TensorAccess::get(result)->data), type.size(), from_bits<T>(bits));
  });
  return result;
}

EagerCacheStats eager_cache_stats() { return EagerCache::instance().stats(); }

}  // namespace etch::detail
