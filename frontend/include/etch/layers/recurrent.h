// Recurrent layers: SimpleRNN, GRU, LSTM and their cells.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "etch/activations.h"
#include "etch/constraints.h"
#include "etch/initializers.h"
#include "etch/module.h"
#include "etch/ops.h"
#include "etch/random.h"
#include "etch/regularizers.h"

namespace [[gnu::visibility("default")]] etch {
namespace layers {

/// An output and the state behind it: tensors f[batch, units], first what the output is.
struct WithState {
  Tensor output;
  std::vector<Tensor> states;
};

/// What a recurrent layer is called with beside its input.
struct SequenceOptions {
  Tensor mask{};                        // bool[batch, time]: where it is false, output and state stay as they are
  std::vector<Tensor> initial_state{};  // zeros by default
  bool training = false;                // for dropout
};

// A cell is a step. It takes the input of one time, f[batch, n], and the states before it, and gives the output, f[batch, units],
// and the states after it. Called with states that are empty it begins with zeros. Gates stand side by side in kernel, f[n, gates *
// units], recurrent_kernel, f[units, gates * units], and bias, in Keras' order. Dropout is that of Gal and Ghahramani, "A
// Theoretically Grounded Application of Dropout in Recurrent Neural Networks", 2016: while training, one mask for each sample,
// the same at all times and for all gates; a cell that is called by itself draws one at each call.

/// h = activation(x . kernel + bias + h . recurrent_kernel).
struct SimpleRNNCell {
  int64_t units = 0;
  Activation activation = activations::tanh;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;            // of the input
  double recurrent_dropout = 0;  // of the state

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  WithState operator()(const Operand& x, const std::vector<Tensor>& states, bool training = false) const;
};

/// z = recurrent_activation(x . kernel_z + h . recurrent_kernel_z + biases), r likewise, c = activation(x . kernel_c + bias + r *
/// (h . recurrent_kernel_c + recurrent bias)), h = z * h + (1 - z) * c (Cho et al., "Learning Phrase Representations using RNN
/// Encoder-Decoder for Statistical Machine Translation", 2014). Gates: z, r, c. The bias is f[2, 3 * units], that of x and that
/// of h. Unless reset_after, c = activation(x . kernel_c + (r * h) . recurrent_kernel_c + bias), and the bias is f[3 * units].
struct GRUCell {
  int64_t units = 0;
  Activation activation = activations::tanh;
  Activation recurrent_activation = activations::sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;
  double recurrent_dropout = 0;
  bool reset_after = true;

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  WithState operator()(const Operand& x, const std::vector<Tensor>& states, bool training = false) const;
};

/// i, f, c and o of x . kernel + h . recurrent_kernel + bias; state = recurrent_activation(f) * state + recurrent_activation(i) *
/// activation(c), h = recurrent_activation(o) * activation(state) (Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997).
/// The states are h and that state.
struct LSTMCell {
  int64_t units = 0;
  Activation activation = activations::tanh;
  Activation recurrent_activation = activations::sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  bool unit_forget_bias = true;  // the bias of f starts with ones
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;
  double recurrent_dropout = 0;

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  WithState operator()(const Operand& x, const std::vector<Tensor>& states, bool training = false) const;
};

// A recurrent layer runs a cell over time: f[batch, time, n] -> f[batch, units], the last output, or f[batch, time, units] with
// return_sequences. With go_backwards it begins at the end, and its outputs come in the order in which it made them. Where a mask is
// false the output is the one before, zeros at first. return_state() gives the states after the last time as well. In a traced
// function the loop is unrolled; the products of the input with the kernel are one for all times.

/// SimpleRNNCell over time.
struct SimpleRNN {
  int64_t units = 0;
  Activation activation = activations::tanh;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool go_backwards = false;

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  Tensor operator()(const Operand& x, bool training = false) const;
  Tensor operator()(const Operand& x, const SequenceOptions& options) const { return return_state(x, options).output; }
  [[nodiscard]] WithState return_state(const Operand& x, const SequenceOptions& options = {}) const;
  /// The mask of the output: that of the input, as long as times are left.
  Tensor compute_mask(const Operand&, const Tensor& mask = {}) const { return return_sequences ? mask : Tensor(); }
  /// It shares the variables.
  SimpleRNNCell cell() const;
};

/// GRUCell over time.
struct GRU {
  int64_t units = 0;
  Activation activation = activations::tanh;
  Activation recurrent_activation = activations::sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool go_backwards = false;
  bool reset_after = true;

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  Tensor operator()(const Operand& x, bool training = false) const;
  Tensor operator()(const Operand& x, const SequenceOptions& options) const { return return_state(x, options).output; }
  [[nodiscard]] WithState return_state(const Operand& x, const SequenceOptions& options = {}) const;
  /// The mask of the output: that of the input, as long as times are left.
  Tensor compute_mask(const Operand&, const Tensor& mask = {}) const { return return_sequences ? mask : Tensor(); }
  /// It shares the variables.
  GRUCell cell() const;
};

/// LSTMCell over time.
struct LSTM {
  int64_t units = 0;
  Activation activation = activations::tanh;
  Activation recurrent_activation = activations::sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer recurrent_initializer = initializers::orthogonal();
  Initializer bias_initializer = initializers::zeros();
  bool unit_forget_bias = true;
  Regularizer kernel_regularizer{};
  Regularizer recurrent_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint recurrent_constraint{};
  Constraint bias_constraint{};
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool go_backwards = false;

  Variable kernel =
      Variable::deferred({.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  Variable recurrent_kernel = Variable::deferred(
      {.name = "recurrent_kernel", .regularizer = recurrent_regularizer, .constraint = recurrent_constraint});
  Variable bias = Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});
  Generator generator{};

  Tensor operator()(const Operand& x, bool training = false) const;
  Tensor operator()(const Operand& x, const SequenceOptions& options) const { return return_state(x, options).output; }
  [[nodiscard]] WithState return_state(const Operand& x, const SequenceOptions& options = {}) const;
  /// The mask of the output: that of the input, as long as times are left.
  Tensor compute_mask(const Operand&, const Tensor& mask = {}) const { return return_sequences ? mask : Tensor(); }
  /// It shares the variables.
  LSTMCell cell() const;
};

}  // namespace layers
}  // namespace etch
