// Recurrent layers: a cell's formula, split into what all times share and a step.
#include "etch/layers/recurrent.h"

#include <string_view>

#include "etch/custom_gradient.h"
#include "frontend/layers/parts.h"

namespace etch::layers {
namespace {

using detail::fail_in_op;
using detail::Scope;

/// A call of a cell or a layer.
struct Call {
  std::string_view name;
  const Tensor& x;
  Location where;
};

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

/// Part number `index` of x along its last axis.
Tensor gate(const Tensor& x, int64_t index, int64_t units) { return x[{ellipsis, Slice(index * units, (index + 1) * units)}]; }

// ---- The formulas. `project` is what the input of all times goes through, `step` what is left. ----

Tensor project(const SimpleRNNCell& cell, const Tensor& x) {
  const Tensor y = matmul(x, cell.kernel);
  return cell.use_bias ? y + cell.bias : y;
}

std::vector<Tensor> step(const SimpleRNNCell& cell, const Tensor& projected, const std::vector<Tensor>& states,
                         const Tensor& mask) {
  return {applied(cell.activation, projected + matmul(times(states[0], mask), cell.recurrent_kernel))};
}

Tensor project(const GRUCell& cell, const Tensor& x) {
  const Tensor y = matmul(x, cell.kernel);
  if (!cell.use_bias) return y;
  return cell.reset_after ? y + cell.bias.value()[0] : y + cell.bias;
}

std::vector<Tensor> step(const GRUCell& cell, const Tensor& projected, const std::vector<Tensor>& states,
                         const Tensor& mask) {
  const int64_t n = cell.units;
  const Tensor before = states[0], h = times(before, mask);
  const auto gate_of = [&](const Tensor& inner, int64_t i) {
    return applied(cell.recurrent_activation, gate(projected, i, n) + gate(inner, i, n));
  };
  const auto mixed = [&](const Tensor& z, const Tensor& inner) {
    return z * before + (1 - z) * applied(cell.activation, gate(projected, 2, n) + inner);
  };
  if (cell.reset_after) {
    Tensor inner = matmul(h, cell.recurrent_kernel);
    if (cell.use_bias) inner = inner + cell.bias.value()[1];
    return {mixed(gate_of(inner, 0), gate_of(inner, 1) * gate(inner, 2, n))};
  }
  const Tensor kernel = cell.recurrent_kernel;
  const Tensor inner = matmul(h, kernel[{Slice(), Slice(0, 2 * n)}]);
  return {mixed(gate_of(inner, 0), matmul(gate_of(inner, 1) * h, kernel[{Slice(), Slice::from(2 * n)}]))};
}

Tensor project(const LSTMCell& cell, const Tensor& x) { return matmul(x, cell.kernel); }

std::vector<Tensor> step(const LSTMCell& cell, const Tensor& projected, const std::vector<Tensor>& states,
                         const Tensor& mask) {
  const int64_t n = cell.units;
  Tensor z = projected + matmul(times(states[0], mask), cell.recurrent_kernel);
  if (cell.use_bias) z = z + cell.bias;
  const auto gate_of = [&](int64_t i) { return applied(cell.recurrent_activation, gate(z, i, n)); };
  const Tensor carry = gate_of(1) * states[1] + gate_of(0) * applied(cell.activation, gate(z, 2, n));
  return {gate_of(3) * applied(cell.activation, carry), carry};
}

int64_t num_states(const SimpleRNNCell&) { return 1; }
int64_t num_states(const GRUCell&) { return 1; }
int64_t num_states(const LSTMCell&) { return 2; }

// ---- Cells and layers over them ----

/// The states that were given, or zeros.
std::vector<Tensor> states_of(const std::vector<Tensor>& given, int64_t count, int64_t units, const Call& call) {
  const Type type{call.x.dtype(), {call.x.shape()[0], units}};
  if (given.empty()) return std::vector<Tensor>(static_cast<size_t>(count), zeros(type.shape, type.dtype));
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

const Tensor& checked_input(const Operand& x, std::string_view name, int rank) {
  const Tensor& t = input_of(x, name, rank);
  if (t.rank() == rank) return t;
  fail_in_op(x.where(), cat(name, ": the input is ", to_string(Type{t.dtype(), t.shape()}), "; it has ", rank, " axes, ",
                            rank == 2 ? "[batch, n]" : "[batch, time, n]"));
}

template <class Cell>
WithState call_cell(const Cell& cell, std::string_view name, const Operand& x, const std::vector<Tensor>& states,
                    bool training) {
  const Scope scope(name, x.where());
  const Call call{name, checked_input(x, name, 2), x.where()};
  const Parts own = parts(cell);
  build_parts(own, call);
  const std::vector<Tensor> before = states_of(states, num_states(cell), own.units, call);
  const Tensor input = times(call.x, dropout_mask(own.dropout, call.x.shape(), own, training, call));
  const Tensor mask = dropout_mask(own.recurrent_dropout, before[0].shape(), own, training, call);
  std::vector<Tensor> after = step(cell, project(cell, input), before, mask);
  const Tensor output = after[0];
  return {output, std::move(after)};
}

/// The parts of x along axis 1. Their derivative puts the parts' gradients side by side, where that of slices would add up as
/// many tensors of the size of x.
std::vector<Tensor> unstacked(const Tensor& x, Location where) {
  const auto parts = [](const Tensor& x) {
    std::vector<Tensor> parts;
    for (int64_t t = 0; t < x.shape()[1]; ++t) parts.push_back(x(Slice(), t));
    auto backward = [zero = zeros_like(parts[0])](std::vector<Tensor> gradients) {
      for (Tensor& gradient : gradients) {
        if (!gradient.defined()) gradient = zero;
      }
      return stack(gradients, 1);
    };
    return std::pair(parts, std::move(backward));
  };
  return custom_gradient(parts, where)(x);
}

/// bool[batch, 1] for each time. Error for another mask than bool[batch, time].
std::vector<Tensor> masks_of(const Tensor& mask, const Call& call) {
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

struct Direction {
  bool return_sequences, go_backwards;
};

template <class Cell>
WithState call_layer(const Cell& cell, std::string_view name, Direction direction, const Operand& x,
                     const SequenceOptions& options) {
  const Scope scope(name, x.where());
  const Call call{name, checked_input(x, name, 3), x.where()};
  const int64_t batch = call.x.shape()[0], times_count = call.x.shape()[1];
  if (times_count == 0) {
    fail_in_op(call.where, cat(name, ": the input is ", to_string(Type{call.x.dtype(), call.x.shape()}), ", of no time"));
  }
  const Parts own = parts(cell);
  build_parts(own, call);
  std::vector<Tensor> states = states_of(options.initial_state, num_states(cell), own.units, call);
  const std::vector<Tensor> masks = masks_of(options.mask, call);

  const Tensor dropped = dropout_mask(own.dropout, {batch, 1, call.x.shape()[2]}, own, options.training, call);
  const Tensor state_mask = dropout_mask(own.recurrent_dropout, states[0].shape(), own, options.training, call);
  const std::vector<Tensor> projected = unstacked(project(cell, times(call.x, dropped)), call.where);
  Tensor output = zeros_like(states[0]);
  std::vector<Tensor> outputs;
  for (int64_t i = 0; i < times_count; ++i) {
    const auto t = static_cast<size_t>(direction.go_backwards ? times_count - 1 - i : i);
    std::vector<Tensor> after = step(cell, projected[t], states, state_mask);
    if (masks.empty()) {
      output = after[0];
    } else {
      output = where(masks[t], after[0], output);
      for (size_t s = 0; s < after.size(); ++s) after[s] = where(masks[t], after[s], states[s]);
    }
    states = std::move(after);
    if (direction.return_sequences) outputs.push_back(output);
  }
  return {direction.return_sequences ? stack(outputs, 1) : output, states};
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
