// The cache of a function's concrete functions: look-up, misses, retraces, bounds.
#include "frontend/function_core.h"

#include <algorithm>
#include <new>
#include <set>

#include "compiler/ir/cat.h"
#include "frontend/confirmation.h"
#include "frontend/flags.h"
#include "frontend/trace.h"

namespace etch::detail {
namespace {

constexpr size_t kRetraces = 5;    // in so many of
constexpr int64_t kCalls = 10;     // calls are too many

[[gnu::tls_model("initial-exec")]] constinit thread_local bool is_observed = false;
thread_local std::weak_ptr<ObservedCall> observer;

void note_call(const std::string& name, const Ref<const Concrete>& concrete) {
  const std::shared_ptr<ObservedCall> observed = observer.lock();
  is_observed = observed && !observed->concrete;
  if (!is_observed || observed->name != name) return;
  observed->concrete = concrete;
  is_observed = false;
}

std::string_view key_of(const Call& call) {
  return {reinterpret_cast<const char*>(call.reader.key().data()), call.reader.key().size()};
}

/// True the first time in this process for a function's name and a place: functions that are made anew in a loop warn
/// once. So many places at the most are told apart.
bool is_first_warning(const std::string& name, Location where) {
  constexpr size_t kMaxPlaces = 4096;
  static std::mutex mutex;
  static auto* places = new std::set<std::string>;  // functions may be called during static destruction
  const std::lock_guard lock(mutex);
  return places->size() < kMaxPlaces && places->insert(cat(where.file_name(), ":", where.line(), " ", name)).second;
}

}  // namespace

std::shared_ptr<ObservedCall> observe_calls(std::string name) {
  auto observed = std::make_shared<ObservedCall>(ObservedCall{std::move(name)});
  observer = observed;
  is_observed = true;
  return observed;
}

FunctionCore::FunctionCore(Callable callable, FunctionOptions options)
    : callable_(std::move(callable)), options_(std::move(options)) {}

FunctionCore::~FunctionCore() {
  {
    std::unique_lock<TraceMutex> lock(callable_.life->one_run, std::defer_lock);
    if (!callable_.life->one_run.is_held_here()) lock.lock();
    callable_.life->is_over = true;
  }
  callable_.type.destroy(callable_.self);
}

Ref<const Concrete> FunctionCore::find_to_run(const Call& call) {
  Ref<const Concrete> concrete = find(call, true);
  if (is_observed) [[unlikely]] note_call(name(), concrete);
  if (options_.check_captures || call.flags->check_captures) [[unlikely]] {
    check_captures(callable_, concrete->trace, trace_alone(callable_, call), call.where);
  }
  return concrete;
}

Ref<const Concrete> FunctionCore::find(const Call& call, bool is_call) {
  const std::string_view key = key_of(call);
  std::unique_lock lock(mutex_);
  calls_ += is_call;
  if (last_ && last_->key == key && !broken_guard(last_->concrete->trace)) [[likely]] {
    stats_.hits += is_call;
    return last_->concrete;
  }
  if (Ref<const Concrete> known = find_known(lock, key, is_call)) return known;

  call.reader.pin();
  Leaves leaves = describe(call, is_call);
  const bool is_retrace = stats_.traces > 0 && is_call;
  std::string reason = reason_to_trace(call, leaves, is_retrace);
  const bool warns = is_retrace && retraces_too_often();
  const std::string warning = warns ? reason : "";

  Ref<const Concrete> concrete;
  if (is_building(key)) {  // only inside of a trace: a build of one's own, which is not kept
    lock.unlock();
    concrete = build(call, std::move(leaves), std::move(reason));
  } else {
    entries_.push_back({std::string(key), {}});
    const auto entry = std::prev(entries_.end());
    add_key(entry);
    lock.unlock();
    concrete = build_entry(call, entry, std::move(leaves), std::move(reason));
  }
  report_build(*concrete);
  if (warns && is_first_warning(name(), call.where)) {
    warn(cat(at(call.where), "function ", name(), " was traced again in ", kRetraces, " of its last ", kCalls,
             " calls; the last time because ", warning));
  }
  return concrete;
}

Ref<const Concrete> FunctionCore::find_known(std::unique_lock<std::mutex>& lock, std::string_view key, bool is_call) {
  while (true) {
    const auto it = by_key_.find(key);
    if (it == by_key_.end()) return {};
    for (const Entries::iterator& entry : it->second) {
      if (!entry->concrete || broken_guard(entry->concrete->trace)) continue;
      entries_.splice(entries_.end(), entries_, entry);
      stats_.hits += is_call;
      last_ = &*entry;
      return entry->concrete;
    }
    if (!is_building(key)) return {};
    if (trace_nesting() > 0) return {};  // waiting inside of a trace could wait for itself
    built_.wait(lock);
  }
}

bool FunctionCore::is_building(std::string_view key) const {
  const auto it = by_key_.find(key);
  return it != by_key_.end() && std::ranges::any_of(it->second, [](const auto& entry) { return !entry->concrete; });
}

void FunctionCore::add_key(Entries::iterator entry) { by_key_[entry->key].push_back(entry); }

void FunctionCore::remove_key(Entries::iterator entry) {
  const auto it = by_key_.find(entry->key);
  std::vector<Entries::iterator> rest = std::move(it->second);
  std::erase(rest, entry);
  by_key_.erase(it);
  if (!rest.empty()) by_key_.emplace(rest.front()->key, std::move(rest));
}

Leaves FunctionCore::describe(const Call& call, bool is_call) const {
  Leaves leaves;
  ArgReader reader(&leaves);
  callable_.type.read(call.args, reader);
  for (const ArgReader::Leaf& leaf : leaves) {
    if (leaf.handle == nullptr || leaf.handle->defined()) continue;
    throw Error(cat(at(call.where), "function ", name(), ": ", leaf.path, " holds no tensor; assign one first"));
  }
  if (callable_.object.read) callable_.object.read(callable_.object.object, reader);
  for (ArgReader::Leaf& leaf : leaves) {
    const TensorImpl* impl = leaf.handle ? TensorAccess::get(*leaf.handle) : nullptr;
    if (is_call && impl && impl->kind != TensorImpl::Kind::eager) {
      fail_no_elements(*impl, cat("calling function ", name()), call.where);
    }
    leaf.handle = nullptr;
  }
  return leaves;
}

std::string FunctionCore::reason_to_trace(const Call& call, const Leaves& leaves, bool is_retrace) {
  std::string reason = stats_.traces == 0 ? "it is the first signature" : retrace_reason(leaves);
  if (is_retrace && options_.on_retrace == Retrace::forbid) {
    throw Error(cat(at(call.where), "function ", name(), " would be traced again, which its options forbid:\n", reason));
  }
  return reason;
}

std::string FunctionCore::retrace_reason(const Leaves& leaves) const {
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
  if (nearest == nullptr) return "no other signature is kept";
  const FlagGuard* broken = best == 0 ? broken_guard(nearest->trace) : nullptr;
  return broken ? change_text(*broken) : describe_difference(leaves, nearest->leaves);
}

bool FunctionCore::retraces_too_often() {
  retrace_calls_.push_back(calls_);
  if (retrace_calls_.size() > kRetraces) retrace_calls_.erase(retrace_calls_.begin());
  if (options_.on_retrace != Retrace::warn || warned_ || retrace_calls_.size() < kRetraces) return false;
  if (calls_ - retrace_calls_.front() >= kCalls) return false;
  return warned_ = true;
}

Ref<const Concrete> FunctionCore::build(const Call& call, Leaves leaves, std::string reason) {
  const std::string key_before(key_of(call));
  Ref<Concrete> concrete = build_concrete(callable_, options_, call);
  const bool read_again = concrete->key != key_before;  // the trace made variables
  concrete->leaves = read_again ? describe(call, false) : std::move(leaves);
  concrete->reason = std::move(reason);
  const std::lock_guard lock(mutex_);
  concrete->folder = cat(name(), "_", num_concrete_++);
  ++stats_.traces;
  ++stats_.compiles;
  stats_.kernels_compiled += concrete->compiled.counts.kernels_compiled;
  stats_.trace_ms += concrete->trace_ms;
  stats_.compile_ms += concrete->compile_ms;
  const CaptureReport* const report = concrete->trace.capture.get();
  stats_.runs += report ? report->runs : 1;
  stats_.paths += report ? report->paths : 1;
  stats_.turns = std::max(stats_.turns, report ? report->turns : 0);
  return concrete;
}

Ref<const Concrete> FunctionCore::build_entry(const Call& call, Entries::iterator entry, Leaves leaves,
                                              std::string reason) {
  Ref<const Concrete> concrete;
  try {
    concrete = build(call, std::move(leaves), std::move(reason));
  } catch (...) {
    const std::lock_guard lock(mutex_);
    remove_key(entry);
    entries_.erase(entry);
    built_.notify_all();
    throw;
  }
  Entries evicted;
  const std::lock_guard lock(mutex_);
  if (!rename(entry, concrete->key)) return concrete;
  entry->concrete = concrete;
  stats_.bytes += concrete->bytes;
  ++stats_.entries;
  entries_.splice(entries_.end(), entries_, entry);
  last_ = &*entry;
  evict(evicted);
  built_.notify_all();
  return concrete;
}

bool FunctionCore::rename(Entries::iterator entry, const std::string& key) {
  if (entry->key == key) return true;
  remove_key(entry);
  built_.notify_all();
  const auto known = by_key_.find(key);
  const auto is_usable = [](const auto& other) { return other->concrete && !broken_guard(other->concrete->trace); };
  if (known != by_key_.end() && std::ranges::any_of(known->second, is_usable)) {  // another thread was faster
    entries_.erase(entry);
    return false;
  }
  entry->key = key;
  add_key(entry);
  return true;
}

void FunctionCore::evict(Entries& evicted) {
  const auto is_full = [&] {
    return stats_.entries > 1 && (stats_.entries > options_.max_entries || stats_.bytes > options_.max_bytes);
  };
  for (auto it = entries_.begin(); it != entries_.end() && is_full();) {
    const auto oldest = it++;
    if (!oldest->concrete || &*oldest == last_) continue;
    stats_.bytes -= oldest->concrete->bytes;
    --stats_.entries;
    ++stats_.evictions;
    remove_key(oldest);
    evicted.splice(evicted.end(), entries_, oldest);
  }
}

/// What other threads of the parent were building will not come, and they do not trace any more.
void FunctionCore::start_as_child() {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto entry = it++;
    if (entry->concrete || entry->builder == pthread_self()) continue;
    remove_key(entry);
    entries_.erase(entry);
  }
  new (&built_) std::condition_variable;  // the old one remembers threads that wait
  TraceMutex& one_run = callable_.life->one_run;
  if (!one_run.is_held_here()) new (&one_run) TraceMutex;
  mutex_.unlock();
}

FunctionStats FunctionCore::stats() {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    const Confirmation* const confirmation = entry.concrete ? entry.concrete->trace.confirmation.get() : nullptr;
    if (confirmation == nullptr) continue;
    stats_.audits = std::max(stats_.audits, confirmation->audits());
    if (confirmation->turns() != TurnGuard::kNoLimit) stats_.turns = std::max(stats_.turns, confirmation->turns());
  }
  return stats_;
}

}  // namespace etch::detail
