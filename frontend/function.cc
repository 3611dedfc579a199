// Functions: the cache of concrete functions, tracing, retraces.
#include "etch/function.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "frontend/flags.h"
#include "frontend/function_core.h"
#include "frontend/trace.h"

namespace etch {

TensorSpec::operator Tensor() const {
  if (!is_representable(shape, size_of(dtype))) {
    throw Error(cat("TensorSpec: a tensor of ", to_string(Type{dtype, shape}), " cannot be"));
  }
  return detail::make_spec(dtype, shape);
}

namespace detail {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Results that are an input or an earlier result under the same or another shape, and nothing else.
std::vector<Sharing> sharing_of(const Graph& graph) {
  std::vector<Sharing> sharing;
  absl::flat_hash_map<Value, int32_t> owners;  // the first result of each value
  for (Value value : graph.outputs()) {
    while (graph[value].op == Op::reshape) value = graph[value].operands[0];
    const auto next = static_cast<int32_t>(sharing.size());
    if (graph[value].op == Op::input) {
      const int64_t index = std::get<InputAttr>(graph[value].attr).index;
      sharing.push_back({Sharing::With::input, static_cast<int32_t>(index)});
    } else if (auto [owner, is_new] = owners.try_emplace(value, next); !is_new) {
      sharing.push_back({Sharing::With::result, owner->second});
    } else {
      sharing.push_back({});
    }
  }
  return sharing;
}

/// The trace's side of one run of the callable.
class Recording final : public TraceSession {
 public:
  explicit Recording(Trace& trace) : arguments_(trace), results_(trace) {}

  TensorVisitor& arguments() override { return arguments_; }
  TensorVisitor& results() override { return results_; }
  void keep(void* structure, void (*destroy)(void*), const ArgReader& reader) override {
    structure_ = std::shared_ptr<const void>(structure, destroy);
    result_key_.assign(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  }

  TraceResult finish(Trace& trace) {
    TraceResult result;
    result.graph = std::move(trace.builder()).finish(results_.values);
    result.sharing = sharing_of(result.graph);
    result.captures = std::move(trace.captures());
    result.result_key = std::move(result_key_);
    result.structure = std::move(structure_);
    return result;
  }

 private:
  struct Arguments final : TensorVisitor {
    explicit Arguments(Trace& trace) : trace(trace) {}
    void tensor(Tensor& tensor) override { tensor = trace.argument(impl_of(tensor, {}).type()); }
    Trace& trace;
  };
  struct Values final : TensorVisitor {
    explicit Values(Trace& trace) : trace(trace) {}
    void tensor(Tensor& tensor) override {
      if (!tensor.defined()) {
        throw Error(cat("function ", trace.name(),
                        " returns a Tensor that holds nothing; assign it, or return an optional"));
      }
      values.push_back(trace.value_of(*TensorAccess::get(tensor), {}));
      tensor = Tensor();
    }
    Trace& trace;
    std::vector<Value> values;
  };

  Arguments arguments_;
  Values results_;
  std::string result_key_;
  std::shared_ptr<const void> structure_;
};

bool same_capture(const Capture& a, const Capture& b) {
  const TensorImpl& x = *a.get();
  const TensorImpl& y = *b.get();
  if (&x == &y) return true;
  return x.type() == y.type() && (x.bytes() == 0 || std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0);
}

std::string node_text(const Graph& graph, int i) {
  if (i >= graph.size()) return "nothing";
  const Node& node = graph[Value{i}];
  std::string text = "`" + print(graph, Value{i}) + "`";
  if (node.origin.file >= 0) text += cat(" at ", graph.name_of(node.origin.file), ":", node.origin.line);
  return text;
}

bool same_node(const Node& a, const Node& b) {
  return a.op == b.op && a.operands == b.operands && a.attr == b.attr && a.type == b.type;
}

/// Roughly what a concrete function keeps in memory beside its machine code and captures.
int64_t bytes_of(const Concrete& concrete) {
  constexpr int64_t kPerNode = sizeof(Node) + 16;
  constexpr int64_t kPerKernel = 2048;
  int64_t bytes = 2048 + static_cast<int64_t>(concrete.key.size());
  bytes += kPerNode * (concrete.trace.graph.size() + concrete.compiled.graph.size());
  bytes += kPerKernel * static_cast<int64_t>(concrete.compiled.schedule.kernels.size());
  for (const ArgReader::Leaf& leaf : concrete.leaves) {
    bytes += static_cast<int64_t>(sizeof leaf + leaf.path.size() + leaf.text.size());
  }
  return bytes;
}

std::string default_name(Location where) {
  std::string name = at(where);
  return name.size() < 2 ? "function" : name.substr(0, name.size() - 2);
}

}  // namespace

FunctionCore::FunctionCore(const FunctionType& type, void* callable, FunctionOptions options, Location where)
    : type_(type), callable_(callable), options_(std::move(options)) {
  if (options_.name.empty()) options_.name = default_name(where);
}

FunctionCore::~FunctionCore() { type_.destroy(callable_); }

ConcreteRef FunctionCore::find(const ArgReader& reader, const void* args, bool is_call) {
  const std::string_view key(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  std::unique_lock lock(mutex_);
  calls_ += is_call;
  if (last_ && last_->key == key) {
    last_->last_used = calls_;
    stats_.hits += is_call;
    return last_->concrete;
  }
  while (true) {
    auto it = by_key_.find(key);
    if (it == by_key_.end()) break;
    Entry& entry = *it->second;
    if (entry.concrete) {
      entry.last_used = calls_;
      stats_.hits += is_call;
      last_ = &entry;
      return entry.concrete;
    }
    if (Trace::current()) break;  // waiting inside of a trace could wait for itself
    built_.wait(lock);
  }

  reader.pin();
  Leaves leaves;
  {
    ArgReader describing(&leaves, "args");
    type_.read(args, describing);
  }
  size_t i = 0;
  for (const ArgReader::Leaf& leaf : leaves) {
    if (!leaf.is_tensor) continue;
    const TensorImpl* impl = reader.tensors()[i++];
    if (impl == nullptr) throw Error(cat("function ", name(), ": ", leaf.path, " holds no tensor; assign one first"));
    if (is_call && impl->kind != TensorImpl::Kind::eager) fail_no_elements(*impl, cat("calling function ", name()), {});
  }

  const bool is_retrace = stats_.traces > 0 && is_call;
  std::string reason = stats_.traces == 0 ? "it is the first signature" : retrace_reason(leaves);
  if (is_retrace && options_.on_retrace == Retrace::forbid) {
    throw Error(cat("function ", name(), " would be traced again, which its options forbid:\n", reason));
  }
  std::string warning;
  if (is_retrace) note_retrace(reason, &warning);

  if (by_key_.contains(key)) {  // only inside of a trace: a build of one's own, which is not kept
    lock.unlock();
    return build(reader, args, std::move(leaves), std::move(reason));
  }
  entries_.push_back({std::string(key), ConcreteRef(), calls_});
  auto entry = std::prev(entries_.end());
  by_key_.emplace(entry->key, entry);
  lock.unlock();

  ConcreteRef concrete;
  try {
    concrete = build(reader, args, std::move(leaves), std::move(reason));
  } catch (...) {
    lock.lock();
    by_key_.erase(entry->key);
    entries_.erase(entry);
    built_.notify_all();
    throw;
  }
  lock.lock();
  entry->concrete = concrete;
  stats_.bytes += concrete->bytes;
  ++stats_.entries;
  last_ = &*entry;
  evict();
  built_.notify_all();
  lock.unlock();
  if (!warning.empty()) warn(warning);
  return concrete;
}

void FunctionCore::evict() {
  while (stats_.entries > 1 && (stats_.entries > options_.max_entries || stats_.bytes > options_.max_bytes)) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (!it->concrete || &*it == last_) continue;
      if (oldest == entries_.end() || it->last_used < oldest->last_used) oldest = it;
    }
    if (oldest == entries_.end()) return;
    stats_.bytes -= oldest->concrete->bytes;
    --stats_.entries;
    ++stats_.evictions;
    by_key_.erase(oldest->key);
    entries_.erase(oldest);
  }
}

std::string FunctionCore::retrace_reason(const Leaves& leaves) {
  constexpr int kCompared = 32;  // of the newest, so that a miss stays cheap
  const Concrete* nearest = nullptr;
  int best = 0;
  int compared = 0;
  for (auto it = entries_.rbegin(); it != entries_.rend() && compared < kCompared; ++it) {
    if (!it->concrete) continue;
    ++compared;
    const int d = distance(leaves, it->concrete->leaves);
    if (nearest == nullptr || d < best) {
      nearest = it->concrete.get();
      best = d;
    }
  }
  return nearest ? describe_difference(leaves, nearest->leaves) : "no other signature is kept";
}

void FunctionCore::note_retrace(const std::string& reason, std::string* warning) {
  constexpr size_t kRetraces = 5;
  constexpr int64_t kCalls = 10;
  retrace_calls_.push_back(calls_);
  if (retrace_calls_.size() > kRetraces) retrace_calls_.erase(retrace_calls_.begin());
  if (options_.on_retrace != Retrace::warn || warned_ || retrace_calls_.size() < kRetraces) return;
  if (calls_ - retrace_calls_.front() >= kCalls) return;
  warned_ = true;
  *warning = cat("function ", name(), " was traced again in ", kRetraces, " of its last ", kCalls,
                 " calls; the last time because ", reason);
}

TraceResult FunctionCore::trace(const void* args) {
  constexpr int kMaxNesting = 32;
  if (trace_nesting() >= kMaxNesting) {
    throw Error(cat("function ", name(), " is traced inside of ", kMaxNesting,
                    " other traces; a callable that asks for its own concrete function never ends"));
  }
  Trace trace(name());
  Recording recording(trace);
  {
    TraceScope scope(trace);
    type_.trace(callable_, args, recording);
  }
  return recording.finish(trace);
}

void FunctionCore::check_repeatable(const TraceResult& first, const TraceResult& second) const {
  std::string what;
  if (!(first.graph == second.graph)) {
    int i = 0;
    const int n = std::min(first.graph.size(), second.graph.size());
    while (i < n && same_node(first.graph[Value{i}], second.graph[Value{i}])) ++i;
    what = i == first.graph.size() && i == second.graph.size()
               ? "it returned other values of the same ops"
               : cat("the first time it recorded ", node_text(first.graph, i), ", the second time ",
                     node_text(second.graph, i));
  } else if (!std::equal(first.captures.begin(), first.captures.end(), second.captures.begin(), second.captures.end(),
                         same_capture)) {
    what = "it used eager tensors with other elements";
  } else if (first.result_key != second.result_key) {
    what = "it returned other values beside its tensors";
  } else {
    return;
  }
  throw Error(cat("function ", name(), " behaved differently when it was traced a second time: ", what,
                  "; host code runs while tracing only, so random numbers, counters and the like must be arguments"));
}

ConcreteRef FunctionCore::build(const ArgReader& reader, const void* args, Leaves leaves, std::string reason) {
  const Flags& flags = current_flags();
  auto* concrete = new Concrete;
  ConcreteRef ref(concrete);
  concrete->function = name();
  concrete->key.assign(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  concrete->leaves = std::move(leaves);
  concrete->reason = std::move(reason);
  concrete->threads = options_.threads;
  concrete->options.fuse = options_.fuse && flags.fuse;
  concrete->options.prune_and_simplify = options_.simplify && flags.simplify;
  concrete->options.fast_math = options_.fast_math || flags.fast_math;
  concrete->options.target = *flags.target;
  concrete->options.verify = flags.verify;

  const Clock::time_point trace_start = Clock::now();
  {
    std::unique_lock one_trace(trace_mutex_, std::defer_lock);
    if (!Trace::current()) one_trace.lock();  // inside of a trace another function's lock may be held
    concrete->trace = trace(args);
    if (options_.trace_twice || flags.trace_twice) check_repeatable(concrete->trace, trace(args));
  }
  concrete->trace_ms = milliseconds_since(trace_start);
  const Graph& graph = concrete->trace.graph;
  for (Value output : graph.outputs()) concrete->output_types.push_back(graph[output].type);

  const Clock::time_point compile_start = Clock::now();
  const auto observe = [&](std::string_view pass, const Graph& changed) {
    if (flags.print_after != "all" && flags.print_after != pass) return;
    std::fprintf(stderr, "// %s after pass %s\n%s", name().c_str(), std::string(pass).c_str(), print(changed).c_str());
  };
  absl::StatusOr<Compiled> compiled = Compiled();
  if (flags.print_after.empty()) {
    compiled = compile(concrete->trace.graph, concrete->options);
  } else {
    compiled = compile(concrete->trace.graph, concrete->options, observe);
  }
  if (!compiled.ok()) throw Error(cat("function ", name(), ": ", std::string(compiled.status().message())));
  concrete->compiled = *std::move(compiled);
  for (size_t i = 0; i < concrete->output_types.size(); ++i) {
    Sharing& sharing = concrete->trace.sharing[i];
    const bool is_written = concrete->compiled.executable->output_is_input[i] < 0;
    if (sharing.with == Sharing::With::input && is_written) sharing = {};  // kernels never write to an input
  }
  concrete->compile_ms = milliseconds_since(compile_start);
  concrete->bytes = bytes_of(*concrete);
  {
    std::lock_guard lock(mutex_);
    concrete->folder = cat(name(), "_", num_concrete_++);
    ++stats_.traces;
    ++stats_.compiles;
    stats_.kernels_compiled += concrete->compiled.counts.kernels_compiled;
    stats_.trace_ms += concrete->trace_ms;
    stats_.compile_ms += concrete->compile_ms;
  }
  if (flags.time) {
    std::fprintf(stderr,
                 "etch: %s: trace %.3f ms, passes %.3f ms, schedule %.3f ms, code %.3f ms; %lld kernels compiled, "
                 "%lld reused\n",
                 concrete->folder.c_str(), concrete->trace_ms, concrete->compiled.pass_milliseconds,
                 concrete->compiled.schedule_milliseconds, concrete->compiled.counts.milliseconds,
                 static_cast<long long>(concrete->compiled.counts.kernels_compiled),
                 static_cast<long long>(concrete->compiled.counts.kernels_reused));
  }
  if (!flags.dump.empty()) dump(*concrete, flags.dump);
  return ref;
}

FunctionStats FunctionCore::stats() {
  std::lock_guard lock(mutex_);
  return stats_;
}

Results::~Results() { concrete_->release(); }

const void* Results::structure() const { return concrete_->trace.structure.get(); }

ConcreteHandle::ConcreteHandle(const ConcreteHandle& other) noexcept : concrete_(other.concrete_) {
  concrete_->retain();
}

ConcreteHandle& ConcreteHandle::operator=(const ConcreteHandle& other) noexcept {
  other.concrete_->retain();
  concrete_->release();
  concrete_ = other.concrete_;
  return *this;
}

ConcreteHandle::~ConcreteHandle() { concrete_->release(); }

CoreHandle::CoreHandle(const FunctionType& type, void* callable, FunctionOptions options, Location where)
    : core_(new FunctionCore(type, callable, std::move(options), where)) {}

CoreHandle::CoreHandle(const CoreHandle& other) noexcept : core_(other.core_) { core_->retain(); }

CoreHandle& CoreHandle::operator=(const CoreHandle& other) noexcept {
  other.core_->retain();
  core_->release();
  core_ = other.core_;
  return *this;
}

CoreHandle::~CoreHandle() { core_->release(); }

void* CoreHandle::callable() const { return core_->callable(); }

bool CoreHandle::runs_inline() const { return Trace::current() != nullptr || functions_run_eagerly(); }

const std::string& CoreHandle::name() const { return core_->name(); }

FunctionStats CoreHandle::stats() const { return core_->stats(); }

namespace {

/// What has no memory of a size to name: tables, graphs, code.
template <class F>
auto or_out_of_memory(const std::string& name, F f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    throw Error(cat("function ", name, ": out of memory"));
  }
}

}  // namespace

Tensor CoreHandle::call_one(const ArgReader& reader, const void* args) const {
  return or_out_of_memory(name(), [&] {
    const ConcreteRef concrete = core_->find(reader, args, true);
    Tensor result;
    concrete->run(reader.tensors(), &result);
    return result;
  });
}

Results CoreHandle::call(const ArgReader& reader, const void* args) const {
  return or_out_of_memory(name(), [&] {
    ConcreteRef concrete = core_->find(reader, args, true);
    std::vector<Tensor> tensors(concrete->output_types.size());
    concrete->run(reader.tensors(), tensors.data());
    return Results(concrete.release(), std::move(tensors));
  });
}

void CoreHandle::call_into(const ArgReader& reader, const void* args, const Destinations& outputs) const {
  if (Trace::current()) {
    throw Error(cat("call_into of function ", name(), " cannot be traced: it writes to memory; call the function"));
  }
  if (outputs.count() > Destinations::kMax) {
    throw Error(cat("call_into of function ", name(), " takes at most ", Destinations::kMax,
                    " output tensors, not ", outputs.count(), "; call the function"));
  }
  or_out_of_memory(name(), [&] {
    const ConcreteRef concrete = core_->find(reader, args, true);
    concrete->run_into(reader.tensors(), outputs.tensors(), outputs.count());
  });
}

ConcreteHandle CoreHandle::concrete(const ArgReader& reader, const void* args) const {
  return or_out_of_memory(name(), [&] { return ConcreteHandle(core_->find(reader, args, false).release()); });
}

std::string CoreHandle::explain(const ArgReader& reader, const void* args) const {
  return or_out_of_memory(name(), [&] { return detail::explain(*core_->find(reader, args, false).get()); });
}

Results run_concrete(const ConcreteHandle& handle, const ArgReader& reader, const void*) {
  const Concrete& concrete = *handle.get();
  const std::string_view key(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  if (key != concrete.key) {
    std::string given;
    for (const TensorImpl* impl : reader.tensors()) {
      given += cat(given.empty() ? "" : ", ", impl ? to_string(impl->type()) : "no tensor");
    }
    throw Error(cat("concrete function ", concrete.folder, " takes ", signature_text(concrete.leaves),
                    ", but the arguments have another signature, with the tensors ", given.empty() ? "(none)" : given,
                    "; call the function, which traces what is new"));
  }
  std::vector<Tensor> tensors(concrete.output_types.size());
  concrete.run(reader.tensors(), tensors.data());
  concrete.retain();
  return Results(&concrete, std::move(tensors));
}

InlineScope::InlineScope(const CoreHandle& core) {
  constexpr int kMaxDepth = 256;
  static_assert(sizeof(Scope) <= sizeof(scope_) && alignof(Scope) <= 8);
  const Scope* innermost = Scope::innermost();
  if (Trace::current() && innermost && innermost->depth() >= kMaxDepth) {
    throw Error(cat("function ", core.name(), " calls itself ", kMaxDepth,
                    " deep while it is traced; a recursion must end by values that are known then, such as C++"
                    " integers"));
  }
  new (scope_) Scope(core.name());
}

InlineScope::~InlineScope() { reinterpret_cast<Scope*>(scope_)->~Scope(); }

}  // namespace detail

std::vector<std::string> ConcreteFunctionBase::stages() const { return detail::stages_of(*handle_.get()); }
std::string ConcreteFunctionBase::text(std::string_view stage) const { return detail::text_of(*handle_.get(), stage); }
std::string ConcreteFunctionBase::name() const { return handle_.get()->folder; }
int ConcreteFunctionBase::num_kernels() const {
  return static_cast<int>(handle_.get()->compiled.schedule.kernels.size());
}
int ConcreteFunctionBase::num_kernels_compiled() const {
  return static_cast<int>(handle_.get()->compiled.counts.kernels_compiled);
}
int ConcreteFunctionBase::num_captures() const { return static_cast<int>(handle_.get()->trace.captures.size()); }
int64_t ConcreteFunctionBase::bytes() const { return handle_.get()->bytes; }

namespace {

int count_ops(const Graph& graph) {
  int count = 0;
  for (const Node& node : graph.nodes()) count += node.op != Op::input && node.op != Op::constant;
  return count;
}

}  // namespace

int ConcreteFunctionBase::num_traced_ops() const { return count_ops(handle_.get()->trace.graph); }
int ConcreteFunctionBase::num_ops() const { return count_ops(handle_.get()->compiled.graph); }

}  // namespace etch
