// The gradient of while_loop: the loop runs again and keeps what its derivative reads, then other loops go back.
//
// What is kept of a value is a stack: a row for each turn, or, of a loop of many turns, a row for each stretch of turns. When
// all rows are taken, every second one goes and the stretches double, so that memory is bounded whatever data says. On the way
// back each stretch runs once more from its row on and keeps its turns in stacks of the same kind.
#include <algorithm>
#include <optional>
#include <vector>

#include "compiler/ir/ops/region_gradient.h"
#include "compiler/ir/ops/while_loop.h"

namespace etch::op {
namespace {

constexpr int64_t kDirectBytes = int64_t{1} << 28;  // a loop whose turns are known keeps each of them in so much
constexpr int64_t kStackBytes = int64_t{1} << 24;   // of the stacks of other loops, but for the fewest rows
constexpr int64_t kMostRows = 4096, kFewestRows = 8;

std::span<const Value> part(std::span<const Value> values, size_t first, size_t count) { return values.subspan(first, count); }

Values behind(std::span<const Value> values, size_t count) { return {values.begin() + static_cast<int64_t>(count), values.end()}; }

bool any(const std::vector<bool>& flags) { return std::ranges::find(flags, true) != flags.end(); }

/// The input of a graph that a value is; -1 for another value.
int input_index(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  return place(node.op) == Place::input ? node.first_result : -1;
}

std::optional<int64_t> integer(const AnyOp& op, DType dtype) {
  const std::optional<uint64_t> bits = splat_bits(op);
  if (!bits) return std::nullopt;
  if (dtype == DType::i64) return from_bits<int64_t>(*bits);
  if (dtype == DType::i32) return from_bits<int32_t>(*bits);
  return std::nullopt;
}

Ex as_i64(const Ex& x) { return x.dtype() == DType::i64 ? x : cast(x, DType::i64); }
Ex i64(ExMaker& maker, int64_t value) { return number(maker, DType::i64, value); }

/// x / y, rounded up; both are positive, or x is 0.
Ex in_parts_of(const Ex& x, const Ex& y) { return floor_div(x + y - 1, y); }

/// For each source what stands for its cotangent, or none.
std::vector<Ex> cotangents_of(ExMaker& maker, const GradientGraph& back, std::span<const Value> outputs) {
  std::vector<Ex> cotangents;
  for (const std::optional<int>& output : back.outputs) {
    cotangents.push_back(output ? Ex(maker, outputs[*output]) : Ex());
  }
  return cotangents;
}

Value or_zero(ExMaker& maker, const Ex& x, const Type& type) { return x.is_none() ? constant(maker, 0, type).value() : x.value(); }

/// What a turn of a loop does, and the way back through it. Its values are those that are carried, then fixed ones.
struct TurnGraphs {
  explicit TurnGraphs(const WhileLoop& loop);

  const Graph &test, &body;
  size_t num_carried;
  std::vector<Type> types;           // of all values
  std::vector<size_t> float_carried, float_fixed;
  Graph advance;                     // from the values to: whether to go on, and what is carried into the next turn
  GradientGraph back_test;           // from the values, cotangents of what is handed on, and sums so far, to cotangents
  Graph adjoint;                     // from the values, cotangents behind the turn, and sums so far, to those before it
  std::vector<bool> adjoint_reads;   // per carried value
  /// Whether anything is added to a sum, which is the cotangent of this number.
  bool adds_to(size_t cotangent) const {
    const Value last = back_test.graph.outputs()[*back_test.outputs[cotangent]];
    return input_index(adjoint, adjoint.outputs()[cotangent]) < 0 || input_index(back_test.graph, last) < 0;
  }
  std::vector<std::optional<int64_t>> steps;   // by which a carried value of integers grows each turn, where that is known

 private:
  GradientGraph differentiated(const Graph& graph, std::span<const Value> targets) const;
  Graph make_advance() const;
  Graph make_adjoint() const;
};

TurnGraphs::TurnGraphs(const WhileLoop& loop)
    : test(loop.test.graph()), body(loop.body.graph()), num_carried(body.outputs().size()) {
  for (Value input : test.inputs()) {
    if (is_floating(test.type(input).dtype)) (types.size() < num_carried ? float_carried : float_fixed).push_back(types.size());
    types.push_back(test.type(input));
  }
  advance = make_advance();
  back_test = differentiated(test, test.outputs().subspan(1));
  adjoint = make_adjoint();
  adjoint_reads = inputs_read(adjoint, adjoint.outputs());
  adjoint_reads.resize(num_carried);
  for (size_t i = 0; i < num_carried; ++i) {
    const Node& next = advance.node(advance.outputs()[1 + i]);
    std::optional<int64_t> step;
    for (int k = 0; next.op == Op::add && types[i].shape.empty() && k < 2 && !step; ++k) {
      if (input_index(advance, next.operands[k]) != static_cast<int>(i)) continue;
      step = integer(advance.node(next.operands[1 - k]).op, types[i].dtype);
    }
    steps.push_back(step);
  }
}

/// The cotangents of the inputs of floats; those of the fixed ones, which come last, begin with sums so far.
GradientGraph TurnGraphs::differentiated(const Graph& graph, std::span<const Value> targets) const {
  const Values sources = floats_of(graph, graph.inputs());
  std::vector<bool> so_far(sources.size() - float_fixed.size(), false);
  so_far.resize(sources.size(), true);
  return differentiate(graph, floats_of(graph, targets), sources, {.so_far = so_far});
}

Graph TurnGraphs::make_advance() const {
  GraphBuilder builder;
  Values values;
  for (const Type& type : types) values.push_back(*builder.input(type));
  Emitter emitter(builder);
  const Values asked = inlined(emitter, test, values);
  const Values handed = behind(asked, 1), fixed = behind(values, num_carried);
  const Values next = inlined(emitter, body, joined({handed, fixed}));
  return std::move(builder).finish(joined({std::span(asked).first(1), next}));
}

Graph TurnGraphs::make_adjoint() const {
  GraphBuilder builder;
  Values values, next, sums;
  for (const Type& type : types) values.push_back(*builder.input(type));
  for (size_t i : float_carried) next.push_back(*builder.input(types[i]));
  for (size_t i : float_fixed) sums.push_back(*builder.input(types[i]));
  Emitter emitter(builder);
  const Values fixed = behind(values, num_carried);
  const Values handed = behind(inlined(emitter, test, values), 1);
  const GradientGraph back_body = differentiated(body, body.outputs());
  const std::vector<Ex> of_body =
      cotangents_of(emitter, back_body, inlined(emitter, back_body.graph, joined({handed, fixed, next, sums})));
  const Values outputs = floats_of(test, test.outputs().subspan(1));
  Values weights;
  for (size_t i = 0; i < outputs.size(); ++i) weights.push_back(or_zero(emitter, of_body[i], test.type(outputs[i])));
  Values sums_of_body;
  for (size_t i = 0; i < sums.size(); ++i) sums_of_body.push_back(of_body[outputs.size() + i].value());
  const std::vector<Ex> found =
      cotangents_of(emitter, back_test, inlined(emitter, back_test.graph, joined({values, weights, sums_of_body})));
  Values made;
  for (size_t i = 0; i < float_carried.size(); ++i) made.push_back(or_zero(emitter, found[i], types[float_carried[i]]));
  for (size_t i = float_carried.size(); i < found.size(); ++i) made.push_back(found[i].value());
  return std::move(builder).finish(made);
}

/// The loops of the gradient. Where a list of them stands, `own` values of a region come first and fixed ones behind.
class Gradient {
 public:
  Gradient(const WhileLoop& loop, const Backward& at) : turn_(loop), at_(at), maker_(at.operands[0].maker()), checkpoint_(loop.checkpoint) {
    for (const Ex& operand : at.operands) operands_.push_back(operand.value());
    fixed_ = behind(operands_, turn_.num_carried);
    num_turns_ = counted_turns();
  }

  std::vector<Ex> run() {
    choose();
    Filled kept;
    if (!num_turns_ || !kept_.empty() || hands_on_more()) kept = fill_all();
    const Ex turns = num_turns_ ? *num_turns_ : kept.turns;
    const Values start = at_the_end(kept.carried);
    const Values found = is_direct_ ? way_back(maker_, start, {i64(maker_, 0), turns, Ex()}, operands_, kept.stacks)
                                    : by_stretches(start, turns, kept);
    return gradients(found);
  }

 private:
  struct Filled {
    Ex turns, spacing;     // a row for so many turns
    Values carried, stacks;
  };
  /// Turns that are gone back through: their number, and how many turns a row of the stacks stands for, or none for one.
  struct Stretch {
    Ex first, count, spacing;
  };

  const Graph& test() const { return turn_.test; }
  size_t num_carried() const { return turn_.num_carried; }

  // ---- What is kept

  /// How often a loop goes round that counts by 1 as long as it is below a bound that stays.
  std::optional<Ex> counted_turns() {
    const Graph& graph = turn_.advance;
    const Node& asks = graph.node(graph.outputs()[0]);
    if (asks.op != Op::less || asks.operands.size() != 2) return std::nullopt;
    const int counter = input_index(graph, asks.operands[0]);
    if (counter < 0 || counter >= static_cast<int>(num_carried()) || turn_.steps[counter] != 1) return std::nullopt;
    const int bound = input_index(graph, asks.operands[1]);
    const DType dtype = turn_.types[counter].dtype;
    const std::optional<int64_t> end = integer(graph.node(asks.operands[1]).op, dtype);
    if (!end && bound < static_cast<int>(num_carried())) return std::nullopt;
    const auto known = [&](int i) { return integer(maker_.node(operands_[i]).op, dtype); };
    const std::optional<int64_t> first = known(counter), last = end ? end : known(bound);
    if (first && last) {
      const uint64_t turns = *last > *first ? static_cast<uint64_t>(*last) - static_cast<uint64_t>(*first) : 0;
      if (turns > uint64_t{1} << 62) return std::nullopt;
      known_turns_ = static_cast<int64_t>(turns);
      return i64(maker_, *known_turns_);
    }
    const Ex to = end ? i64(maker_, *end) : as_i64(Ex(maker_, operands_[bound]));
    return max(to - as_i64(Ex(maker_, operands_[counter])), 0);
  }

  /// True if the results are not just what is carried, so that their derivatives read it.
  bool hands_on_more() const {
    std::vector<bool> read = inputs_read(turn_.back_test.graph, turn_.back_test.graph.outputs());
    read.resize(num_carried());
    return any(read);
  }

  int64_t bytes(const std::vector<bool>& values) const {
    int64_t sum = 1;
    for (size_t i = 0; i < values.size(); ++i) sum += values[i] ? turn_.types[i].bytes() : 0;
    return sum;
  }

  /// What is kept, and how.
  void choose() {
    std::vector<bool> read = turn_.adjoint_reads;
    drop_counters(read);
    const bool is_nothing = !any(read);
    const bool fits = known_turns_ && *known_turns_ <= kDirectBytes / bytes(read);
    is_direct_ = is_nothing || (known_turns_ && checkpoint_ == 1) || (fits && checkpoint_ == 0);
    if (is_direct_) {
      rows_ = std::max<int64_t>(known_turns_.value_or(1), 1);
      thins_ = false;
    } else {
      close(read);
      rows_ = std::clamp(kStackBytes / bytes(read), kFewestRows, kMostRows) / 2 * 2;
      first_spacing_ = std::max<int64_t>(checkpoint_, 1);
      if (checkpoint_ > 0 && known_turns_) {
        rows_ = (*known_turns_ + checkpoint_ - 1) / checkpoint_ + 1;
        thins_ = false;
      }
    }
    for (size_t i = 0; i < read.size(); ++i) {
      if (read[i]) kept_.push_back(i);
    }
  }

  void drop_counters(std::vector<bool>& values) const {
    for (size_t i = 0; i < values.size(); ++i) values[i] = values[i] && !turn_.steps[i];
  }

  /// Adds what those values are computed from in the turns before.
  void close(std::vector<bool>& values) const {
    for (bool changed = true; changed;) {
      changed = false;
      Values outputs;
      for (size_t i = 0; i < values.size(); ++i) {
        if (values[i]) outputs.push_back(turn_.advance.outputs()[1 + i]);
      }
      std::vector<bool> more = inputs_read(turn_.advance, outputs);
      more.resize(num_carried());
      drop_counters(more);
      for (size_t i = 0; i < values.size(); ++i) {
        changed = changed || (more[i] && !values[i]);
        values[i] = values[i] || more[i];
      }
    }
  }

  Values empty_stacks(ExMaker& maker, int64_t rows) const {
    Values stacks;
    for (size_t i : kept_) stacks.push_back(constant(maker, 0, {turn_.types[i].dtype, {rows, turn_.types[i].size()}}).value());
    return stacks;
  }

  /// The values that are carried into a turn: from their row, by counting, or, where nothing reads them, anything.
  Values state_at(ExMaker& maker, std::span<const Value> start, std::span<const Value> stacks, const Ex& row, const Ex& turn) const {
    Values carried(start.begin(), start.begin() + static_cast<int64_t>(num_carried()));
    for (size_t i = 0; i < carried.size(); ++i) {
      if (!turn_.steps[i]) continue;
      const DType dtype = turn_.types[i].dtype;
      const Ex turns = dtype == DType::i64 ? turn : cast(turn, dtype);
      carried[i] = (Ex(maker, carried[i]) + turns * number(maker, dtype, *turn_.steps[i])).value();
    }
    for (size_t k = 0; k < kept_.size(); ++k) {
      carried[kept_[k]] = reshape(gather({maker, stacks[k]}, row, 0), turn_.types[kept_[k]].shape).value();
    }
    return carried;
  }

  // ---- The way forward

  /// Runs until the loop ends, or `count` turns, and keeps a row for each `spacing` turns. With `thins` there may be more turns
  /// than rows for them.
  Filled fill(ExMaker& maker, const Values& start, const Values& fixed, int64_t rows, const Ex& spacing, bool thins,
              const Ex& count) const {
    const Values given = count.is_none() ? fixed : joined({Values{count.value()}, fixed});
    const Values zero = {i64(maker, 0).value()};
    const Values stacks = empty_stacks(maker, rows);
    if (!thins) {
      const Values with = joined({Values{spacing.value()}, given});
      const Values ends = fill_rows(maker, joined({zero, start, stacks}), with, rows, thins, !count.is_none());
      return filled(maker, behind(ends, 1), spacing);
    }
    const Values first = {number(maker, DType::boolean, true).value(), zero[0], spacing.value()};
    const Values ends = make_loop(
        maker, joined({first, start, stacks}), given,
        [](ExMaker&, std::span<const Value> own, std::span<const Value>) { return Values(own.begin(), own.end()); },
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> others) {
          const Ex apart(m, own[1]);
          const Values now = joined({own.first(1), own.subspan(2)}), with = joined({own.subspan(1, 1), others});
          const Values made = fill_rows(m, now, with, rows, thins, !count.is_none());
          const Ex is_full(m, made[0]);
          const Filled state = filled(m, behind(made, 1), where(is_full, apart * 2, apart));
          const Values next = thinned(m, is_full, state.stacks);
          return joined({Values{is_full.value(), state.turns.value(), state.spacing.value()}, state.carried, next});
        });
    const Ex apart(maker, ends[1]);
    return filled(maker, joined({Values{ends[0]}, behind(ends, 2)}), apart);
  }

  Filled filled(ExMaker& maker, const Values& ends, const Ex& spacing) const {
    const std::span<const Value> carried = part(ends, 1, num_carried());
    const std::span<const Value> stacks = part(ends, 1 + num_carried(), kept_.size());
    return {Ex(maker, ends[0]), spacing, {carried.begin(), carried.end()}, {stacks.begin(), stacks.end()}};
  }

  /// Turn after turn from a turn, what is carried and the stacks; fixed are the spacing, perhaps the number of turns, and
  /// what the loop does not change. Gives first whether it ended because all rows are taken, then what it went on with.
  Values fill_rows(ExMaker& maker, const Values& start, const Values& fixed, int64_t rows, bool thins, bool is_counted) const {
    const size_t num_mine = is_counted ? 2 : 1;   // of the fixed values
    const size_t handed = test().outputs().size() - 1;
    return make_loop(
        maker, start, fixed,
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> others) {
          const Ex turn(m, own[0]), spacing(m, others[0]);
          const std::span<const Value> carried = part(own, 1, num_carried());
          const Values asked = inlined(m, test(), joined({carried, others.subspan(num_mine)}));
          const Ex goes_on = is_counted ? turn < Ex(m, others[1]) : Ex(m, asked[0]);
          const Ex runs = thins ? goes_on && turn <= spacing * (rows - 1) : goes_on;
          return joined({Values{runs.value(), goes_on.value()}, own, behind(asked, 1)});
        },
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> others) {
          const Ex turn(m, own[1]), spacing(m, others[0]);
          const std::span<const Value> carried = part(own, 2, num_carried());
          const std::span<const Value> stacks = part(own, 2 + num_carried(), kept_.size());
          // Turns between two rows are written over until the next one is the turn of its row.
          const Ex row = in_parts_of(turn, spacing);
          Values written;
          for (size_t k = 0; k < kept_.size(); ++k) {
            const Ex value(m, carried[kept_[k]]);
            written.push_back(update_slice({m, stacks[k]}, reshape(value, {1, value.shape().product()}), row, 0).value());
          }
          const Values next = inlined(m, turn_.body, joined({part(own, own.size() - handed, handed), others.subspan(num_mine)}));
          return joined({Values{(turn + 1).value()}, next, written});
        });
  }

  /// Every second row where all are taken.
  static Values thinned(ExMaker& maker, const Ex& is_full, const Values& stacks) {
    if (stacks.empty()) return {};
    return make_cond(
        maker, is_full.value(), stacks,
        [](ExMaker& m, std::span<const Value>, std::span<const Value> full) {
          Values halves;
          for (Value value : full) {
            const Ex stack(m, value);
            const int64_t half = stack.shape()[0] / 2, size = stack.shape()[1];
            const Ex rows = slice(stack, {0, 0}, {2, 1}, {half, size});
            halves.push_back(pad(rows, number(m, rows.dtype(), 0), {0, 0}, {half, 0}).value());
          }
          return halves;
        },
        [](ExMaker&, std::span<const Value>, std::span<const Value> full) { return Values(full.begin(), full.end()); });
  }

  Filled fill_all() {
    const Values start(operands_.begin(), operands_.begin() + static_cast<int64_t>(num_carried()));
    return fill(maker_, start, fixed_, rows_, i64(maker_, first_spacing_), thins_, Ex());
  }

  // ---- The way back

  /// The cotangents of the test's inputs when it ran for the last time: of what is carried, then sums.
  Values at_the_end(const Values& last) {
    Values cotangents, sums;
    for (size_t i = 0; i < at_.results.size(); ++i) {
      if (is_floating(at_.results[i].dtype())) cotangents.push_back(or_zero(maker_, at_.cotangents[i], Type(at_.results[i].type())));
    }
    for (size_t i : turn_.float_fixed) {
      // Nothing so far is the number that changes no other one.
      const Type& type = turn_.types[i];
      sums.push_back(at_.so_far[i].is_none() ? constant(maker_, bits_of(-0.0, type.dtype), type).value() : at_.so_far[i].value());
    }
    const Values start(operands_.begin(), operands_.begin() + static_cast<int64_t>(num_carried()));
    const Values values = joined({last.empty() ? start : last, fixed_, cotangents, sums});
    const std::vector<Ex> found = cotangents_of(maker_, turn_.back_test, inlined(maker_, turn_.back_test.graph, values));
    Values ends;
    for (size_t i = 0; i < turn_.float_carried.size(); ++i) ends.push_back(or_zero(maker_, found[i], turn_.types[turn_.float_carried[i]]));
    for (size_t i = turn_.float_carried.size(); i < found.size(); ++i) ends.push_back(found[i].value());
    return ends;
  }

  /// The cotangents before a stretch of turns. `operands` are those of the loop.
  Values way_back(ExMaker& maker, const Values& cotangents, const Stretch& stretch, std::span<const Value> operands,
                  const Values& stacks) const {
    Values mine = {stretch.first.value(), stretch.count.value()};
    const bool has_gaps = !stretch.spacing.is_none();
    if (has_gaps) mine.push_back(stretch.spacing.value());
    const size_t num_mine = mine.size();
    const Values ends = make_loop(
        maker, joined({Values{i64(maker, 0).value()}, cotangents}), joined({mine, operands, stacks}),
        [](ExMaker& m, std::span<const Value> own, std::span<const Value> fixed) {
          return joined({Values{(Ex(m, own[0]) < Ex(m, fixed[1])).value()}, own});
        },
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> fixed) {
          const Ex turn(m, own[0]), first(m, fixed[0]), count(m, fixed[1]);
          const std::span<const Value> given = part(fixed, num_mine, operands_.size());
          const Values unchanged = behind(given, num_carried());
          const std::span<const Value> rows = fixed.subspan(num_mine + operands_.size());
          const Ex place = count - 1 - turn;
          Values carried;
          if (has_gaps) {
            const Ex spacing(m, fixed[2]);
            const Ex row = floor_div(place, spacing), kept = row * spacing;
            carried = advanced(m, state_at(m, given, rows, row, first + kept), unchanged, place - kept);
          } else {
            carried = state_at(m, given, rows, place, first + place);
          }
          const Values before = inlined(m, turn_.adjoint, joined({carried, unchanged, own.subspan(1)}));
          return joined({Values{(turn + 1).value()}, before});
        });
    return behind(ends, 1);
  }

  /// What is carried so many turns later.
  Values advanced(ExMaker& maker, const Values& carried, const Values& fixed, const Ex& turns) const {
    const Values ends = make_loop(
        maker, joined({Values{i64(maker, 0).value()}, carried}), joined({Values{turns.value()}, fixed}),
        [](ExMaker& m, std::span<const Value> own, std::span<const Value> others) {
          return joined({Values{(Ex(m, own[0]) < Ex(m, others[0])).value()}, own});
        },
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> others) {
          const Values next = inlined(m, turn_.advance, joined({own.subspan(1), others.subspan(1)}));
          return joined({Values{(Ex(m, own[0]) + 1).value()}, std::span(next).subspan(1)});
        });
    return behind(ends, 1);
  }

  /// The cotangents at the beginning, where a row stands for a stretch of turns: from the last stretch to the first.
  Values by_stretches(const Values& start, const Ex& turns, const Filled& kept) {
    // Where each turn has its row all of them are one stretch, which has its rows already.
    const bool may_be_dense = first_spacing_ == 1;
    const Ex length = may_be_dense ? where(kept.spacing == 1, max(turns, 1), kept.spacing) : kept.spacing;
    const Values mine = {turns.value(), length.value(), in_parts_of(turns, length).value(), kept.spacing.value()};
    const Values ends = make_loop(
        maker_, joined({Values{i64(maker_, 0).value()}, start}), joined({mine, operands_, kept.stacks}),
        [](ExMaker& m, std::span<const Value> own, std::span<const Value> fixed) {
          return joined({Values{(Ex(m, own[0]) < Ex(m, fixed[2])).value()}, own});
        },
        [&](ExMaker& m, std::span<const Value> own, std::span<const Value> fixed) {
          const Ex done(m, own[0]), all(m, fixed[0]), apart(m, fixed[1]), parts(m, fixed[2]);
          const std::span<const Value> given = part(fixed, mine.size(), operands_.size());
          const Values rows(fixed.begin() + static_cast<int64_t>(mine.size() + operands_.size()), fixed.end());
          const Ex number = parts - 1 - done;
          Stretch stretch{number * apart, min(apart, all - number * apart), Ex()};
          Values stacks;
          if (may_be_dense) {
            const Values found = make_cond(
                m, (Ex(m, fixed[3]) == 1).value(), joined({Values{number.value(), stretch.first.value(), stretch.count.value()}, given, rows}),
                [&](ExMaker& arm, std::span<const Value>, std::span<const Value> values) {
                  return joined({Values{i64(arm, 1).value()}, values.subspan(3 + operands_.size())});
                },
                [&](ExMaker& arm, std::span<const Value>, std::span<const Value> values) {
                  const Filled again = replayed(arm, Ex(arm, values[0]), Ex(arm, values[1]), Ex(arm, values[2]),
                                                values.subspan(3, operands_.size()), values.subspan(3 + operands_.size()));
                  return joined({Values{again.spacing.value()}, again.stacks});
                });
            stretch.spacing = {m, found[0]};
            stacks = behind(found, 1);
          } else {
            const Filled again = replayed(m, number, stretch.first, stretch.count, given, rows);
            if (thins_) stretch.spacing = again.spacing;
            stacks = again.stacks;
          }
          const Values cotangents(own.begin() + 1, own.end());
          return joined({Values{(done + 1).value()}, way_back(m, cotangents, stretch, given, stacks)});
        });
    return behind(ends, 1);
  }

  /// The turns of a stretch once more, from its row on.
  Filled replayed(ExMaker& maker, const Ex& number, const Ex& first, const Ex& count, std::span<const Value> operands,
                  std::span<const Value> rows) const {
    const Values start = state_at(maker, operands, rows, number, first);
    const int64_t num_rows = thins_ ? rows_ : first_spacing_;
    return fill(maker, start, behind(operands, num_carried()), num_rows, i64(maker, 1), thins_, count);
  }

  std::vector<Ex> gradients(const Values& found) {
    std::vector<Ex> gradients(operands_.size());
    size_t next = 0;
    for (size_t i : turn_.float_carried) {
      const Ex made(maker_, found[next++]);
      gradients[i] = at_.so_far[i].is_none() ? made : at_.so_far[i] + made;
    }
    for (size_t i : turn_.float_fixed) {
      if (turn_.adds_to(next)) gradients[i] = {maker_, found[next]};
      ++next;
    }
    return gradients;
  }

  const TurnGraphs turn_;
  const Backward& at_;
  ExMaker& maker_;
  const int64_t checkpoint_;
  Values operands_, fixed_;
  std::optional<Ex> num_turns_;          // where it follows from the operands
  std::optional<int64_t> known_turns_;   // or is known

  bool is_direct_ = true;        // each turn has its row, or nothing is kept
  bool thins_ = true;
  int64_t rows_ = 1, first_spacing_ = 1;
  std::vector<size_t> kept_;     // carried values that have stacks
};

}  // namespace

std::vector<Ex> WhileLoop::gradients(const Backward& at) const { return Gradient(*this, at).run(); }

}  // namespace etch::op
