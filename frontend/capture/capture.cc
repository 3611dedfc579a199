// Capture: a program is run again and again until all that it can do is known.
#include "frontend/capture/capture.h"

#include "compiler/ir/cat.h"
#include "etch/error.h"
#include "frontend/capture/check.h"
#include "frontend/capture/confirm_turns.h"
#include "frontend/capture/registers.h"
#include "frontend/capture/ways.h"

namespace etch::capture {
namespace {

constexpr int kRounds = 400;

}  // namespace

class Capturer::Attempt {
 public:
  Attempt(Program& program, const Limits& limits, bool remembers) : recorder_(program, limits) {
    if (remembers) recorder_.remember();
  }

  Captured run() {
    for (int round = 1; round <= kRounds; ++round) {
      states_ = learn_states(recorder_);
      Decisions wrong;
      std::optional<Automaton> automaton = find_registers(recorder_, states_, instances_, wrong);
      if (!automaton) {
        recorder_.count(Rule::blame);
        blame(wrong);
        continue;
      }
      Evidence evidence;
      const std::vector<Decisions> failed = verify(recorder_, *automaton, evidence);
      if (failed.empty()) return {*std::move(automaton), evidence, recorder_.counts(), round, recorder_.remembers()};
      for (const Decisions& way : failed) refine(*automaton, way);
    }
    throw Error(cat("function ", recorder_.program().name(), ": its control flow was not settled after ", kRounds,
                    " rounds; use the explicit forms etch::cond and etch::while_loop"));
  }

  Recorder& recorder() { return recorder_; }
  const Counts& counts() { return recorder_.counts(); }

 private:
  int32_t state_after(std::span<const uint8_t> decisions) const {
    int32_t state = 0;
    for (uint8_t decision : decisions) {
      if (state == kEnd) break;
      state = states_[state].successors[decision];
    }
    return state;
  }

  /// The decisions from the k-th on, behind what stands for the state before them; nothing if that is the end.
  std::optional<Decisions> behind(const Decisions& decisions, size_t k) const {
    const int32_t state = state_after(std::span(decisions).first(k));
    if (state == kEnd) return std::nullopt;
    Decisions way = recorder_.trie().path(states_[state].node);
    way.insert(way.end(), decisions.begin() + static_cast<int64_t>(k), decisions.end());
    return way;
  }

  /// Records these decisions behind all states that they lead through: then the one that is wrong is seen to be.
  void blame(const Decisions& decisions) {
    for (size_t k = 0; k <= decisions.size(); ++k) {
      const std::optional<Decisions> way = behind(decisions, k);
      if (!way) break;
      recorder_.run(*way);
    }
  }

  bool fails(const Automaton& automaton, const Decisions& way) { return !check_run(recorder_, automaton, way); }

  void refine(const Automaton& automaton, Decisions way) {
    recorder_.count(Rule::refine);
    cut_cycles(automaton, way);
    // What shows only after so many turns would be as many states.
    const int64_t most = recorder_.limits().states;
    if (static_cast<int64_t>(way.size()) > most) check_turns(recorder_, automaton, way, most);
    size_t wrong = 0, right = way.size();  // behind the state after so many decisions
    while (right - wrong > 1) {
      const size_t middle = (wrong + right) / 2;
      const std::optional<Decisions> rest = behind(way, middle);
      (rest && fails(automaton, *rest) ? wrong : right) = middle;
    }
    recorder_.run(way);
    instances_.push_back(way);
    for (const size_t k : {wrong, right}) {
      const std::optional<Decisions> rest = behind(way, k);
      if (!rest) continue;
      recorder_.run(*rest);
      instances_.push_back(*rest);
    }
  }

  /// Shortens a way that fails by what leads from a state back to it, as long as it fails.
  void cut_cycles(const Automaton& automaton, Decisions& way) {
    constexpr int kTries = 48;
    const Ways ways(automaton);
    int tries = 0;
    for (bool is_shorter = true; is_shorter && tries < kTries;) {
      is_shorter = false;
      std::vector<int32_t> states = {0};
      for (uint8_t decision : way) {
        if (states.back() == kEnd) break;
        states.push_back(ways.next(states.back(), decision != 0));
      }
      for (size_t length = states.size() - 1; length > 0 && !is_shorter; --length) {
        for (size_t i = 0; i + length < states.size() && !is_shorter && tries < kTries; ++i) {
          if (states[i] != states[i + length] || states[i] == kEnd) continue;
          Decisions shorter(way.begin(), way.begin() + static_cast<int64_t>(i));
          shorter.insert(shorter.end(), way.begin() + static_cast<int64_t>(i + length), way.end());
          ++tries;
          if (!fails(automaton, shorter)) continue;
          way = std::move(shorter);
          recorder_.count(Rule::cut);
          is_shorter = true;
        }
      }
    }
  }

  Recorder recorder_;
  std::vector<State> states_;
  std::vector<Decisions> instances_;
};

namespace {

[[noreturn]] void fail_path(Program& program, const FailedPath& failed) {
  const std::string path = failed.path;
  if (path == "[]") {  // no decision led there: the failure is that of a plain run
    if (failed.failure.error) std::rethrow_exception(failed.failure.error);
    throw Error(failed.failure.text);
  }
  if (failed.failure.is_missing) {
    throw Error(cat(failed.failure.text, " on the path ", path, "; assign it before the branch"));
  }
  const std::string place = failed.last >= 0 ? program.place_of(failed.last) : "";
  const bool has_place = place.empty() || failed.failure.text.starts_with(place.substr(0, place.find(':')));
  throw Error(cat(has_place ? "" : cat(place, ": "), failed.failure.text, " on the path ", path,
                  "; all paths are run, also those that no data takes"));
}

}  // namespace

Capturer::Capturer(Program& program, const Limits& limits)
    : program_(program), limits_(limits), plain_(std::make_unique<Attempt>(program, limits, false)) {}
Capturer::~Capturer() = default;

Listener& Capturer::begin() { return plain_->recorder().begin(); }
void Capturer::end_begun(bool failed) { plain_->recorder().end_begun(failed); }

Captured Capturer::run() {
  try {
    Captured captured = plain_->run();
    plain_->recorder().settle();
    return captured;
  } catch (const FailedPath& failed) {
    if (failed.path == "[]") fail_path(program_, failed);
  }
  // With each condition asked once in a run, paths that no data takes may be gone.
  remembering_ = std::make_unique<Attempt>(program_, limits_, true);
  try {
    Captured captured = remembering_->run();
    captured.counts.runs += plain_->counts().runs;
    captured.counts.checks += plain_->counts().checks;
    captured.counts.events += plain_->counts().events;
    captured.counts.rules += plain_->counts().rules;
    remembering_->recorder().settle();
    return captured;
  } catch (const FailedPath& failed) {
    fail_path(program_, failed);
  }
}

void Capturer::confirm_turns(const Automaton& automaton, int64_t turns) {
  Recorder& recorder = (remembering_ ? remembering_ : plain_)->recorder();
  try {
    capture::confirm_turns(recorder, automaton, turns);
  } catch (const FailedPath& failed) {
    fail_path(program_, failed);
  }
}

Captured capture_program(Program& program, const Limits& limits) { return Capturer(program, limits).run(); }

}  // namespace etch::capture
