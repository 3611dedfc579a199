// Loops that are run further than when they were captured.
#include "frontend/capture/confirm_turns.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/error.h"
#include "frontend/capture/check.h"
#include "frontend/capture/ways.h"

namespace etch::capture {
namespace {

bool is_in_loop(const Ways& ways, int32_t state, int32_t header) {
  return state != kEnd && ways.cycles()[state] == ways.cycles()[header];
}

/// True if what came is what comes when the loop is left.
bool leaves_loop(const Automaton& automaton, const Ways& ways, int32_t header, const Deviation& deviation) {
  for (int32_t state = 0; state < static_cast<int32_t>(automaton.states.size()); ++state) {
    if (!is_in_loop(ways, state, header)) continue;
    for (const Edge& edge : automaton.states[state].edges) {
      if (is_in_loop(ways, edge.target, header)) continue;
      const bool is_end = edge.steps.empty() && edge.target == kEnd;
      if (is_end ? deviation.has_ended : !edge.steps.empty() && edge.steps[0].kind == deviation.came) return true;
    }
  }
  return false;
}

/// The turns of a loop that a run took before it did something else.
struct Turns {
  int32_t header = 0;
  int64_t count = 0;
  bool are_alike = true;
};

/// Of the loop in which the run was most often.
Turns turns_of(const Automaton& automaton, const Ways& ways, const Decisions& way, const Deviation& deviation) {
  std::vector<std::vector<size_t>> visits(automaton.states.size());   // before which decision
  int32_t at = automaton.entry.target;
  const auto asked = std::min(static_cast<size_t>(deviation.questions), way.size());
  for (size_t i = 0; i < asked && at != kEnd; ++i) {
    visits[at].push_back(i);
    at = ways.next(at, way[i] != 0);
  }
  const auto most = std::ranges::max_element(visits, {}, &std::vector<size_t>::size);
  Turns turns{static_cast<int32_t>(most - visits.begin()), static_cast<int64_t>(most->size())};
  const auto turn = [&](size_t i) { return std::span(way).subspan((*most)[i], (*most)[i + 1] - (*most)[i]); };
  for (size_t i = 1; i + 1 < most->size(); ++i) turns.are_alike = turns.are_alike && std::ranges::equal(turn(0), turn(i));
  return turns;
}

[[noreturn]] void fail_on_turn(Recorder& recorder, const Automaton& automaton, const Ways& ways, const Turns& turns,
                               const Deviation& deviation) {
  Program& program = recorder.program();
  const std::string begin = cat("function ", program.name(), ": the loop at ", program.place_of(automaton.states[turns.header].place));
  if (leaves_loop(automaton, ways, turns.header, deviation)) {
    throw Error(cat(begin, " ends after ", turns.count, " turns by a C++ bound; write for (Tensor i : etch::range(",
                    turns.count, "))"));
  }
  const auto text = [&](Kind kind, bool is_end) {
    if (kind >= 0) return cat(program.text_of(kind), " at ", program.place_of(kind));
    return std::string(is_end ? "the end" : "a question");
  };
  throw Error(cat(begin, " does something else on turn ", turns.count, " than on the turns before: ",
                  text(deviation.came, deviation.has_ended), " in the place of ", text(deviation.expected, false),
                  "; a C++ value that counts turns cannot be captured: make it a Tensor, as in for (Tensor i :"
                  " etch::range(n))"));
}

class Confirming {
 public:
  Confirming(Recorder& recorder, const Automaton& automaton, int64_t turns)
      : recorder_(recorder), automaton_(automaton), ways_(automaton), turns_(turns) {}

  void run() {
    for (int32_t header : ways_.headers()) {
      check(regular(header));
      if (has_ways(header)) check(by_chance(header));
    }
  }

 private:
  /// True if a turn can go more than one way.
  bool has_ways(int32_t header) const {
    for (int32_t state = 0; state < static_cast<int32_t>(automaton_.states.size()); ++state) {
      if (is_in_loop(ways_, state, header) && is_in_loop(ways_, ways_.next(state, false), header) &&
          is_in_loop(ways_, ways_.next(state, true), header)) {
        return true;
      }
    }
    return false;
  }

  Decisions regular(int32_t header) const {
    const Decisions cycle = ways_.cycle(header);
    Decisions way = automaton_.states[header].path;
    way.reserve(way.size() + cycle.size() * static_cast<size_t>(turns_) + automaton_.states.size());
    for (int64_t turn = 0; turn < turns_; ++turn) way.insert(way.end(), cycle.begin(), cycle.end());
    ways_.finish(header, way);
    return way;
  }

  /// As long as the regular way at least, and then on to the header and out.
  Decisions by_chance(int32_t header) {
    Decisions way = automaton_.states[header].path;
    const size_t length = way.size() + ways_.cycle(header).size() * static_cast<size_t>(turns_);
    int32_t at = header;
    while (way.size() < length) {
      bool decision = coin_();
      if (!is_in_loop(ways_, ways_.next(at, decision), header)) decision = !decision;
      way.push_back(decision);
      at = ways_.next(at, decision);
    }
    ways_.finish(at, way);
    return way;
  }

  void check(const Decisions& way) {
    Deviation deviation;
    if (check_run(recorder_, automaton_, way, &deviation)) return;
    fail_on_turn(recorder_, automaton_, ways_, turns_of(automaton_, ways_, way, deviation), deviation);
  }

  Recorder& recorder_;
  const Automaton& automaton_;
  const Ways ways_;
  const int64_t turns_;
  Coin coin_;
};

}  // namespace

void check_turns(Recorder& recorder, const Automaton& automaton, const Decisions& way, int64_t most) {
  Deviation deviation;
  if (check_run(recorder, automaton, way, &deviation)) return;
  const Ways ways(automaton);
  const Turns turns = turns_of(automaton, ways, way, deviation);
  if (turns.are_alike && turns.count > most) fail_on_turn(recorder, automaton, ways, turns, deviation);
}

void confirm_turns(Recorder& recorder, const Automaton& automaton, int64_t turns) {
  Confirming(recorder, automaton, turns).run();
}

}  // namespace etch::capture
