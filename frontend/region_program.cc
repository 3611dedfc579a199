// A callable of an explicit form as a program that is captured.
#include "frontend/region_program.h"

#include <algorithm>
#include <set>

#include "compiler/ir/cat.h"
#include "frontend/lower_regions.h"
#include "frontend/traced_program.h"

namespace etch::detail {
namespace {

/// Captures nest: a callable is captured in each turn of each run of what stands around it.
constexpr int64_t kMostOps = int64_t{1} << 22;
thread_local int64_t num_ops = 0;

/// What was confirmed of callables since the function's capture began.
thread_local std::set<std::string> confirmed;

}  // namespace

void begin_region_runs() {
  num_ops = 0;
  confirmed.clear();
}

RegionProgram::RegionProgram(std::string_view op, Trace* outer, std::span<const Type> arguments, const Turn& callable,
                             Location where)
    : op_(op), outer_(outer), types_(arguments.begin(), arguments.end()), callable_(callable), where_(where) {
  if (outer == nullptr && trace_nesting() == 0) begin_region_runs();
}

RegionProgram::~RegionProgram() = default;

std::string RegionProgram::name() const {
  return outer_ ? cat(outer_->whole().name(), ", in a callable of ", op_) : cat("in a callable of ", op_);
}

std::pair<capture::Listener*, Vocabulary*> RegionProgram::start() {
  capturer_ = std::make_unique<capture::Capturer>(*this, capture::Limits());
  begun_ = &capturer_->begin();
  return {begun_, &vocabulary_};
}

bool RegionProgram::is_confirmed(const capture::Automaton& automaton) { return confirmed.contains(all_text(automaton)); }

std::string RegionProgram::all_text(const capture::Automaton& automaton) const {
  std::string text = cat(at(where_), op_);
  const auto add_edge = [&](const capture::Edge& edge) {
    text += cat(" to ", edge.target);
    for (const capture::Edge::Step& step : edge.steps) {
      text += cat("; ", vocabulary_.place_text(step.kind), " ", vocabulary_.text(step.kind));
      for (const capture::Source& source : edge.operands_of(step)) text += cat(" ", static_cast<int>(source.from), ".", source.index);
    }
    for (const capture::Source& source : edge.arguments) text += cat(" ", static_cast<int>(source.from), ".", source.index);
  };
  add_edge(automaton.entry);
  for (const capture::AutomatonState& state : automaton.states) {
    text += cat("\n", state.condition);
    for (const capture::Edge& edge : state.edges) add_edge(edge);
  }
  return text;
}

std::vector<Value> RegionProgram::values_of(Trace& trace, const Flat& flat) const {
  std::vector<Value> values;
  for (const Tensor& tensor : flat.tensors) values.push_back(trace.value_of(impl_of(tensor, where_), where_));
  return values;
}

RecordedRegion RegionProgram::record() {
  const bool can_ask = outer_ == nullptr || outer_->can_ask();
  RecordedRegion recorded{std::make_unique<RegionTrace>(op_, outer_, can_ask ? this : nullptr), {}, {}};
  RegionTrace& trace = *recorded.trace;
  const TraceScope scope(&trace);
  try {
    recorded.flat = call(trace.arguments(types_));
    recorded.values = values_of(trace, recorded.flat);
  } catch (...) {
    if (!capturer_) throw;
    return finish(trace, nullptr);  // this path throws; the others are looked at, too
  }
  return capturer_ ? finish(trace, &recorded.flat) : std::move(recorded);
}

RecordedRegion RegionProgram::finish(Trace& first, const Flat* flat) {
  bool failed = flat == nullptr;
  if (flat) {
    try {
      end_run(first, *flat, *begun_);
    } catch (const capture::Abandoned&) {
      failed = true;
    }
  }
  capturer_->end_begun(failed);
  if (num_ops > kMostOps) {
    fail(where_, cat("function ", name(), ": a callable that tests tensors by `if` or loops is captured in each run of what stands"
                     " around it, and ", kMostOps, " ops did not settle it; write etch::cond and etch::while_loop there"));
  }
  const capture::Captured captured = capturer_->run();
  num_ops += captured.counts.events;
  confirmed.insert(all_text(captured.automaton));
  RecordedRegion recorded{std::make_unique<RegionTrace>(op_, outer_, nullptr), {}, {}};
  RegionTrace& trace = *recorded.trace;
  trace.arguments(types_);
  recorded.values = lower_captured_region(captured, vocabulary_, trace);
  for (Value value : recorded.values) recorded.flat.tensors.push_back(trace.tensor(value));
  recorded.flat.structure = structure_;
  return recorded;
}

std::optional<capture::Failure> RegionProgram::run(capture::Listener& listener) {
  Trace trace(op_, Trace::RegionOf{outer_}, vocabulary_, listener);
  const TraceScope scope(&trace);
  try {
    std::vector<Tensor> arguments;
    for (const Type& type : types_) arguments.push_back(trace.argument(type));
    end_run(trace, call(arguments), listener);
    return std::nullopt;
  } catch (const capture::Abandoned&) {
    throw;
  } catch (...) {
    return failure_of_exception();
  }
}

void RegionProgram::end_run(Trace& trace, const Flat& flat, capture::Listener& listener) {
  structure_ = flat.structure;
  std::vector<capture::Ref> results;
  Vocabulary::End end{flat.structure, {}};
  for (Value value : values_of(trace, flat)) {
    results.push_back(trace.ref(value));
    end.types.push_back(trace.type_index(results.back()));
  }
  listener.end(vocabulary_.end(std::move(end)), results, finals_of(trace, vocabulary_));
}

}  // namespace etch::detail
