// How far runs confirm an automaton: all paths where they are few, else a choice of them that reaches every use of every
// value behind every state, and loops that are left after each small number of turns and around round ones.
#include "frontend/capture/verify.h"

#include <algorithm>
#include <bit>
#include <deque>

#include "frontend/capture/check.h"
#include "frontend/capture/ways.h"

namespace etch::capture {
namespace {

class Verifier {
 public:
  Verifier(Recorder& recorder, const Automaton& automaton, Evidence& evidence)
      : recorder_(recorder), automaton_(automaton), ways_(automaton), evidence_(evidence) {}

  std::vector<Decisions> run() {
    const bool is_confirmed = recorder_.program().is_confirmed(automaton_);
    if (!is_confirmed && can_prove()) {
      run_all_paths();
      evidence_.is_proved = failed_.empty();
      if (evidence_.is_proved) recorder_.count(Rule::prove);
      return std::move(failed_);
    }
    using Stage = bool (Verifier::*)();
    for (const Stage stage : {&Verifier::cover, &Verifier::run_short_paths, &Verifier::walk, &Verifier::reach_uses,
                              &Verifier::leave_loops, &Verifier::repeat_edges, &Verifier::stay}) {
      (this->*stage)();
      if (!failed_.empty() || is_confirmed) break;
    }
    return std::move(failed_);
  }

 private:
  /// False once enough has failed: each failure shows something that is not known yet, and some show the same.
  bool check(const Decisions& way) {
    constexpr size_t kEnough = 4;
    if (!check_run(recorder_, automaton_, way)) failed_.push_back(way);
    return failed_.size() < kEnough;
  }

  /// The way, then the shortest one to the end.
  bool check_from(Decisions way, int32_t state) {
    ways_.finish(state, way);
    return check(way);
  }

  // ---- All paths

  bool can_prove() {
    if (std::ranges::any_of(ways_.cycles(), [](int32_t cycle) { return cycle >= 0; })) return false;
    // Paths from each state to the end, and their events; successors first.
    const auto count = static_cast<int32_t>(automaton_.states.size());
    std::vector<double> paths(count, -1), events(count, 0);
    std::vector<int32_t> stack;
    if (count > 0) stack.push_back(0);
    while (!stack.empty()) {
      const int32_t at = stack.back();
      bool is_ready = true;
      double sum = 0, work = 0;
      for (const Edge& edge : automaton_.states[at].edges) {
        if (edge.target != kEnd && paths[edge.target] < 0) {
          stack.push_back(edge.target);
          is_ready = false;
          continue;
        }
        const double behind = edge.target == kEnd ? 1 : paths[edge.target];
        sum += behind;
        work += behind * (1 + static_cast<double>(edge.steps.size())) + (edge.target == kEnd ? 0 : events[edge.target]);
      }
      if (!is_ready) continue;
      paths[at] = sum;
      events[at] = work;
      stack.pop_back();
    }
    evidence_.paths = count == 0 ? 1 : paths[0];
    const double before = static_cast<double>(automaton_.entry.steps.size()) * evidence_.paths;
    return before + (count == 0 ? 0 : events[0]) <= static_cast<double>(recorder_.limits().proof);
  }

  bool run_all_paths() {
    if (automaton_.states.empty()) return check({});
    Decisions way;
    ways_.finish(0, way);
    while (true) {  // the next way in the order of a counter whose first decision counts most, with both answers from 0
      if (!check(way)) return false;
      // Decisions that are not the last answer of their question yet.
      while (!way.empty() && is_flipped(way)) way.pop_back();
      if (way.empty()) return true;
      way.back() = !way.back();
      ways_.finish(ways_.follow(0, way), way);
    }
  }

  /// True if the last decision is not the one that leads to the end fastest: that one comes first.
  bool is_flipped(const Decisions& way) const {
    const int32_t state = ways_.follow(0, std::span(way).first(way.size() - 1));
    return (way.back() != 0) != ways_.shortest(state);
  }

  // ---- A choice of paths

  /// All paths, those with few decisions before they take the shortest way first, as many as a budget allows.
  bool run_short_paths() {
    constexpr int64_t kEvents = int64_t{1} << 15;
    struct Open {
      Decisions way;
      int32_t at;
    };
    std::deque<Open> open = {{{}, 0}};
    const int64_t before = recorder_.counts().events;
    while (!open.empty() && recorder_.counts().events - before < kEvents) {
      const Open one = std::move(open.front());
      open.pop_front();
      if (one.at == kEnd) continue;
      for (const bool decision : {false, true}) {
        Open next = {one.way, ways_.next(one.at, decision)};
        next.way.push_back(decision);
        const bool is_new = decision != ways_.shortest(one.at) || one.way.empty();
        if (is_new && !check_from(next.way, next.at)) return false;
        open.push_back(std::move(next));
      }
    }
    return true;
  }

  /// Behind each merge all edges.
  bool cover() {
    for (const AutomatonState& state : automaton_.states) {
      for (const uint8_t decision : {0, 1}) {
        const Edge& edge = state.edges[decision];
        if (!edge.is_merged) continue;
        Decisions prefix = state.path;
        prefix.push_back(decision);
        if (!cover_behind(prefix, edge.target)) return false;
      }
    }
    return true;
  }

  bool cover_behind(const Decisions& prefix, int32_t first) {
    std::vector<uint8_t> covered(automaton_.states.size(), 0);  // a bit for each decision
    constexpr int kMostRuns = 64;
    for (int run = 0; run < kMostRuns; ++run) {
      Decisions way = prefix;
      int32_t at = first;
      bool is_new = false;
      for (size_t steps = 0; at != kEnd && steps < 4 * automaton_.states.size() + 8; ++steps) {
        int32_t decision = -1;
        for (const int d : {ways_.shortest(at) ? 0 : 1, ways_.shortest(at) ? 1 : 0}) {
          if (decision < 0 && !(covered[at] & (1 << d)) && ways_.has_end(at)) decision = d;
        }
        if (decision < 0) {
          const std::optional<bool> towards = towards_uncovered(at, covered);
          if (!towards) break;
          decision = *towards;
        }
        is_new |= !(covered[at] & (1 << decision));
        covered[at] |= static_cast<uint8_t>(1 << decision);
        way.push_back(static_cast<uint8_t>(decision));
        at = ways_.next(at, decision);
      }
      if (!is_new) return true;
      if (!check_from(std::move(way), at)) return false;
    }
    return true;
  }

  /// The decision that leads to the nearest edge that is not covered, if any does.
  std::optional<bool> towards_uncovered(int32_t from, const std::vector<uint8_t>& covered) const {
    std::vector<int8_t> first(automaton_.states.size(), -1);
    std::vector<int32_t> open;
    for (const bool decision : {false, true}) {
      const int32_t next = ways_.next(from, decision);
      if (next == kEnd || first[next] >= 0) continue;
      first[next] = decision;
      open.push_back(next);
    }
    for (size_t i = 0; i < open.size(); ++i) {
      if (covered[open[i]] != 3) return first[open[i]] != 0;
      for (const bool decision : {false, true}) {
        const int32_t next = ways_.next(open[i], decision);
        if (next == kEnd || first[next] >= 0) continue;
        first[next] = first[open[i]];
        open.push_back(next);
      }
    }
    return std::nullopt;
  }

  size_t most_steps() const { return 2 * automaton_.states.size() + 40; }

  bool walk() {
    const int num_walks = 32 + 2 * std::bit_width(automaton_.states.size());
    for (int i = 0; i < num_walks; ++i) {
      Decisions way;
      int32_t at = 0;
      while (at != kEnd && way.size() < most_steps()) {
        way.push_back(coin_());
        at = ways_.next(at, way.back());
      }
      if (!check_from(std::move(way), at)) return false;
    }
    for (const uint8_t constant : {0, 1}) {
      Decisions way;
      if (!check_from(way, constant_tail(0, constant, way))) return false;
    }
    return true;
  }

  /// Appends one decision again and again; returns where that leads.
  int32_t constant_tail(int32_t at, uint8_t decision, Decisions& way) const {
    for (size_t i = 0; at != kEnd && i < most_steps(); ++i) {
      way.push_back(decision);
      at = ways_.next(at, decision != 0);
    }
    return at;
  }

  /// To each use on some way to its state and then straight to it; where there are loops, several times.
  bool reach_uses() {
    const size_t num_ways = ways_.headers().empty() ? 1 : 4;
    for (size_t w = 0; w < automaton_.states.size(); ++w) {
      const std::vector<Decisions>& uses = automaton_.states[w].uses;
      if (uses.empty()) continue;
      const std::vector<Ways::Step> to = ways_.to(static_cast<int32_t>(w));
      for (size_t i = 0; i < num_ways * uses.size(); ++i) {
        const Decisions& use = uses[i / num_ways];
        Decisions way;
        int32_t at = 0;
        for (size_t k = 0; at != static_cast<int32_t>(w) || (k < most_steps() && coin_()); ++k) {
          const auto leads = [&](bool decision) {
            const int32_t there = ways_.next(at, decision);
            return there != kEnd && to[there].steps >= 0;
          };
          bool decision = k < most_steps() ? coin_() : to[at].decision;
          if (!leads(decision)) decision = !decision;
          if (!leads(decision)) break;  // no way leads back to the state
          way.push_back(decision);
          at = ways_.next(at, decision);
        }
        way.insert(way.end(), use.begin(), use.end());
        if (!check_from(std::move(way), ways_.follow(at, use))) return false;
      }
    }
    return true;
  }

  bool leave_loops() {
    std::vector<int> turns;
    for (int i = 0; i <= 64; ++i) turns.push_back(i);
    // Long ways cost most of all; what they leave out, audits see.
    for (const int round : {99, 100, 101, 127, 128, 129, 256, 512, 1000, 1024, 1025}) turns.push_back(round);
    for (int32_t header : ways_.headers()) {
      const Decisions cycle = ways_.cycle(header);
      Decisions way = automaton_.states[header].path;
      int done = 0;
      for (const int count : turns) {
        for (; done < count; ++done) way.insert(way.end(), cycle.begin(), cycle.end());
        if (!leave(header, way)) return false;
      }
    }
    if (!ways_.headers().empty()) evidence_.turns = turns.back();
    return true;
  }

  /// Each edge in a loop, in every one of a few turns: what counts such turns is not seen on the shortest way round.
  bool repeat_edges() {
    constexpr int kTurns = 8;
    constexpr int64_t kEvents = 60000;
    const std::vector<int32_t>& loop_of = ways_.cycles();
    for (int32_t header : ways_.headers()) {
      const int64_t before = recorder_.counts().events;
      std::vector<Decisions> known = {ways_.cycle(header)};
      for (int32_t w = 0; w < static_cast<int32_t>(automaton_.states.size()); ++w) {
        if (loop_of[w] != loop_of[header]) continue;
        for (const uint8_t decision : {0, 1}) {
          const int32_t behind = ways_.next(w, decision);
          if (behind == kEnd || loop_of[behind] != loop_of[header]) continue;
          Decisions cycle;
          ways_.go(header, w, cycle);
          cycle.push_back(decision);
          ways_.go(behind, header, cycle);
          const bool is_spent = recorder_.counts().events - before > kEvents;
          if (is_spent || std::ranges::find(known, cycle) != known.end()) continue;
          Decisions way = automaton_.states[header].path;
          for (int turn = 1; turn <= kTurns; ++turn) {
            way.insert(way.end(), cycle.begin(), cycle.end());
            if (!leave(header, way)) return false;
          }
          known.push_back(std::move(cycle));
        }
      }
    }
    return true;
  }

  /// Leaves a loop, and goes on by both constants where there is more to decide.
  bool leave(int32_t header, Decisions way) {
    int32_t at = header;
    while (at != kEnd && ways_.cycles()[at] == ways_.cycles()[header]) {
      way.push_back(ways_.shortest(at));
      at = ways_.next(at, ways_.shortest(at));
    }
    if (at == kEnd) return check(way);
    for (const uint8_t constant : {0, 1}) {
      Decisions longer = way;
      const int32_t end = constant_tail(at, constant, longer);
      if (!check_from(std::move(longer), end)) return false;
    }
    return true;
  }

  /// Long stays in each loop, as regular as it can be and as chance has it.
  bool stay() {
    constexpr int64_t kEvents = 20000;
    for (int32_t header : ways_.headers()) {
      const Decisions cycle = ways_.cycle(header);
      for (const bool by_chance : {false, true}) {
        Decisions way = automaton_.states[header].path;
        int32_t at = header;
        int64_t events = 0;
        for (size_t i = 0; events < kEvents && at != kEnd; ++i) {
          bool decision = by_chance ? coin_() : cycle[i % cycle.size()] != 0;
          const int32_t there = ways_.next(at, decision);
          if (there == kEnd || ways_.cycles()[there] != ways_.cycles()[header]) decision = !decision;
          events += 1 + static_cast<int64_t>(automaton_.states[at].edges[decision].steps.size());
          way.push_back(decision);
          at = ways_.next(at, decision);
        }
        if (!check_from(std::move(way), at)) return false;
      }
    }
    return true;
  }

  Recorder& recorder_;
  const Automaton& automaton_;
  const Ways ways_;
  Evidence& evidence_;
  Coin coin_;
  std::vector<Decisions> failed_;
};

}  // namespace

std::vector<Decisions> verify(Recorder& recorder, const Automaton& automaton, Evidence& evidence) {
  evidence = {};
  return Verifier(recorder, automaton, evidence).run();
}

}  // namespace etch::capture
