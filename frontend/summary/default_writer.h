// What summaries of a thread are written to and which step they belong to, unless they say it themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "etch/variable.h"
#include "frontend/summary/writer.h"
#include "frontend/variable_cell.h"

namespace etch::detail {

/// A writer as the default of a thread. It ends where its owner says so, which may be another thread.
struct [[gnu::visibility("hidden")]] WriterScope {
  std::shared_ptr<SummaryWriter> writer;  // or none: nothing is recorded
  std::optional<int64_t> step;            // the default step, or that of what is around
  uint64_t trace = 0;                     // in which it began, or 0
  std::atomic<bool> is_over{false};
};

/// Makes a writer the default of this thread until its scope is over.
std::shared_ptr<WriterScope> begin_writer_scope(std::shared_ptr<SummaryWriter> writer, std::optional<int64_t> step);
/// The innermost scope of this thread, or nullptr.
WriterScope* writer_scope();
/// The default writer of this thread, or nullptr.
std::shared_ptr<SummaryWriter> default_writer();

/// Of summaries without a step: none, a number, or a variable.
using DefaultStep = std::variant<std::monostate, int64_t, Variable>;
/// What counts on this thread: the step of the innermost scope that has one, or what was set.
DefaultStep default_step();
void set_default_step(DefaultStep step);
/// That of a scope of the trace that is going on: it is part of the trace.
std::optional<int64_t> traced_step();

/// Where a summary goes.
struct SummaryTarget {
  bool is_on = false;                     // it is recorded
  std::shared_ptr<SummaryWriter> writer;  // or none: the default of the thread, when it happens
};
/// @param given by the user, or none. A trace that depends on whether there is a default writer takes note of that.
SummaryTarget summary_target(const std::shared_ptr<SummaryWriter>& given);

/// Stands for `this thread has a default writer` among the flags that traces ask for (FlagGuard): a variable that nobody sees.
VariableCell& writer_flag();
/// How such a flag stands now: the writer's, or whether a variable is frozen.
bool flag_now(const VariableCell& cell);

}  // namespace etch::detail
