// A run beside the automaton.
#include "frontend/capture/check.h"

#include <algorithm>

namespace etch::capture {
namespace {

class Checking final : public Listener {
 public:
  Checking(Recorder& recorder, const Automaton& automaton, const Decisions& decisions, Coin& coin)
      : recorder_(recorder), automaton_(automaton), decisions_(decisions), coin_(coin), edge_(&automaton.entry) {}

  Ref event(Kind kind, std::span<const Ref> operands, int num_results) override {
    const Ref first = value_;
    value_ += num_results;
    ++events_;
    if (is_wrong_) {
      coast();
      return first;
    }
    if (step_ == edge_->steps.size()) return wrong(kind), first;
    const Edge::Step& step = edge_->steps[step_];
    if (step.kind != kind || static_cast<size_t>(step.num_operands) != operands.size()) return wrong(kind), first;
    const Source* expected = edge_->operands.data() + step.first_operand;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (value_of(expected[i]) != operands[i]) return wrong(kind), first;
    }
    ++step_;
    return first;
  }

  bool ask(Ref condition, Kind place) override {
    const size_t asked = asked_++;
    if (!is_wrong_) {
      places_.push_back(place);
      if (step_ != edge_->steps.size() || edge_->target == kEnd) {
        wrong();
      } else {
        enter(edge_->target);
        if (held_[automaton_.states[state_].condition] != condition) wrong();
      }
    }
    if (!is_wrong_ && asked < decisions_.size()) {
      const bool decision = decisions_[asked];
      edge_ = &automaton_.states[state_].edges[decision];
      step_ = 0;
      base_ = value_;
      return decision;
    }
    if (!is_wrong_) wrong();
    coast();
    if (asked < decisions_.size()) return decisions_[asked];
    return asked < decisions_.size() + 1000 ? recorder_.default_at(place) : coin_();
  }

  void end(Kind what, std::span<const Ref> results, std::span<const Final> finals) override {
    has_ended_ = true;
    if (is_wrong_) return;
    const bool is_end = step_ == edge_->steps.size() && edge_->target == kEnd && what == automaton_.end &&
                        results.size() + automaton_.slots.size() == edge_->arguments.size();
    if (!is_end) return wrong();
    for (size_t i = 0; i < results.size(); ++i) {
      if (value_of(edge_->arguments[i]) != results[i]) return wrong();
    }
    size_t next = 0;
    for (size_t i = 0; i < automaton_.slots.size(); ++i) {
      const int32_t slot = automaton_.slots[i];
      const bool is_assigned = next < finals.size() && finals[next].slot == slot;
      const Ref value = is_assigned ? finals[next++].value : recorder_.program().initial(slot);
      if (value_of(edge_->arguments[results.size() + i]) != value) return wrong();
    }
    if (next != finals.size()) wrong();
  }

  Kind expected() const override {
    return is_wrong_ || step_ == edge_->steps.size() ? -1 : edge_->steps[step_].kind;
  }

  bool is_right() const { return !is_wrong_ && has_ended_; }
  const Deviation& deviation() const { return deviation_; }
  int64_t events() const { return events_; }
  std::string path() const {
    return recorder_.path_text(places_, std::span(decisions_).first(std::min(places_.size(), decisions_.size())));
  }
  Kind last() const {
    if (step_ > 0) return edge_->steps[step_ - 1].kind;
    return state_ < 0 ? -1 : automaton_.states[state_].place;
  }

 private:
  Ref value_of(const Source& source) const {
    switch (source.from) {
      case Source::From::local: return base_ + source.index;
      case Source::From::held: return held_[source.index];
      case Source::From::given: break;
    }
    return source.index;
  }

  void enter(int32_t state) {
    entering_.clear();
    for (const Source& argument : edge_->arguments) entering_.push_back(value_of(argument));
    std::swap(held_, entering_);
    state_ = state;
  }

  /// @param came the event that is not as expected.
  void wrong(Kind came = -1) {
    if (is_wrong_) return;
    is_wrong_ = true;
    deviation_ = {static_cast<int64_t>(places_.size()), -1, came, has_ended_};
    if (step_ < edge_->steps.size()) deviation_.expected = edge_->steps[step_].kind;
  }
  void coast() {
    if (++coasted_ > recorder_.limits().coast) throw Abandoned();
  }

  Recorder& recorder_;
  const Automaton& automaton_;
  const Decisions& decisions_;
  Coin& coin_;
  const Edge* edge_;
  size_t step_ = 0, asked_ = 0;
  int32_t state_ = -1;
  Ref value_ = 0, base_ = 0;
  std::vector<Ref> held_, entering_;
  std::vector<Kind> places_;
  int64_t events_ = 0, coasted_ = 0;
  bool is_wrong_ = false, has_ended_ = false;
  Deviation deviation_;
};

}  // namespace

bool check_run(Recorder& recorder, const Automaton& automaton, const Decisions& decisions, Deviation* deviation) {
  Coin coin;
  Checking checking(recorder, automaton, decisions, coin);
  ++recorder.counts().checks;
  try {
    recorder.listen(checking, [&] { return checking.path(); }, [&] { return checking.last(); });
  } catch (const Abandoned&) {
  }
  recorder.counts().events += checking.events();
  if (deviation) *deviation = checking.deviation();
  return checking.is_right();
}

}  // namespace etch::capture
