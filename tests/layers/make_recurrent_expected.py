#!/usr/bin/env python3
"""Writes recurrent_expected.txt: recurrent layers and cells of Keras. Needs tensorflow 2.21 and keras 3.15."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

assert tf.__version__.startswith("2.21") and keras.__version__.startswith("3.15")
file = File(f"TensorFlow {tf.__version__} and Keras {keras.__version__}")
rng = np.random.default_rng(6)
BATCH, TIME, WIDTH, UNITS = 3, 5, 2, 3


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def case(name, layer, call, x, initial, names=None):
    """Output, states, and the gradients of sums of both, weighted, in the input, the initial states and the weights."""
    x, initial = tf.constant(x), [tf.constant(state) for state in initial]
    call(x, initial)
    for weight in layer.weights:
        weight.assign(draw(*weight.shape) * 0.7)
    with tf.GradientTape() as tape:
        tape.watch([x, *initial])
        y, states = call(x, initial)
        g = tf.constant(draw(*y.shape))
        g_states = [tf.constant(draw(*state.shape)) for state in states]
        loss = tf.reduce_sum(y * g) + sum(tf.reduce_sum(s * gs) for s, gs in zip(states, g_states))
    d_x, d_initial, d_weights = tape.gradient(loss, [x, initial, layer.trainable_weights])
    arrays = {"x": x, "y": y, "g": g, "d_x": d_x}
    for i, (state, gradient) in enumerate(zip(states, g_states)):
        arrays.update({f"state{i}": state, f"g_state{i}": gradient})
    for i, (state, gradient) in enumerate(zip(initial, d_initial)):
        arrays.update({f"initial{i}": state, f"d_initial{i}": gradient})
    names = names or [weight.name for weight in layer.trainable_weights]
    for weight_name, weight, gradient in zip(names, layer.trainable_weights, d_weights):
        arrays.update({weight_name: weight, "d_" + weight_name: gradient})
    file.case(name, **arrays)


mask = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
file.case("mask", mask=mask)


def layer_case(name, make, states, mask=None, **arguments):
    layer = make(UNITS, return_state=True, **arguments)

    def call(x, initial):
        y, *states = layer(x, mask=mask, initial_state=initial or None)
        return y, states

    case(name, layer, call, draw(BATCH, TIME, WIDTH), [draw(BATCH, UNITS) for _ in range(states)])


def cell_case(name, make, states, **arguments):
    cell = make(UNITS, **arguments)
    case(name, cell, lambda x, initial: cell(x, initial), draw(BATCH, WIDTH), [draw(BATCH, UNITS) for _ in range(states)])


layers = keras.layers
for name, make, cell, states in [("simple_rnn", layers.SimpleRNN, layers.SimpleRNNCell, 1),
                                 ("gru", layers.GRU, layers.GRUCell, 1), ("lstm", layers.LSTM, layers.LSTMCell, 2)]:
    layer_case(name, make, 0)
    layer_case(name + "_sequences", make, states, return_sequences=True)
    layer_case(name + "_masked", make, states, tf.constant(mask), return_sequences=True)
    layer_case(name + "_backwards", make, 0, tf.constant(mask), return_sequences=True, go_backwards=True)
    layer_case(name + "_no_bias", make, 0, tf.constant(mask), use_bias=False)
    cell_case(name + "_cell", cell, states)
layer_case("gru_reset_before", layers.GRU, 1, reset_after=False)
layer_case("lstm_activations", layers.LSTM, 0, activation="relu", recurrent_activation="hard_sigmoid")
lstm = layers.LSTM(2)
lstm.build((1, 1, 1))
file.case("lstm_bias", bias=lstm.cell.bias)


class ResidualCell(keras.layers.Layer):
    """A cell that nobody else has: two states, one of another width than the output."""

    def __init__(self, units):
        super().__init__()
        self.state_size = [units, 2]
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, x, states):
        sums = states[1] + tf.reduce_sum(x, 1, keepdims=True)
        h = tf.tanh(x @ self.kernel + states[0] @ self.recurrent_kernel + tf.reduce_sum(sums, 1, keepdims=True))
        return h * 2 + states[0], [h, sums]


def cell_weights(layer, parts=("cell",)):
    """`cell.kernel` ..., or the same of several parts."""
    count = len(layer.trainable_weights) // len(parts)
    return [f"{part}.{weight.name}" for i, part in enumerate(parts) for weight in layer.trainable_weights[i * count:(i + 1) * count]]


def wrapped(name, layer, widths, parts, mask=None):
    def call(x, initial):
        y, *states = layer(x, mask=mask, initial_state=initial or None)
        return y, states

    x, initial = draw(BATCH, TIME, WIDTH), [draw(BATCH, width) for width in widths]
    call(tf.constant(x), [])
    case(name, layer, call, x, initial, cell_weights(layer, parts))


wrapped("rnn", layers.RNN(ResidualCell(UNITS), return_state=True), [], ["cell"])
wrapped("rnn_masked", layers.RNN(ResidualCell(UNITS), return_state=True, return_sequences=True), [UNITS, 2], ["cell"],
        tf.constant(mask))
wrapped("rnn_backwards", layers.RNN(layers.LSTMCell(UNITS), return_state=True, go_backwards=True), [], ["cell"], tf.constant(mask))
both = ["forward", "backward"]
wrapped("bidirectional", layers.Bidirectional(layers.LSTM(UNITS, return_state=True)), [], both)
wrapped("bidirectional_masked", layers.Bidirectional(layers.GRU(UNITS, return_state=True, return_sequences=True)), [UNITS] * 2,
        both, tf.constant(mask))
for mode in ["sum", "mul", "ave"]:
    wrapped("bidirectional_" + mode,
            layers.Bidirectional(layers.SimpleRNN(UNITS, return_state=True, return_sequences=True), merge_mode=mode), [], both)

model = keras.Sequential([layers.Embedding(5, WIDTH, mask_zero=True), layers.Dropout(0.5), layers.Dense(3, activation="tanh"),
                          layers.Bidirectional(layers.LSTM(2, return_sequences=True)), layers.LayerNormalization(),
                          layers.GRU(UNITS), layers.Dense(2)])
words = tf.constant([[1, 4, 2, 0, 0], [3, 0, 0, 0, 0], [1, 2, 3, 4, 1], [0, 2, 0, 1, 0]])
model(words)
for weight in model.trainable_weights:
    weight.assign(draw(*weight.shape) * 0.7)
with tf.GradientTape() as tape:
    y = model(words)
    g = tf.constant(draw(*y.shape))
    loss = tf.reduce_sum(y * g)
arrays = {"x": words, "y": y, "g": g}
for i, (weight, gradient) in enumerate(zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights))):
    arrays.update({f"weight{i}": weight, f"d_weight{i}": tf.convert_to_tensor(gradient)})
file.case("sequential_masked", **arrays)

file.write(pathlib.Path(__file__).with_name("recurrent_expected.txt"))
