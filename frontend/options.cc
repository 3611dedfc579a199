// ETCH_FLAGS: its table, its parser and the overrides; warnings; running functions eagerly; kept code.
#include "etch/options.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/ir/cat.h"
#include "compiler/passes/pass.h"
#include "etch/error.h"
#include "frontend/flags.h"
#include "runtime/parallel.h"

namespace etch {
namespace detail {
namespace {

/// A flag: what the table says, and how its value is read; false for a value that it does not take.
struct Flag {
  FlagInfo info;
  bool (*set)(Flags& flags, std::string_view value);
};

template <bool Flags::*kMember>
bool set_bool(Flags& flags, std::string_view value) {
  if (value != "0" && value != "1" && !value.empty()) return false;
  flags.*kMember = value != "0";
  return true;
}

bool set_threads(Flags& flags, std::string_view value) {
  int threads = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), threads);
  if (error != std::errc() || end != value.data() + value.size()) return false;
  if (threads < 0 || threads > kMaxThreads) return false;
  flags.threads = threads;
  return true;
}

bool set_target(Flags& flags, std::string_view value) {
  const Target* const target = find_target(value);
  if (target) flags.target = target;
  return target != nullptr;
}

bool set_grain(Flags& flags, std::string_view value) {
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), flags.grain);
  return error == std::errc() && end == value.data() + value.size() && flags.grain >= 0;
}

bool set_dump(Flags& flags, std::string_view value) {
  flags.dump = value;
  return !value.empty();
}

bool set_print_after(Flags& flags, std::string_view value) {
  flags.print_after = value;
  return value == "all" || find_pass(value) != nullptr;
}

constexpr Flag kFlags[] = {
    {{"dump", "DIR", "", "write a folder per concrete function into DIR: signature, trace, passes, schedule, kernels"},
     set_dump},
    {{"print_after", "PASS", "",
      "print the graph to stderr after this pass where it changed something; `all` for every pass"},
     set_print_after},
    {{"time", "0|1", "0", "print to stderr how long tracing and compiling each concrete function took"},
     set_bool<&Flags::time>},
    {{"verify", "0|1", "0", "check the graph after every pass, the schedule and every LLVM module"},
     set_bool<&Flags::verify>},
    {{"trace_twice", "0|1", "0", "trace every function twice and compare, to find callables that change between calls"},
     set_bool<&Flags::trace_twice>},
    {{"check_captures", "0|1", "0",
      "trace again at every call and compare, to find captured tensors and values that were replaced since the trace"},
     set_bool<&Flags::check_captures>},
    {{"audit", "0|1", "0",
      "run the callable plainly, too, at every call of a function that tests tensors, and compare: finds control flow that"
      " was captured wrong"},
     set_bool<&Flags::audit>},
    {{"eager", "0|1", "0", "run functions as plain C++, op by op, as run_functions_eagerly(true) does"},
     set_bool<&Flags::eager>},
    {{"fuse", "0|1", "1", "0 makes every op of every function a kernel of its own"}, set_bool<&Flags::fuse>},
    {{"native_regions", "0|1", "1", "0 gives the regions of a loop or branch kernels of their own, where one kernel would do"},
     set_bool<&Flags::native_regions>},
    {{"masked_regions", "0|1", "1", "0 runs loops that treat each element by itself as others, not in lanes that are on or off"},
     set_bool<&Flags::masked_regions>},
    {{"group", "0|1", "1", "0 runs equal small kernels one after the other instead of as one parallel loop"},
     set_bool<&Flags::group>},
    {{"stripes", "0|1", "1", "0 runs kernels one after the other on all rows, where they would run block by block"},
     set_bool<&Flags::stripes>},
    {{"packs", "0|1", "1", "0 keeps no packed copies of weights from call to call"}, set_bool<&Flags::packs>},
    {{"simplify", "0|1", "1", "0 runs only the passes that lowering needs"}, set_bool<&Flags::simplify>},
    {{"fast_math", "0|1", "0", "1 lets the compiler reassociate in every function: bits may differ"},
     set_bool<&Flags::fast_math>},
    {{"target", "NAME", "host",
      "the processor that code is made for: `host`, or the level of x86-64 with `sse4`, `avx2` or `avx512`"},
     set_target},
    {{"threads", "N", "0", "how many threads one call may use, at most 1024; 0 for all that the process may run on"},
     set_threads},
    {{"grain", "N", "0", "for tests: every kernel is split into pieces of N iterations where it may use several threads;"
      " 0 leaves that to the size of the work"},
     set_grain},
};

[[noreturn]] void fail_flag(std::string_view source, const std::string& message) {
  std::string known;
  for (const Flag& flag : kFlags) known += cat(known.empty() ? "" : ", ", flag.info.name, "=", flag.info.values);
  throw Error(cat(source, ": ", message, "; flags are ", known));
}

std::string_view without_spaces(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") + 1 - first);
}

/// Changes flags as a text says; of a flag named twice the last value counts.
void parse_flags(std::string_view text, std::string_view source, Flags& flags) {
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = without_spaces(text.substr(0, comma));
    text.remove_prefix(std::min(text.size(), comma + 1));
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    const std::string_view flag_name = item.substr(0, equals);
    const std::string_view value = equals == item.npos ? "" : item.substr(equals + 1);
    const Flag* found = nullptr;
    for (const Flag& flag : kFlags) {
      if (flag.info.name == flag_name) found = &flag;
    }
    if (found == nullptr) fail_flag(source, cat("there is no flag '", flag_name, "'"));
    const bool needs_value = found->info.values != "0|1";
    if ((needs_value || equals != item.npos) && value.empty()) {
      fail_flag(source, cat("flag '", flag_name, "' needs a value, ", found->info.values));
    }
    if (!found->set(flags, value)) {
      fail_flag(source, cat("flag '", flag_name, "' does not take '", value, "', only ", found->info.values, ": ", found->info.meaning));
    }
  }
}

const Flags& environment_flags() {
  static const Flags* const flags = [] {
    auto parsed = std::make_unique<Flags>();
    if (const char* text = std::getenv("ETCH_FLAGS")) parse_flags(text, "ETCH_FLAGS", *parsed);
    return parsed.release();
  }();
  return *flags;
}

[[gnu::tls_model("initial-exec")]] constinit thread_local const Flags* overriding = nullptr;
std::atomic<bool> run_eagerly{false};

void print_warning(const std::string& message) { std::fprintf(stderr, "etch: warning: %s\n", message.c_str()); }

std::atomic<WarningHandler> warning_handler{print_warning};

}  // namespace

const Flags& current_flags() { return overriding ? *overriding : environment_flags(); }

RunOptions run_options(const Flags& flags, int threads) {
  if (threads <= 0) threads = flags.threads;
  return {.threads = threads > 0 ? threads : default_threads(), .grain = flags.grain};
}

bool runs_eagerly_everywhere() { return run_eagerly.load(std::memory_order_relaxed); }

void warn(const std::string& message) { warning_handler.load()(message); }

}  // namespace detail

std::span<const FlagInfo> flag_table() {
  static const std::vector<FlagInfo> table = [] {
    std::vector<FlagInfo> infos;
    for (const detail::Flag& flag : detail::kFlags) infos.push_back(flag.info);
    return infos;
  }();
  return table;
}

ScopedFlags::ScopedFlags(std::string_view text) : previous_(detail::overriding) {
  auto flags = std::make_unique<detail::Flags>(detail::current_flags());
  detail::parse_flags(text, "ScopedFlags", *flags);
  detail::overriding = flags.release();
}

ScopedFlags::~ScopedFlags() {
  delete detail::overriding;
  detail::overriding = static_cast<const detail::Flags*>(previous_);
}

void run_functions_eagerly(bool eagerly) { detail::run_eagerly.store(eagerly, std::memory_order_relaxed); }

bool functions_run_eagerly() {
  return detail::runs_eagerly_everywhere() || detail::current_flags().eager;
}

void trim_kernels() { trim_kernel_cache(); }

WarningHandler set_warning_handler(WarningHandler handler) {
  return detail::warning_handler.exchange(handler ? handler : detail::print_warning);
}

}  // namespace etch
