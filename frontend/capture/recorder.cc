// Runs a program under decisions and keeps what it did.
#include "frontend/capture/recorder.h"

#include <algorithm>
#include <optional>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::capture {

/// One run: follows what is known as far as that reaches, then adds to it.
class Recorder::Recording final : public Listener {
 public:
  /// @param by_coin answers questions beyond the decisions by a coin.
  Recording(Recorder& recorder, const Decisions& decisions, int64_t limit, bool by_coin)
      : recorder_(recorder), trie_(recorder.trie_), decisions_(decisions), limit_(limit), by_coin_(by_coin) {
    first_new_node_ = static_cast<int32_t>(trie_.nodes.size());
    num_events_ = trie_.events.size();
    num_operands_ = trie_.operands.size();
    num_endings_ = trie_.endings.size();
    if (trie_.empty()) {
      begin_node(-1, 0);
    } else {
      node_ = Trie::kRoot;
      next_ = 0;
    }
  }

  Ref event(Kind kind, std::span<const Ref> operands, int num_results) override {
    const Ref first = next_value_;
    next_value_ += num_results;
    if (is_coasting_) {
      coast();
      return first;
    }
    last_ = kind;
    ++events_;
    if (is_adding_) {
      trie_.events.push_back({kind, static_cast<int32_t>(trie_.operands.size()), static_cast<int32_t>(operands.size()),
                              first});
      trie_.operands.insert(trie_.operands.end(), operands.begin(), operands.end());
      return first;
    }
    if (next_ == trie_.nodes[node_].end) {
      differ(end_text(), recorder_.program_.text_of(kind), kind);
      return first;
    }
    const Event& known = trie_.events[next_];
    if (known.kind != kind || !std::ranges::equal(trie_.operands_of(known), operands)) {
      const bool same_kind = known.kind == kind;
      differ(recorder_.program_.text_of(known.kind),
             cat(recorder_.program_.text_of(kind), same_kind ? " of other values" : ""), kind);
      return first;
    }
    ++next_;
    return first;
  }

  bool ask(Ref condition, Kind place) override {
    if (!is_coasting_) {
      if (is_adding_) {
        TrieNode& node = end_node();
        node.condition = condition;
        node.place = place;
      } else if (next_ != trie_.nodes[node_].end) {
        differ(recorder_.program_.text_of(trie_.events[next_].kind), cat("a question at ", place_text(place)), place);
      } else if (trie_.nodes[node_].is_end() || trie_.nodes[node_].condition != condition) {
        differ(end_text(), cat("a question at ", place_text(place)), place);
      }
    }
    const bool decision = decide(place);
    if (is_coasting_) return decision;
    path_.push_back(decision);
    places_.push_back(place);
    const int32_t child = trie_.nodes[node_].children[decision];
    if (child < 0) {
      begin_node(node_, decision);
    } else {
      node_ = child;
      next_ = trie_.nodes[child].begin;
      is_adding_ = false;
    }
    return decision;
  }

  void end(Kind what, std::span<const Ref> results, std::span<const Final> finals) override {
    has_ended_ = true;
    if (is_coasting_) return;
    Ending ending{what, {results.begin(), results.end()}, {finals.begin(), finals.end()}};
    if (is_adding_) {
      TrieNode& node = end_node();
      node.ending = static_cast<int32_t>(trie_.endings.size());
      trie_.endings.push_back(std::move(ending));
      return;
    }
    if (next_ != trie_.nodes[node_].end) {
      differ(recorder_.program_.text_of(trie_.events[next_].kind), "the end", -1);
    } else if (!trie_.nodes[node_].is_end()) {
      differ(end_text(), "the end", -1);
    } else if (!(trie_.ending_of(node_) == ending)) {
      differ("its results", "other results", -1);
    }
  }

  Kind expected() const override {
    if (is_coasting_ || is_adding_ || next_ >= trie_.nodes[node_].end) return -1;
    return trie_.events[next_].kind;
  }

  /// Takes what was added away again.
  void undo() {
    trie_.nodes.resize(first_new_node_);
    trie_.events.resize(num_events_);
    trie_.operands.resize(num_operands_);
    trie_.endings.resize(num_endings_);
    if (attached_ >= 0) trie_.nodes[attached_].children[attached_by_] = -1;
  }

  int32_t node() const { return node_; }
  bool has_ended() const { return has_ended_; }
  std::optional<Kind> overlong() const { return overlong_; }
  bool is_different() const { return is_different_; }
  const std::string& known() const { return known_; }
  const std::string& now() const { return now_; }
  int64_t events() const { return events_; }
  Kind last() const { return last_; }
  std::string path() const { return recorder_.path_text(places_, path_); }

 private:
  std::string place_text(Kind place) const { return recorder_.program_.place_of(place); }

  std::string end_text() const {
    const TrieNode& node = trie_.nodes[node_];
    return node.is_end() ? "the end" : cat("a question at ", place_text(node.place));
  }

  void differ(const std::string& known, const std::string& now, Kind at) {
    const std::string place = at >= 0 ? place_text(at) : "";
    is_different_ = is_coasting_ = true;
    known_ = known;
    now_ = place.empty() || now.ends_with(place) ? now : cat(now, " at ", place);
  }

  bool decide(Kind place) {
    if (is_coasting_) {
      coast();
      return ++coasted_questions_ < 1000 ? !recorder_.default_at(place) : recorder_.coin_();
    }
    if (path_.size() < decisions_.size()) return decisions_[path_.size()];
    if (++asked_[place] > limit_) {
      overlong_ = place;
      is_coasting_ = true;
      return !recorder_.default_at(place);
    }
    return by_coin_ ? recorder_.coin_() : recorder_.default_at(place);
  }

  void coast() {
    if (++coasted_ <= recorder_.coast_limit_) return;
    recorder_.coast_limit_ = recorder_.limits_.coast / 20;  // a program that does so once does so again
    throw Abandoned();
  }

  void begin_node(int32_t parent, uint8_t decision) {
    is_adding_ = true;
    pending_ = {};
    pending_.parent = parent;
    pending_.decision = decision;
    pending_.begin = static_cast<int32_t>(trie_.events.size());
    pending_.first_value = next_value_;
    pending_.depth = parent < 0 ? 0 : trie_.nodes[parent].depth + 1;
  }

  TrieNode& end_node() {
    pending_.end = static_cast<int32_t>(trie_.events.size());
    pending_.end_value = next_value_;
    node_ = static_cast<int32_t>(trie_.nodes.size());
    if (pending_.parent >= 0) {
      trie_.nodes[pending_.parent].children[pending_.decision] = node_;
      if (attached_ < 0 && node_ == first_new_node_) {
        attached_ = pending_.parent;
        attached_by_ = pending_.decision;
      }
    }
    trie_.nodes.push_back(pending_);
    return trie_.nodes.back();
  }

  Recorder& recorder_;
  Trie& trie_;
  const Decisions& decisions_;
  const int64_t limit_;
  const bool by_coin_;
  int32_t first_new_node_ = 0, attached_ = -1;
  uint8_t attached_by_ = 0;
  size_t num_events_ = 0, num_operands_ = 0, num_endings_ = 0;
  TrieNode pending_;
  int32_t node_ = -1;    // the one that is followed, or the last one
  int32_t next_ = 0;     // the event of it that comes next
  bool is_adding_ = false, is_coasting_ = false, is_different_ = false, has_ended_ = false;
  Ref next_value_ = 0;
  Decisions path_;
  std::vector<Kind> places_;
  FlatMap<Kind, int64_t> asked_;
  std::optional<Kind> overlong_;
  std::string known_, now_;
  int64_t events_ = 0, coasted_ = 0, coasted_questions_ = 0;
  Kind last_ = -1;
};

namespace {

/// Answers a condition that was asked before as it was answered.
class Remembering final : public Listener {
 public:
  explicit Remembering(Listener& inner) : inner_(inner) {}
  Ref event(Kind kind, std::span<const Ref> operands, int num_results) override {
    return inner_.event(kind, operands, num_results);
  }
  bool ask(Ref condition, Kind place) override {
    const auto known = answers_.find(condition);
    if (known != answers_.end()) return known->second;
    return answers_[condition] = inner_.ask(condition, place);
  }
  void end(Kind what, std::span<const Ref> results, std::span<const Final> finals) override {
    inner_.end(what, results, finals);
  }
  Kind expected() const override { return inner_.expected(); }

 private:
  Listener& inner_;
  FlatMap<Ref, bool> answers_;
};

}  // namespace

void Recorder::check_budget() {
  if (is_settled_) return;
  if (counts_.runs <= limits_.runs && counts_.events <= limits_.events) return;
  throw Error(cat("function ", program_.name(), ": its control flow is too large to be captured: ", counts_.runs,
                  " runs with ", counts_.events, " ops did not settle it; use the explicit forms etch::cond and"
                  " etch::while_loop, or tensors in the place of C++ values that change"));
}

void Recorder::listen(Listener& listener, absl::FunctionRef<std::string()> path, absl::FunctionRef<Kind()> last) {
  ++counts_.runs;
  check_budget();
  Remembering remembering(listener);
  if (std::optional<Failure> failure = program_.run(remembers_ ? remembering : listener)) throw FailedPath{*std::move(failure), path(), last()};
}

Recorder::Recorder(Program& program, const Limits& limits)
    : program_(program), limits_(limits), coast_limit_(limits.coast) {}
Recorder::~Recorder() = default;

Listener& Recorder::begin() {
  ++counts_.runs;
  begun_ = std::make_unique<Recording>(*this, no_decisions_, limits_.questions, false);
  return *begun_;
}

void Recorder::end_begun(bool failed) {
  counts_.events += begun_->events();
  if (failed || begun_->overlong() || begun_->is_different() || !begun_->has_ended()) begun_->undo();
  begun_.reset();
}

int32_t Recorder::run(const Decisions& decisions) {
  constexpr int kFlips = 8;    // changes of defaults
  constexpr int kCoins = 60;
  int64_t limit = limits_.questions;
  std::optional<Kind> stuck;
  FlatMap<Kind, int> flips;
  for (int attempt = 0; attempt < kFlips + 1 + kCoins; ++attempt) {
    const bool by_coin = attempt > kFlips;
    Recording recording(*this, decisions, limit, by_coin);
    bool is_abandoned = false;
    try {
      listen(recording, [&] { return recording.path(); }, [&] { return recording.last(); });
    } catch (const Abandoned&) {
      is_abandoned = true;
    } catch (...) {
      recording.undo();
      if (!recording.overlong() && !recording.is_different()) throw;
    }
    counts_.events += recording.events();
    if (recording.is_different()) {
      const std::string known = recording.known(), now = recording.now();
      recording.undo();
      fail_different(known, now);
    }
    if (!recording.overlong() && !is_abandoned) {
      if (recording.has_ended()) return recording.node();
      recording.undo();
      throw Error(cat("function ", program_.name(), " was left without an end"));
    }
    stuck = recording.overlong() ? recording.overlong() : stuck;
    recording.undo();
    if (by_coin) continue;
    // The other answer at this place, and back once more; then a longer way, which host loops end; then the coin.
    if (stuck && ++flips[*stuck] <= 1) {
      defaults_[*stuck] = !default_at(*stuck);
    } else if (limit == limits_.questions) {
      if (stuck) defaults_[*stuck] = !default_at(*stuck);
      limit *= 20;
      flips.clear();
    } else {
      attempt = kFlips;
      limit = limits_.questions;
    }
  }
  throw Error(cat("function ", program_.name(), ": no decisions end the loop at ",
                  stuck ? program_.place_of(*stuck) : "an unknown place"));
}

int32_t Recorder::node_at(int32_t node, std::span<const uint8_t> decisions) {
  const int32_t known = trie_.find(node, decisions);
  if (known >= 0) return known;
  Decisions all = trie_.path(node);
  all.insert(all.end(), decisions.begin(), decisions.end());
  run(all);
  return trie_.find(node, decisions);
}

int32_t Recorder::child(int32_t node, bool decision) {
  const uint8_t one = decision;
  return node_at(node, {&one, 1});
}

std::string Recorder::path_text(std::span<const Kind> places, std::span<const uint8_t> decisions) const {
  constexpr size_t kShown = 8;
  const size_t first = places.size() > kShown ? places.size() - kShown : 0;
  std::string text = first > 0 ? "..., " : "";
  for (size_t i = first; i < places.size(); ++i) {
    if (i > first) text += ", ";
    text += cat(program_.place_of(places[i]), decisions[i] ? " true" : " false");
  }
  return cat("[", text, "]");
}

std::string Recorder::path_text(int32_t node) const {
  std::vector<Kind> places;
  const Decisions path = trie_.path(node);
  int32_t at = Trie::kRoot;
  for (uint8_t decision : path) {
    places.push_back(trie_.nodes[at].place);
    at = trie_.nodes[at].children[decision];
  }
  return path_text(places, path);
}

void Recorder::fail_different(const std::string& first, const std::string& second) const {
  throw Error(cat("function ", program_.name(), " behaved differently under the same decisions: the first time it recorded ",
                  first, ", another time ", second,
                  "; host code runs while tracing only, so random numbers, counters and the like must be arguments"));
}

}  // namespace etch::capture
