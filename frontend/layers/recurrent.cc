// Recurrent layers: a cell's formula, split into what all times share and a step.
#include "etch/layers/recurrent.h"

#include <string_view>

#include "etch/custom_gradient.h"
#include "etch/gradient_tape.h"
#include "etch/layers/rnn.h"
#include "frontend/layers/parts.h"
#include "frontend/layers/sequence.h"

namespace etch::layers {
namespace {

using detail::fail_in_op;
using detail::Scope;
using Call = SequenceCall;

/// What cells have in common, taken from one of them.
struct Parts {
  int64_t units;
  int64_t gates;
  bool use_bias;
  const Initializer& kernel_initializer;
  const Initializer& recurrent_initializer;
  Initializer bias_initializer;
  Shape bias_shape;
  double dropout;
  double recurrent_dropout;
  const Variable& kernel;
  const Variable& recurrent_kernel;
  const Variable& bias;
  const Generator& generator;
};

template <class Cell>
Parts parts_of(const Cell& cell, int64_t gates) {
  return {cell.units, gates, cell.use_bias, cell.kernel_initializer, cell.recurrent_initializer, cell.bias_initializer,
          gates * cell.units, cell.dropout, cell.recurrent_dropout, cell.kernel, cell.recurrent_kernel, cell.bias,
          cell.generator};
}

Parts parts(const SimpleRNNCell& cell) { return parts_of(cell, 1); }

Parts parts(const GRUCell& cell) {
  Parts parts = parts_of(cell, 3);
  if (cell.reset_after) parts.bias_shape = {2, 3 * cell.units};
  return parts;
}

Parts parts(const LSTMCell& cell) {
  Parts parts = parts_of(cell, 4);
  if (!cell.unit_forget_bias) return parts;
  parts.bias_initializer = [initializer = cell.bias_initializer, n = cell.units](const Shape&, DType dtype) {
    return concat({initializer(n, dtype), ones(n, dtype), initializer(2 * n, dtype)}, 0);
  };
  return parts;
}

void check_rate(double rate, std::string_view option, const Call& call) {
  if (rate >= 0 && rate <= 1) return;
  fail_in_op(call.where, cat(call.name, ": ", option, " is ", detail::number_text(rate), ", but it may be 0 to 1"));
}

void build_parts(const Parts& parts, const Call& call) {
  if (parts.units <= 0) {
    fail_in_op(call.where, cat(call.name, ": units is ", parts.units, ", but a layer has 1 or more"));
  }
  check_rate(parts.dropout, "dropout", call);
  check_rate(parts.recurrent_dropout, "recurrent_dropout", call);
  const int64_t width = parts.gates * parts.units;
  const auto build_one = [&](const Variable& variable, const Initializer& initializer, const Shape& shape) {
    build(variable, initializer, shape, call.x, call.name, call.where);
  };
  build_one(parts.kernel, parts.kernel_initializer, {call.x.shape()[call.x.rank() - 1], width});
  build_one(parts.recurrent_kernel, parts.recurrent_initializer, {parts.units, width});
  if (parts.use_bias) build_one(parts.bias, parts.bias_initializer, parts.bias_shape);
}

/// Factors 0 and 1 / (1 - rate) for each sample; none if nothing is dropped.
Tensor dropout_mask(double rate, const Shape& shape, const Parts& parts, bool training, const Call& call) {
  if (!training || rate == 0) return {};
  const DType dtype = call.x.dtype();
  if (rate == 1) return zeros(shape, dtype);
  const Tensor u = parts.generator.uniform(shape, {}, call.where);
  return where(u >= static_cast<float>(rate), full({}, 1 / (1 - rate), dtype), zeros({}, dtype));
}

Tensor times(const Tensor& x, const Tensor& mask) { return mask.defined() ? x * mask : x; }

Tensor applied(const Activation& activation, const Tensor& x) { return activation ? activation(x) : x; }

/// x in parts of one extent along its last axis. The derivative puts the parts' gradients side by side, where that of slices
/// would add up tensors of the size of x, one for each part.
std::vector<Tensor> split(const Tensor& x, int64_t extent, Location where) {
  const auto parts = [=](const Tensor& x) {
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < x.shape()[x.rank() - 1]; begin += extent) {
      parts.push_back(x[{ellipsis, Slice(begin, begin + extent)}]);
    }
    auto backward = [zero = zeros_like(parts[0])](std::vector<Tensor> gradients) {
      for (Tensor& gradient : gradients) {
        if (!gradient.defined()) gradient = zero;
      }
      return concat(gradients, -1);
    };
    return std::pair(parts, std::move(backward));
  };
  return custom_gradient(parts, where)(x);
}

// ---- The formulas. `project` is what the input of all times goes through, `inner` what the state before a time goes through
// first; `step` makes the states after it of both. ----

/// One time of a cell.
struct Time {
  Tensor projected, inner;
  std::vector<Tensor> states;  // before it
};

/// What a layer's loop over time multiplies the state with, and what the steps use beside it.
struct Recurrent {
  Tensor kernel{};
  std::vector<Tensor> bias{};    // one or none
  std::vector<Tensor> beside{};  // weights that a step uses itself
};

Tensor project(const SimpleRNNCell& cell, const Tensor& x) {
  const Tensor y = matmul(x, cell.kernel);
  return cell.use_bias ? y + cell.bias : y;
}

Recurrent recurrent(const SimpleRNNCell& cell) { return {cell.recurrent_kernel}; }

std::vector<Tensor> step(const SimpleRNNCell& cell, const Time& time, const Recurrent&, const Tensor&, Location) {
  return {applied(cell.activation, time.projected + time.inner)};
}

Tensor project(const GRUCell& cell, const Tensor& x) {
  const Tensor y = matmul(x, cell.kernel);
  if (!cell.use_bias) return y;
  return cell.reset_after ? y + cell.bias.value()[0] : y + cell.bias;
}

Recurrent recurrent(const GRUCell& cell) {
  const Tensor kernel = cell.recurrent_kernel;
  const int64_t gates = 2 * cell.units;
  if (!cell.reset_after) return {kernel[{Slice(), Slice::to(gates)}], {}, {kernel[{Slice(), Slice::from(gates)}]}};
  return {kernel, cell.use_bias ? std::vector<Tensor>{cell.bias.value()[1]} : std::vector<Tensor>()};
}

std::vector<Tensor> step(const GRUCell& cell, const Time& time, const Recurrent& recurrent, const Tensor& mask,
                         Location where) {
  const std::vector<Tensor> x = split(time.projected, cell.units, where), h = split(time.inner, cell.units, where);
  const Tensor before = time.states[0];
  const Tensor z = applied(cell.recurrent_activation, x[0] + h[0]);
  const Tensor r = applied(cell.recurrent_activation, x[1] + h[1]);
  const Tensor inner = cell.reset_after ? r * h[2] : matmul(r * times(before, mask), recurrent.beside[0]);
  return {z * before + (1 - z) * applied(cell.activation, x[2] + inner)};
}

/// The bias stands with the input, so that it is added once for all times.
Tensor project(const LSTMCell& cell, const Tensor& x) {
  const Tensor y = matmul(x, cell.kernel);
  return cell.use_bias ? y + cell.bias : y;
}

Recurrent recurrent(const LSTMCell& cell) { return {cell.recurrent_kernel}; }

std::vector<Tensor> step(const LSTMCell& cell, const Time& time, const Recurrent&, const Tensor&, Location where) {
  const std::vector<Tensor> gates = split(time.projected + time.inner, cell.units, where);
  const auto gate = [&](size_t i) { return applied(cell.recurrent_activation, gates[i]); };
  const Tensor carry = gate(1) * time.states[1] + gate(0) * applied(cell.activation, gates[2]);
  return {gate(3) * applied(cell.activation, carry), carry};
}

int64_t num_states(const SimpleRNNCell&) { return 1; }
int64_t num_states(const GRUCell&) { return 1; }
int64_t num_states(const LSTMCell&) { return 2; }

/// What the state before a time goes through.
Tensor inner_of(const Tensor& state, const Recurrent& recurrent, const Tensor& mask) {
  const Tensor product = matmul(times(state, mask), recurrent.kernel);
  return recurrent.bias.empty() ? product : product + recurrent.bias[0];
}

// ---- Cells and layers over them ----

/// The states that were given, or zeros.
std::vector<Tensor> states_of(const std::vector<Tensor>& given, int64_t count, int64_t units, const Call& call) {
  const Type type{call.x.dtype(), {call.x.shape()[0], units}};
  if (given.empty()) {
    std::vector<Tensor> states;
    for (int64_t i = 0; i < count; ++i) states.push_back(zeros(type.shape, type.dtype));
    return states;
  }
  if (given.size() != static_cast<size_t>(count)) {
    fail_in_op(call.where, cat(call.name, ": ", given.size(), " states are given, but it has ", count));
  }
  for (const Tensor& state : given) {
    const Type own = detail::impl_of(state, call.where).type();
    if (own != type) {
      fail_in_op(call.where, cat(call.name, ": a state is ", to_string(own), ", but it must be ", to_string(type)));
    }
  }
  return given;
}

template <class Cell>
WithState call_cell(const Cell& cell, std::string_view name, const Operand& x, const std::vector<Tensor>& states,
                    bool training) {
  const Scope scope(name, x.where());
  const Call call{name, sequence_input(x, name, 2), x.where()};
  const Parts own = parts(cell);
  build_parts(own, call);
  const std::vector<Tensor> before = states_of(states, num_states(cell), own.units, call);
  const Tensor input = times(call.x, dropout_mask(own.dropout, call.x.shape(), own, training, call));
  const Tensor mask = dropout_mask(own.recurrent_dropout, before[0].shape(), own, training, call);
  const Recurrent weights = recurrent(cell);
  const Time time{project(cell, input), inner_of(before[0], weights, mask), before};
  std::vector<Tensor> after = step(cell, time, weights, mask, call.where);
  const Tensor output = after[0];
  return {output, std::move(after)};
}

/// The loop over time of a cell, with a derivative of its own: the gradient in the recurrent kernel is one product of all states with
/// all gradients, where the derivative of the loop would add up a product for each time.
template <class Cell>
class Loop {
 public:
  Loop(const Cell& cell, std::vector<Tensor> masks, Tensor state_mask, OverTime direction, Location where)
      : cell_(cell), masks_(std::move(masks)), state_mask_(std::move(state_mask)), direction_(direction), where_(where) {}

  /// The last output or all of them, then the states, of an input that is projected, f[time, batch, width].
  std::vector<Tensor> operator()(const Tensor& projected, const Recurrent& weights, const std::vector<Tensor>& initial) const {
    const auto run = [loop = *this](const Tensor& projected, const Tensor& kernel, const std::vector<Tensor>& bias,
                                    const std::vector<Tensor>& beside, const std::vector<Tensor>& initial) {
      return loop.run(projected, {kernel, bias, beside}, initial);
    };
    return custom_gradient(run, where_)(projected, weights.kernel, weights.bias, weights.beside, initial);
  }

 private:
  using Tensors = std::vector<Tensor>;

  auto run(const Tensor& projected, const Recurrent& weights, const Tensors& initial) const {
    std::vector<Time> times;
    Tensors states;
    for (const Tensor& state : initial) states.push_back(reshape(state, state.shape()));  // each a tensor of its own
    if (!masks_.empty()) states.push_back(zeros_like(states[0]));  // the output, which masks keep
    Tensors results;
    for (int64_t i = 0; i < projected.shape()[0]; ++i) {
      times.push_back({projected[row(i, projected)], inner_of(states[0], weights, state_mask_), states});
      states = after(times.back(), i, weights);
      if (direction_.return_sequences) results.push_back(output(states));
    }
    if (!direction_.return_sequences) results.push_back(output(states));
    results.insert(results.end(), states.begin(), states.begin() + static_cast<int64_t>(initial.size()));
    auto backward = [loop = *this, times, weights, count = initial.size()](const Tensors& gradients) {
      return loop.gradients(times, weights, gradients, count);
    };
    return std::pair(std::move(results), std::move(backward));
  }

  /// The gradients in the projected input, the weights and the initial states, of those in the results.
  auto gradients(const std::vector<Time>& times, const Recurrent& weights, const Tensors& given, size_t num_initial) const {
    const auto count = static_cast<int64_t>(times.size());
    const size_t num_outputs = given.size() - num_initial;
    Tensors d_states(times[0].states.size());
    for (size_t s = 0; s < num_initial; ++s) d_states[s] = given[num_outputs + s];
    Tensors d_projected(times.size()), d_inner(times.size()), before(times.size()), d_beside(weights.beside.size());
    for (int64_t i = count - 1; i >= 0; --i) {
      const Time& time = times[static_cast<size_t>(i)];
      const bool has_output = direction_.return_sequences || i == count - 1;
      if (has_output) add_to(output(d_states), given[direction_.return_sequences ? static_cast<size_t>(i) : 0]);
      for (size_t s = 0; s < d_states.size(); ++s) add_to(d_states[s], Tensor(), time.states[s]);
      const auto sources = std::tuple(time.projected, time.inner, time.states, weights.beside);
      GradientTape tape({.watch_accessed_variables = false}, where_);
      tape.watch(sources, where_);
      const auto [d_x, d_h, d_before, d_weights] =
          tape.gradient(after(time, i, weights), sources, d_states, {Unconnected::zeros}, where_);
      const auto t = static_cast<size_t>(row(i, count));
      d_projected[t] = d_x;
      d_inner[t] = d_h;
      before[t] = etch::layers::times(time.states[0], state_mask_);
      for (size_t w = 0; w < d_beside.size(); ++w) add_to(d_beside[w], d_weights[w]);
      d_states = d_before;
      add_to(d_states[0], etch::layers::times(matmul(d_h, weights.kernel, {.transpose_b = true}), state_mask_));
    }
    const Tensor all_d_inner = concat(d_inner, 0);  // of most cells that of the input as well, then they are one
    const Tensor d_kernel = matmul(concat(before, 0), all_d_inner, {.transpose_a = true});
    const Tensors d_bias = weights.bias.empty() ? Tensors() : Tensors{sum(all_d_inner, 0)};
    d_states.resize(num_initial);
    const Shape shape{count, times[0].projected.shape()[0], times[0].projected.shape()[1]};
    return std::tuple(reshape(concat(d_projected, 0), shape), d_kernel, d_bias, d_beside, d_states);
  }

  Tensors after(const Time& time, int64_t i, const Recurrent& weights) const {
    Tensors after = step(cell_, time, weights, state_mask_, where_);
    if (masks_.empty()) return after;
    const Tensor& mask = masks_[static_cast<size_t>(row(i, static_cast<int64_t>(masks_.size())))];
    const Tensor shown = where(mask, after[0], time.states.back());
    for (size_t s = 0; s < after.size(); ++s) after[s] = where(mask, after[s], time.states[s]);
    after.push_back(shown);
    return after;
  }

  /// The output among states.
  template <class States>
  auto& output(States& states) const {
    return masks_.empty() ? states.front() : states.back();
  }
  /// The time of step number i.
  int64_t row(int64_t i, int64_t count) const { return direction_.go_backwards ? count - 1 - i : i; }
  int64_t row(int64_t i, const Tensor& projected) const { return row(i, projected.shape()[0]); }

  /// Adds a gradient, where there is one; of none at all it makes zeros like `zero`.
  static void add_to(Tensor& sum, const Tensor& gradient, const Tensor& zero = {}) {
    if (gradient.defined()) sum = sum.defined() ? sum + gradient : gradient;
    if (!sum.defined() && zero.defined()) sum = zeros_like(zero);
  }

  Cell cell_;
  Tensors masks_;
  Tensor state_mask_;
  OverTime direction_;
  Location where_;
};

template <class Cell>
WithState call_layer(const Cell& cell, std::string_view name, OverTime direction, const Operand& x,
                     const SequenceOptions& options) {
  const Scope scope(name, x.where());
  const Call call{name, sequence_input(x, name, 3), x.where()};
  const int64_t batch = call.x.shape()[0], width = call.x.shape()[2];
  check_time(call);
  const Parts own = parts(cell);
  build_parts(own, call);
  const std::vector<Tensor> initial = states_of(options.initial_state, num_states(cell), own.units, call);
  const Tensor dropped = dropout_mask(own.dropout, {batch, 1, width}, own, options.training, call);
  const Tensor state_mask = dropout_mask(own.recurrent_dropout, initial[0].shape(), own, options.training, call);
  const Tensor projected = project(cell, transpose(times(call.x, dropped), {1, 0, 2}));
  const Loop loop(cell, masks_of(options.mask, call), state_mask, direction, call.where);
  std::vector<Tensor> results = loop(projected, recurrent(cell), initial);
  const auto first_state = results.end() - static_cast<int64_t>(initial.size());
  const std::vector<Tensor> outputs(results.begin(), first_state);
  return {direction.return_sequences ? stack(outputs, 1) : outputs[0], {first_state, results.end()}};
}

}  // namespace

WithState SimpleRNNCell::operator()(const Operand& x, const std::vector<Tensor>& states, bool training) const {
  return call_cell(*this, "simple_rnn_cell", x, states, training);
}

WithState GRUCell::operator()(const Operand& x, const std::vector<Tensor>& states, bool training) const {
  return call_cell(*this, "gru_cell", x, states, training);
}

WithState LSTMCell::operator()(const Operand& x, const std::vector<Tensor>& states, bool training) const {
  return call_cell(*this, "lstm_cell", x, states, training);
}

SimpleRNNCell SimpleRNN::cell() const {
  return {units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
          recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
          recurrent_dropout, kernel, recurrent_kernel, bias, generator};
}

GRUCell GRU::cell() const {
  return {units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
          kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
          bias_constraint, dropout, recurrent_dropout, reset_after, kernel, recurrent_kernel, bias, generator};
}

LSTMCell LSTM::cell() const {
  return {units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
          unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
          recurrent_constraint, bias_constraint, dropout, recurrent_dropout, kernel, recurrent_kernel, bias, generator};
}

WithState SimpleRNN::return_state(const Operand& x, const SequenceOptions& options) const {
  return call_layer(cell(), "simple_rnn", {return_sequences, go_backwards}, x, options);
}

WithState GRU::return_state(const Operand& x, const SequenceOptions& options) const {
  return call_layer(cell(), "gru", {return_sequences, go_backwards}, x, options);
}

WithState LSTM::return_state(const Operand& x, const SequenceOptions& options) const {
  return call_layer(cell(), "lstm", {return_sequences, go_backwards}, x, options);
}

Tensor SimpleRNN::operator()(const Operand& x, bool training) const {
  return return_state(x, {.training = training}).output;
}

Tensor GRU::operator()(const Operand& x, bool training) const { return return_state(x, {.training = training}).output; }

Tensor LSTM::operator()(const Operand& x, bool training) const { return return_state(x, {.training = training}).output; }

}  // namespace etch::layers
