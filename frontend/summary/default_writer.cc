// Scopes of writers, by thread.
#include "frontend/summary/default_writer.h"

#include <utility>
#include <vector>

#include "frontend/trace.h"

namespace etch::detail {
namespace {

struct Defaults {
  std::vector<std::shared_ptr<WriterScope>> scopes;
  DefaultStep step;
};

thread_local Defaults defaults;

/// The innermost scope with a step, or nullptr.
const WriterScope* step_scope() {
  for (auto scope = defaults.scopes.rbegin(); scope != defaults.scopes.rend(); ++scope) {
    if ((*scope)->step && !(*scope)->is_over.load(std::memory_order_acquire)) return scope->get();
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<WriterScope> begin_writer_scope(std::shared_ptr<SummaryWriter> writer, std::optional<int64_t> step) {
  auto scope = std::make_shared<WriterScope>();
  scope->writer = std::move(writer);
  scope->step = step;
  if (Trace* const trace = Trace::current()) scope->trace = trace->whole().id();
  defaults.scopes.push_back(scope);
  return scope;
}

WriterScope* writer_scope() {
  auto& scopes = defaults.scopes;
  while (!scopes.empty() && scopes.back()->is_over.load(std::memory_order_acquire)) scopes.pop_back();
  return scopes.empty() ? nullptr : scopes.back().get();
}

std::shared_ptr<SummaryWriter> default_writer() {
  const WriterScope* const scope = writer_scope();
  return scope ? scope->writer : nullptr;
}

DefaultStep default_step() {
  const WriterScope* const scope = step_scope();
  return scope ? DefaultStep(*scope->step) : defaults.step;
}

void set_default_step(DefaultStep step) { defaults.step = std::move(step); }

std::optional<int64_t> traced_step() {
  const WriterScope* const scope = step_scope();
  Trace* const trace = Trace::current();
  return scope && trace && scope->trace == trace->whole().id() ? scope->step : std::nullopt;
}

SummaryTarget summary_target(const std::shared_ptr<SummaryWriter>& given) {
  if (given) return {true, given};
  const WriterScope* const scope = writer_scope();
  Trace* const trace = Trace::current();
  if (trace == nullptr) return {scope && scope->writer, nullptr};
  if (scope && scope->trace == trace->whole().id()) return {scope->writer != nullptr, scope->writer};
  return {ask_frozen(writer_flag()), nullptr};
}

VariableCell& writer_flag() {
  static VariableCell* const cell = new VariableCell({.name = "the default writer", .trainable = false}, {});
  return *cell;
}

bool flag_now(const VariableCell& cell) {
  return &cell == &writer_flag() ? default_writer() != nullptr : cell.is_frozen();
}

}  // namespace etch::detail
