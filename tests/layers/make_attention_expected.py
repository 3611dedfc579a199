#!/usr/bin/env python3
"""Writes attention_expected.txt: what Keras' MultiHeadAttention gives for inputs and weights, and what its gradients are.
Needs tensorflow 2.21 and keras 3.15."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

assert tf.__version__.startswith("2.21") and keras.__version__.startswith("3.15")
file = File(f"TensorFlow {tf.__version__} and Keras {keras.__version__}")
rng = np.random.default_rng(1)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def attention_case(name, layer, query, value, key=None, mask=None, causal=False):
    """The output, the weights by their paths, and the gradients of sum(output * g) in the inputs and the weights."""
    inputs = [tf.constant(x) for x in (query, value, key) if x is not None]
    arguments = {"use_causal_mask": causal}
    if mask is not None:
        arguments["attention_mask"] = tf.constant(mask)
    layer(*inputs, **arguments)
    for weight in layer.weights:
        weight.assign(draw(*weight.shape) * 0.5)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = layer(*inputs, **arguments)
        g = tf.constant(draw(*y.shape))
        loss = tf.reduce_sum(y * g)
    gradients = tape.gradient(loss, inputs + layer.trainable_weights)
    names = ["query", "value", "key"][:len(inputs)]
    arrays = dict(zip(names, inputs)) | {"y": y, "g": g} | {"d_" + n: d for n, d in zip(names, gradients)}
    for weight, gradient in zip(layer.weights, gradients[len(inputs):]):
        path = ".".join(weight.path.split("/")[-2:])
        arrays |= {path: weight, "d_" + path: gradient}
    if mask is not None:
        arrays["mask"] = np.asarray(mask)
    file.case(name, **arrays)


Attention = keras.layers.MultiHeadAttention
x = draw(2, 4, 6)
attention_case("self", Attention(num_heads=2, key_dim=3), x, x)
attention_case("causal", Attention(num_heads=2, key_dim=3), x, x, causal=True)
attention_case("cross", Attention(num_heads=3, key_dim=2, value_dim=5, output_shape=7), draw(2, 3, 6), draw(2, 5, 4))
attention_case("key_without_bias", Attention(num_heads=2, key_dim=2, use_bias=False), draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 3))
mask = np.array([[[1, 0, 1], [0, 1, 1]], [[0, 0, 1], [1, 1, 1]]], bool)
attention_case("masked", Attention(num_heads=2, key_dim=2), draw(2, 2, 3), draw(2, 3, 3), mask=mask)
attention_case("masked_and_causal", Attention(num_heads=1, key_dim=2), draw(1, 3, 2), draw(1, 3, 2), mask=mask[:1, [0, 1, 1]],
               causal=True)
file.write(pathlib.Path(__file__).with_name("attention_expected.txt"))
