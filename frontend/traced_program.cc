// The callable of a function as a program that is captured.
#include "frontend/traced_program.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>

#include "compiler/ir/cat.h"
#include "frontend/capture/structure.h"
#include "frontend/lower_regions.h"
#include "frontend/region_program.h"
#include "runtime/clock.h"

namespace etch::detail {
namespace {

/// `std::out_of_range ("vector::at")`.
std::string text_of_exception(const std::exception& error) {
  int status = 0;
  char* const name = abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status);
  const std::string text = status == 0 && name ? name : typeid(error).name();
  std::free(name);
  return cat(text, " (\"", error.what(), "\")");
}

capture::Failure failure_of_error(const Error& error) {
  std::string text = error.what();
  const std::string_view what_is_wrong = kHoldsNothing;
  const size_t at = text.find(what_is_wrong);
  const std::string_view kShort = "holds nothing";
  const size_t any = text.find(kShort);
  if (any == text.npos) return {text, std::current_exception(), false};
  return {text.substr(0, (at != text.npos ? at : any) + kShort.size()), std::current_exception(), true};
}

}  // namespace

std::vector<capture::Final> finals_of(Trace& trace, Vocabulary& vocabulary) {
  std::vector<capture::Final> finals;
  for (const TracedVariable& variable : trace.variables()) {
    if (!variable.assigned) continue;
    finals.push_back({vocabulary.slot(*variable.cell, variable.where), trace.ref(*variable.assigned)});
  }
  std::ranges::sort(finals, {}, &capture::Final::slot);
  return finals;
}

capture::Failure failure_of_exception() {
  try {
    throw;
  } catch (const Error& error) {
    return failure_of_error(error);
  } catch (const std::exception& error) {
    return {text_of_exception(error), std::current_exception(), false};
  } catch (...) {
    return {"an exception", std::current_exception(), false};
  }
}

TracedProgram::TracedProgram(const Callable& callable, const Call& call)
    : callable_(callable), call_(&call), members_(callable.object), pristine_(nullptr, callable.type.destroy) {
  if (callable.type.copy) pristine_.reset(callable.type.copy(callable.self));
}

TracedProgram::~TracedProgram() = default;

std::pair<capture::Listener*, Vocabulary*> TracedProgram::start() {
  capturer_ = std::make_unique<capture::Capturer>(*this, capture::Limits());
  begun_ = &capturer_->begin();
  return {begun_, &vocabulary_};
}

std::unique_ptr<void, void (*)(void*)> TracedProgram::fresh() const {
  std::unique_ptr<void, void (*)(void*)> fresh(nullptr, callable_.type.destroy);
  if (pristine_) fresh.reset(callable_.type.copy(pristine_.get()));
  return fresh;
}

std::optional<capture::Failure> TracedProgram::run(capture::Listener& listener) {
  const auto copy = fresh();
  void* const self = copy ? copy.get() : callable_.self;
  Trace trace(callable_.name, vocabulary_, listener);
  RunSession session(trace, call_->reader);
  try {
    run_callable(callable_, self, *call_, members_, trace, session);
    note_made_variables(trace);
    end_run(trace, session, listener);
    return std::nullopt;
  } catch (const capture::Abandoned&) {
    throw;
  } catch (...) {
    return failure_of_exception();
  }
}

void TracedProgram::end_run(Trace& trace, RunSession& session, capture::Listener& listener) {
  std::vector<capture::Ref> results;
  Vocabulary::End end{session.result_key, {}};
  for (Value value : session.values()) {
    results.push_back(trace.ref(value));
    end.types.push_back(trace.type_index(results.back()));
  }
  const std::vector<capture::Final> finals = finals_of(trace, vocabulary_);
  has_tapes_ |= trace.had_tape();
  for (FlagGuard& guard : trace.guards()) {
    const auto same = [&](const FlagGuard& known) { return known.cell.get() == guard.cell.get(); };
    if (std::ranges::none_of(guards_, same)) guards_.push_back(std::move(guard));
  }
  if (!structure_) {
    structure_ = session.structure;
    result_key_ = session.result_key;
  }
  listener.end(vocabulary_.end(std::move(end)), results, finals);
}

/// A run may make variables where there are none yet. Runs that do so at one place again and again make new ones each time.
void TracedProgram::note_made_variables(const Trace& trace) {
  constexpr int kMost = 3;
  std::vector<Location> places;
  for (Location where : trace.made_variables()) {
    const auto same = [&](Location other) { return other.line() == where.line() && other.file_name() == where.file_name(); };
    if (std::ranges::any_of(places, same)) continue;
    places.push_back(where);
    const auto known = std::ranges::find_if(made_variables_, [&](const auto& made) { return same(made.first); });
    if (known == made_variables_.end()) {
      made_variables_.emplace_back(where, 1);
    } else if (++known->second > kMost) {
      fail_makes_variables(callable_, where);
    }
  }
}

TraceResult TracedProgram::finish(Trace& trace, RunSession* session) {
  const auto start = Clock::now();
  bool failed = session == nullptr;
  if (session) {
    try {
      note_made_variables(trace);
      end_run(trace, *session, *begun_);
    } catch (const capture::Abandoned&) {
      failed = true;
    }
  }
  capturer_->end_begun(failed);
  capture::Captured captured = capturer_->run();
  if (!made_variables_.empty()) read_again(callable_, *call_);
  TraceResult result = lower_captured(captured, vocabulary_, *call_, !callable_.trust_loops);
  result.guards = std::move(guards_);
  result.structure = std::move(structure_);
  result.result_key = std::move(result_key_);
  result.capture->milliseconds =
      milliseconds_since(start);
  if (captured.evidence.turns > 0) {
    automaton_ = std::move(captured.automaton);
  } else {
    capturer_.reset();
  }
  call_ = nullptr;
  return result;
}

void TracedProgram::confirm_turns(const Call& call, int64_t turns) {
  begin_region_runs();
  call_ = &call;
  members_ = Members(callable_.object);
  try {
    capturer_->confirm_turns(*automaton_, turns);
  } catch (...) {
    call_ = nullptr;
    throw;
  }
  call_ = nullptr;
}

void TracedProgram::run_plainly(const Call& call, TraceSession& session) {
  const auto copy = fresh();
  const Members members(callable_.object);
  try {
    callable_.type.trace(copy ? copy.get() : callable_.self, call.args, session);
  } catch (...) {
    members.put_back(callable_.object);
    throw;
  }
  members.put_back(callable_.object);
}

}  // namespace etch::detail
