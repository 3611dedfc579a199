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


def case(name, layer, call, x, initial):
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
    for weight, gradient in zip(layer.trainable_weights, d_weights):
        arrays.update({weight.name: weight, "d_" + weight.name: gradient})
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

file.write(pathlib.Path(__file__).with_name("recurrent_expected.txt"))
