// One run of a function's callable that records a graph, and the comparison of two such runs.
#include "frontend/trace_function.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "frontend/confirmation.h"
#include "frontend/effects.h"
#include "frontend/region_program.h"
#include "frontend/run_callable.h"
#include "frontend/summary/default_writer.h"
#include "frontend/trace.h"
#include "frontend/traced_program.h"
#include "runtime/flat_map.h"

namespace etch::detail {
namespace {

/// What an input of the graph stands for.
Sharing input_at(int32_t input, const TraceResult& trace) {
  for (size_t i = 0; i < trace.captures.size(); ++i) {
    if (trace.captures[i].input() == input) return {Sharing::With::capture, static_cast<int32_t>(i)};
  }
  for (size_t i = 0; i < trace.variables.size(); ++i) {
    if (trace.variables[i].input == input) return {Sharing::With::variable, static_cast<int32_t>(i)};
  }
  return {Sharing::With::argument, input};
}

/// Outputs that are an input or an earlier output under the same or another shape, and nothing else. Two ops that compute
/// the same are two events, so their results are two tensors.
std::vector<Sharing> sharing_of(const TraceResult& trace) {
  const Events& events = trace.events;
  std::vector<Sharing> sharing;
  FlatMap<Value, int32_t> owners;  // the first output of each value
  for (Value output : trace.outputs) {
    Value value = events.source(output);
    while (place(events.node(value).op) == Place::view) value = events.source(events.node(value).operands[0]);
    const auto next = static_cast<int32_t>(sharing.size());
    if (place(events.node(value).op) == Place::input) {
      const auto input = std::ranges::find(events.inputs(), value) - events.inputs().begin();
      sharing.push_back(input_at(static_cast<int32_t>(input), trace));
    } else if (auto [owner, is_new] = owners.try_emplace(value, next); !is_new) {
      sharing.push_back({Sharing::With::result, owner->second});
    } else {
      sharing.push_back({});
    }
  }
  return sharing;
}

/// The variables of a trace by ascending numbers, but for the token. What it assigns to them goes to `outputs`, unless it is the
/// value that they had.
std::vector<UsedVariable> used_variables(Trace& trace, std::vector<Value>& outputs) {
  const Events& events = trace.events();
  std::vector<TracedVariable>& traced = trace.variables();
  std::ranges::sort(traced, {}, [](const TracedVariable& variable) { return variable.cell->number(); });
  std::vector<UsedVariable> used;
  for (TracedVariable& variable : traced) {
    if (variable.cell.get() == &token_cell()) continue;
    UsedVariable use{std::move(variable.cell), variable.where};
    use.leaf = trace.find_leaf(*use.cell);
    if (variable.initial) {
      const auto input = std::ranges::find(events.inputs(), *variable.initial) - events.inputs().begin();
      use.input = static_cast<int32_t>(input);
    }
    if (variable.assigned && (!variable.initial || events.source(*variable.assigned) != *variable.initial)) {
      use.output = static_cast<int32_t>(outputs.size());
      outputs.push_back(*variable.assigned);
    }
    used.push_back(std::move(use));
  }
  return used;
}

bool same_capture(const Capture& a, const Capture& b) {
  const TensorImpl& x = *a.get();
  const TensorImpl& y = *b.get();
  if (&x == &y) return true;
  return x.type() == y.type() && (x.bytes() == 0 || std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0);
}

/// The first captures that differ, or the number that both have.
size_t first_difference(const std::vector<Capture>& a, const std::vector<Capture>& b) {
  size_t i = 0;
  while (i < std::min(a.size(), b.size()) && same_capture(a[i], b[i])) ++i;
  return i;
}

std::string node_text(const Graph& graph, int i) {
  if (i >= static_cast<int>(graph.nodes().size())) return "nothing";
  const Node& node = graph.nodes()[i];
  std::string text = "`" + print(graph, node) + "`";
  if (node.origin.file >= 0) text += cat(" at ", graph.name_of(node.origin.file), ":", node.origin.line);
  return text;
}

/// What two unequal graphs recorded first that differs, or nothing if they return other values of the same nodes.
std::string graph_difference(const Graph& a, const Graph& b, std::string_view first, std::string_view second) {
  int i = 0;
  const auto a_nodes = static_cast<int>(a.nodes().size());
  const auto b_nodes = static_cast<int>(b.nodes().size());
  while (i < std::min(a_nodes, b_nodes) && same_node(a, b, i)) ++i;
  if (i == a_nodes && i == b_nodes) return "";
  return cat(first, " it recorded ", node_text(a, i), ", ", second, " ", node_text(b, i));
}

/// The first variables that differ, or the number that both have.
size_t first_other_variable(const std::vector<UsedVariable>& a, const std::vector<UsedVariable>& b) {
  size_t i = 0;
  while (i < std::min(a.size(), b.size()) && a[i].cell.get() == b[i].cell.get()) ++i;
  return i;
}

/// `the variable w f32[2] that it used at demo.cc:12`.
std::string use_text(const UsedVariable& use) {
  std::string place = at(use.where);
  if (!place.empty()) place = cat(" at ", place.substr(0, place.size() - 2));
  return cat("the ", description(*use.cell), " that it used", place);
}

/// What stands for the effects of a trace when it ends, or none.
Value last_token(Trace& trace) {
  for (const TracedVariable& variable : trace.variables()) {
    if (variable.cell.get() == &token_cell()) return variable.assigned.value_or(Value());
  }
  return {};
}

TraceResult result_of(Trace& trace, RunSession& session) {
  TraceResult result;
  result.num_events = trace.num_events();
  trace.record_backwards();
  result.outputs = std::move(session.values());
  result.num_results = result.outputs.size();
  const Value token = last_token(trace);
  result.variables = used_variables(trace, result.outputs);
  if (token.id >= 0) add_token(result, token);
  result.events = std::move(trace.events());
  result.groups = std::move(trace.groups());
  result.custom_events = std::move(trace.custom_events());
  for (auto& [event, custom] : result.custom_events) custom.run = nullptr;
  result.captures = std::move(trace.captures());
  result.guards = std::move(trace.guards());
  finish_trace(result);
  result.result_key = std::move(session.result_key);
  result.structure = std::move(session.structure);
  return result;
}

bool has_guarded_loops(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const Node& node) {
    if (is_guarded(node.op)) return true;
    return std::ranges::any_of(regions_of(node.op), [](const NamedRegion& inner) { return has_guarded_loops(inner.region.graph()); });
  });
}

/// One run of the callable, and more of them if it tests tensors. Nothing if it made variables.
std::optional<TraceResult> trace_once(const Callable& callable, const Call& call, bool may_make_variables) {
  const auto program = std::make_shared<TracedProgram>(callable, call);
  Trace trace(callable.name, callable.control_flow ? program.get() : nullptr);
  RunSession session(trace, call.reader);
  bool has_thrown = false;
  try {
    run_callable(callable, callable.self, call, program->members(), trace, session);
  } catch (...) {
    if (!program->has_started()) throw;
    has_thrown = true;  // this path throws; the others are looked at, too
  }
  if (program->has_started()) {
    TraceResult result = program->finish(trace, has_thrown ? nullptr : &session);
    result.confirmation = std::make_shared<Confirmation>(program, *result.capture, has_guarded_loops(result.graph));
    return result;
  }
  if (!trace.made_variables().empty()) {
    if (may_make_variables) return std::nullopt;
    fail_makes_variables(callable, trace.made_variables().front());
  }
  try {
    return result_of(trace, session);
  } catch (const std::bad_alloc&) {
    throw Error(cat(at(call.where), "function ", callable.name, ": out of memory for the graph of its trace"));
  }
}

}  // namespace

void add_token(TraceResult& trace, Value token) {
  trace.token = static_cast<int32_t>(trace.outputs.size());
  trace.outputs.push_back(token);
}

void finish_trace(TraceResult& trace) {
  trace.graph = trace.events.close(trace.outputs, trace.num_events);
  trace.sharing = sharing_of(trace);
}

const FlagGuard* broken_guard(const TraceResult& trace) {
  for (const FlagGuard& guard : trace.guards) {
    if (flag_now(*guard.cell) != guard.frozen) [[unlikely]] return &guard;
  }
  return nullptr;
}

std::string change_text(const FlagGuard& broken) {
  if (broken.cell.get() == &writer_flag()) {
    return broken.frozen ? "there was a default writer of summaries and there is none now"
                         : "there was no default writer of summaries and there is one now";
  }
  return cat(description(*broken.cell), broken.frozen ? " was frozen and is trainable now" : " was trainable and is frozen now");
}

TraceResult with_more_results(const TraceResult& trace, std::span<const Value> more) {
  TraceResult result;
  result.events = trace.events;
  result.num_events = trace.num_events;
  result.outputs = trace.outputs;
  result.num_results = trace.num_results + more.size();
  result.outputs.insert(result.outputs.begin() + static_cast<int64_t>(trace.num_results), more.begin(), more.end());
  for (const Capture& capture : trace.captures) result.captures.emplace_back(*capture.get(), capture.input());
  result.variables = trace.variables;
  result.guards = trace.guards;
  for (UsedVariable& use : result.variables) {
    if (use.is_assigned()) use.output += static_cast<int32_t>(more.size());
  }
  if (trace.token >= 0) result.token = trace.token + static_cast<int32_t>(more.size());
  finish_trace(result);
  result.capture = trace.capture;
  result.confirmation = trace.confirmation;
  return result;
}

TraceResult trace_callable(const Callable& callable, const Call& call) {
  constexpr int kMaxNesting = 32;
  if (trace_nesting() >= kMaxNesting) {
    throw Error(cat(at(call.where), "function ", callable.name, " is traced inside of ", kMaxNesting,
                    " other traces; a callable that asks for its own concrete function never ends"));
  }
  if (trace_nesting() == 0) begin_region_runs();
  if (std::optional<TraceResult> result = trace_once(callable, call, true)) return *std::move(result);
  read_again(callable, call);
  return *trace_once(callable, call, false);
}

void check_repeatable(const Callable& callable, const TraceResult& first, const TraceResult& second, Location where) {
  std::string what;
  if (!(first.graph == second.graph)) {
    what = graph_difference(first.graph, second.graph, "the first time", "the second time");
    if (what.empty()) what = "it returned other values of the same ops";
  } else if (first_difference(first.captures, second.captures) < first.captures.size()) {
    what = "it used eager tensors with other elements";
  } else if (first_other_variable(first.variables, second.variables) < first.variables.size()) {
    what = "it used other variables";
  } else if (first.result_key != second.result_key) {
    what = "it returned other values beside its tensors";
  } else {
    return;
  }
  throw Error(cat(at(where), "function ", callable.name, " behaved differently when it was traced a second time: ", what,
                  "; host code runs while tracing only, so random numbers, counters and the like must be arguments"));
}

void check_captures(const Callable& callable, const TraceResult& compiled, const TraceResult& now, Location where) {
  std::string what;
  const size_t i = first_difference(compiled.captures, now.captures);
  const size_t v = first_other_variable(compiled.variables, now.variables);
  if (v < std::min(compiled.variables.size(), now.variables.size())) {
    what = cat(use_text(compiled.variables[v]), " was replaced by another one since it was traced. A function follows what"
               " is assigned to a variable, not the handle that held it");
  } else if (i < std::min(compiled.captures.size(), now.captures.size())) {
    const Value input = compiled.graph.inputs()[compiled.captures[i].input()];
    const Origin& origin = compiled.graph.node(input).origin;
    what = cat("the tensor ", to_string(compiled.captures[i]->type()), " that it captured at ",
               compiled.graph.name_of(origin.file), ":", origin.line,
               " was replaced since it was traced. A function follows the elements of what it captured, not the variable"
               " that held it");
  } else if (!(compiled.graph == now.graph)) {
    what = graph_difference(compiled.graph, now.graph, "when it was traced", "now");
    if (what.empty()) what = "it returns other values of the same ops now";
    what += ". Captured C++ values are constants of the trace";
  } else if (compiled.result_key != now.result_key) {
    what = "it returns other values beside its tensors now. They are constants of the trace";
  } else {
    return;
  }
  throw Error(cat(at(where), "function ", callable.name, ": ", what,
                  ": pass what changes as an argument, or give etch::function a member function and its object"));
}

}  // namespace etch::detail
