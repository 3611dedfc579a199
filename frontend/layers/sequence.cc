// What layers over time share: their input, their mask, and a cell that runs over both.
#include "frontend/layers/sequence.h"

#include "etch/custom_gradient.h"
#include "etch/layers/rnn.h"

namespace etch {
namespace layers {

using detail::fail_in_op;

const Tensor& sequence_input(const Operand& x, std::string_view name, int rank) {
  const Tensor& t = input_of(x, name, rank);
  if (t.rank() == rank) return t;
  fail_in_op(x.where(), cat(name, ": the input is ", to_string(Type{t.dtype(), t.shape()}), "; it has ", rank, " axes, ",
                            rank == 2 ? "[batch, n]" : "[batch, time, n]"));
}

void check_time(const SequenceCall& call) {
  if (call.x.shape()[1] > 0) return;
  fail_in_op(call.where, cat(call.name, ": the input is ", to_string(Type{call.x.dtype(), call.x.shape()}), ", of no time"));
}

std::vector<Tensor> masks_of(const Tensor& mask, const SequenceCall& call) {
  if (!mask.defined()) return {};
  const Type own = detail::impl_of(mask, call.where).type();
  const Type type{DType::boolean, {call.x.shape()[0], call.x.shape()[1]}};
  if (own != type) {
    fail_in_op(call.where, cat(call.name, ": the mask is ", to_string(own), ", but it must be ", to_string(type)));
  }
  std::vector<Tensor> masks;
  for (int64_t t = 0; t < type.shape[1]; ++t) masks.push_back(mask(Slice(), Slice(t, t + 1)));
  return masks;
}

namespace {

/// x at each time. The derivative puts the times' gradients side by side, where that of slices would add up tensors of the
/// size of x.
std::vector<Tensor> times_of(const Tensor& x, Location where) {
  const auto times = [](const Tensor& x) {
    std::vector<Tensor> times;
    for (int64_t t = 0; t < x.shape()[1]; ++t) times.push_back(x(Slice(), t));
    auto backward = [zero = zeros_like(times[0])](std::vector<Tensor> gradients) {
      for (Tensor& gradient : gradients) {
        if (!gradient.defined()) gradient = zero;
      }
      return stack(gradients, 1);
    };
    return std::pair(times, std::move(backward));
  };
  return custom_gradient(times, where)(x);
}

/// `after` where the mask, bool[batch, 1], is true, else `before`, or zeros if there is none.
Tensor masked(const Tensor& mask, const Tensor& after, const Tensor& before) {
  Shape shape = Dims::filled(after.rank(), 1);
  shape[0] = mask.shape()[0];
  return where(reshape(mask, shape), after, before.defined() ? before : zeros_like(after));
}

}  // namespace
}  // namespace layers

namespace detail {

using layers::WithState;

WithState run_over_time(const layers::CellStep& step, const Operand& x, layers::OverTime how,
                        const layers::SequenceOptions& options) {
  constexpr std::string_view kName = "rnn";
  const Scope scope(kName, x.where());
  const layers::SequenceCall call{kName, layers::sequence_input(x, kName, 3), x.where()};
  layers::check_time(call);
  const std::vector<Tensor> masks = layers::masks_of(options.mask, call), inputs = layers::times_of(call.x, call.where);
  WithState now{{}, options.initial_state};
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t t = how.go_backwards ? inputs.size() - 1 - i : i;
    WithState next = step(inputs[t], now.states);
    if (!now.states.empty() && next.states.size() != now.states.size()) {
      fail_in_op(call.where, cat(kName, ": the cell takes ", now.states.size(), " states, but gives ", next.states.size()));
    }
    now.states.resize(next.states.size());
    if (!masks.empty()) {
      next.output = layers::masked(masks[t], next.output, now.output);
      for (size_t s = 0; s < next.states.size(); ++s) {
        next.states[s] = layers::masked(masks[t], next.states[s], now.states[s]);
      }
    }
    now = std::move(next);
    if (how.return_sequences) outputs.push_back(now.output);
  }
  if (how.return_sequences) now.output = stack(outputs, 1);
  return now;
}

WithState merged(WithState forward, WithState backward, layers::Merge merge, bool sequences, Location where) {
  const Scope scope("bidirectional", where);
  const Tensor a = forward.output, b = sequences ? flip(Operand(backward.output, where), 1) : backward.output;
  WithState both = std::move(forward);
  both.states.insert(both.states.end(), backward.states.begin(), backward.states.end());
  switch (merge) {
    case layers::Merge::concat: both.output = concat({a, b}, -1, where); break;
    case layers::Merge::sum: both.output = a + b; break;
    case layers::Merge::mul: both.output = a * b; break;
    case layers::Merge::ave: both.output = (a + b) / 2; break;
  }
  return both;
}

std::pair<layers::SequenceOptions, layers::SequenceOptions> for_both(const layers::SequenceOptions& options, Location where) {
  const std::vector<Tensor>& states = options.initial_state;
  if (states.size() % 2 != 0) {
    fail_in_op(where, cat("bidirectional: ", states.size(), " states are given; those of the way forward come first, then as ",
                          "many of the way back"));
  }
  layers::SequenceOptions forward = options, backward = options;
  const auto middle = states.begin() + static_cast<int64_t>(states.size() / 2);
  forward.initial_state.assign(states.begin(), middle);
  backward.initial_state.assign(middle, states.end());
  return {std::move(forward), std::move(backward)};
}

void check_directions(bool forward, bool backward, Location where) {
  if (forward != backward) return;
  fail_in_op(where, "bidirectional: both layers go in one direction; their go_backwards must differ");
}

}  // namespace detail
}  // namespace etch
