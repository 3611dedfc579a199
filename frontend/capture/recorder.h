// Runs a program under decisions and keeps what it did.
#pragma once

#include <memory>
#include <random>
#include <string>

#include "absl/functional/function_ref.h"
#include "frontend/capture/program.h"
#include "frontend/capture/rules.h"
#include "frontend/capture/trie.h"
#include "runtime/flat_map.h"

namespace etch::capture {

struct Limits {
  int64_t states = 400;
  int64_t runs = 20000;
  int64_t events = int64_t{1} << 24;   // of all runs
  int64_t questions = 200;             // at one place in one run, before the answer there changes
  int64_t coast = 400000;              // events of a run that is of no use any more
  int64_t proof = int64_t{1} << 18;    // events of all paths, to run them all
};

/// What was spent.
struct Counts {
  int64_t runs = 0;
  int64_t checks = 0;   // of them
  int64_t events = 0;
  RuleCounts rules;     // of learning
};

/// A path that ends in an exception.
struct FailedPath {
  Failure failure;
  std::string path;      // `[demo.cc:11 true]`
  Kind last = -1;        // the last event before
};

/// The answers of a coin, the same in every process.
class Coin {
 public:
  bool operator()() { return (random_() >> 17) & 1; }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

 private:
  std::minstd_rand random_{2};
};

class Recorder {
 public:
  Recorder(Program& program, const Limits& limits);

  ~Recorder();

  const Trie& trie() const { return trie_; }
  Program& program() { return program_; }
  const Limits& limits() const { return limits_; }
  Counts& counts() { return counts_; }
  void count(Rule rule) { ++counts_.rules[rule]; }

  /// Runs under these decisions and then by the defaults, and returns the node of the end. Error if the program does other
  /// things than before, or if nothing ends it; FailedPath if it throws.
  int32_t run(const Decisions& decisions);
  /// The node below another one; runs if it is not known. -1 where the way ends before.
  int32_t node_at(int32_t node, std::span<const uint8_t> decisions);
  int32_t child(int32_t node, bool decision);

  /// The listener of a first run that is under way already, by nobody's decisions.
  Listener& begin();
  /// Its end, also where it failed: then it does not count.
  void end_begun(bool failed);

  /// One run with another listener. FailedPath with the path so far if it throws.
  void listen(Listener& listener, absl::FunctionRef<std::string()> path, absl::FunctionRef<Kind()> last);
  /// How runs end fastest, as far as it is known: the answer at a place.
  bool default_at(Kind place) const {
    const auto known = defaults_.find(place);
    return known != defaults_.end() && known->second;
  }
  /// Error if the budget is spent.
  void check_budget();
  /// All is known: what was recorded is dropped, and runs that confirm it are bounded by who asks for them.
  void settle() {
    trie_ = {};
    is_settled_ = true;
  }
  /// From now on each condition is asked once in a run; the answer holds for it.
  void remember() { remembers_ = true; }
  bool remembers() const { return remembers_; }
  /// `[demo.cc:11 true, demo.cc:12 false]`, the last ones if they are many.
  std::string path_text(std::span<const Kind> places, std::span<const uint8_t> decisions) const;
  /// The same of a node.
  std::string path_text(int32_t node) const;
  /// Throws the Error of a program that is not the same in each run.
  [[noreturn]] void fail_different(const std::string& first, const std::string& second) const;

 private:
  class Recording;
  friend class Recording;

  Program& program_;
  const Limits limits_;
  Trie trie_;
  FlatMap<Kind, bool> defaults_;
  Counts counts_;
  Coin coin_;
  bool remembers_ = false;
  bool is_settled_ = false;
  std::unique_ptr<Recording> begun_;
  const Decisions no_decisions_;
  int64_t coast_limit_;
};

}  // namespace etch::capture
