// Random programs: captured against runs on numbers.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "etch/error.h"
#include "frontend/capture/check.h"
#include "tests/capture/random_program.h"

namespace etch::capture {
namespace {

struct Tally {
  int captured = 0, refused = 0, proved = 0, wrong = 0;
  int64_t runs = 0, events = 0;
  RuleCounts rules;
};

class Deciding final : public Listener {
 public:
  explicit Deciding(Given given) : inner_(std::move(given)) {}
  Ref event(Kind kind, std::span<const Ref> operands, int num_results) override {
    return inner_.event(kind, operands, num_results);
  }
  bool ask(Ref condition, Kind place) override {
    decisions.push_back(inner_.ask(condition, place));
    return decisions.back() != 0;
  }
  void end(Kind, std::span<const Ref>, std::span<const Final>) override {}
  Decisions decisions;

 private:
  Evaluator inner_;
};

/// False if the captured program does other things than the plain one.
bool try_program(uint64_t seed, int size, Tally& tally) {
  const Lambda lambda = RandomProgram(seed, size).lambda();
  SimProgram program(lambda);
  Captured captured;
  try {
    captured = capture_program(program);
  } catch (const Error& error) {
    ++tally.refused;
    const std::string text = error.what();
    const bool is_stated = text.find("no decisions end") != text.npos || text.find("is new on every turn") != text.npos ||
                           text.find("states") != text.npos || text.find("too large") != text.npos ||
                           text.find("all paths must return") != text.npos || text.find("C++ bound") != text.npos ||
                           text.find("than on the turns before") != text.npos;
    EXPECT_TRUE(is_stated) << "seed " << seed << ": " << text;
    if (std::getenv("ETCH_SHOW")) std::cerr << seed << ": " << text << "\n";
    return true;
  }
  ++tally.captured;
  tally.proved += captured.evidence.is_proved;
  tally.runs += captured.counts.runs;
  tally.events += captured.counts.events;
  const Structured structured = structure(captured.automaton, sim_types());
  tally.rules += captured.counts.rules;
  tally.rules += structured.rules;
  for (uint64_t input = 0; input < 120; ++input) {
    const Given given = given_by(mix(seed, input));
    Evaluator plain(given);
    try {
      SimProgram(lambda).run(plain);
    } catch (const Abandoned&) {
      continue;
    }
    RegionRunner runner(structured, given);
    const std::vector<uint64_t> outputs = runner.run();
    SimResult now;
    const auto num_results = static_cast<size_t>(captured.automaton.num_results);
    now.results.assign(outputs.begin(), outputs.begin() + static_cast<int64_t>(num_results));
    for (size_t i = 0; i < captured.automaton.slots.size(); ++i) {
      const int slot = captured.automaton.slots[i];
      if (outputs[num_results + i] != given(-2 - (100 + slot))) now.slots[slot] = outputs[num_results + i];
    }
    if (now == plain.result && !runner.used_unset) continue;
    ++tally.wrong;
    if (std::getenv("ETCH_SHOW")) {
      Deciding deciding(given);
      SimProgram(lambda).run(deciding);
      Recorder recorder(program, {});
      std::cerr << (check_run(recorder, captured.automaton, deciding.decisions) ? "structure" : "verify") << " is wrong after "
                << deciding.decisions.size() << " decisions; " << captured.automaton.states.size() << " states\n";
    }
    std::cerr << "seed " << seed << " size " << size << " input " << input << (runner.used_unset ? " unset" : "") << "\n";
    return false;
  }
  return true;
}

TEST(CoreFuzz, ProgramsThatOneKindOfCheckAloneRefutes) {
  Tally tally;
  for (const uint64_t seed : {1145, 1755}) EXPECT_TRUE(try_program(seed, 8 + static_cast<int>(seed % 23), tally)) << "ways to uses";
  EXPECT_TRUE(try_program(6034, 8 + 6034 % 23, tally)) << "each edge of a loop";
}

TEST(CoreFuzz, RandomPrograms) {
  const char* given = std::getenv("ETCH_PROGRAMS");
  const int count = given ? std::atoi(given) : 300;
  const char* first = std::getenv("ETCH_FIRST");
  Tally tally;
  const bool shows = std::getenv("ETCH_SHOW") != nullptr;
  for (int seed = first ? std::atoi(first) : 0, n = 0; n < count; ++seed, ++n) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t runs = tally.runs, events = tally.events;
    try_program(static_cast<uint64_t>(seed), 8 + seed % 23, tally);
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (shows && ms > 300) std::cerr << seed << " took " << ms << " ms, " << tally.runs - runs << " runs, " << tally.events - events << " events\n";
  }
  EXPECT_EQ(tally.wrong, 0);
  std::cerr << tally.captured << " captured, " << tally.proved << " proved, " << tally.refused << " refused; " << tally.runs
            << " runs, " << tally.events << " events\n";
  const char* least = std::getenv("ETCH_LEAST");   // that each rule has to be used
  for (size_t rule = 0; rule < std::size(kRuleNames); ++rule) {
    if (shows || least) std::cerr << "  " << kRuleNames[rule] << ": " << tally.rules.used[rule] << "\n";
    if (least) {
      EXPECT_GE(tally.rules.used[rule], std::atoi(least)) << kRuleNames[rule];
    }
  }
}

}  // namespace
}  // namespace etch::capture
