#!/usr/bin/env python3
"""Writes expected.txt: what layers of Keras give for inputs and weights. Needs tensorflow 2.21 and keras 3.15."""
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


def layer_case(name, layer, x, training=None):
    """The output, the weights and the gradients of sum(output * g) in the input and the trainable weights."""
    x = tf.constant(x)
    arguments = {} if training is None else {"training": training}
    layer(x, **arguments)
    for weight in layer.weights:
        offset = 1 if "gamma" in weight.path or "variance" in weight.path else 0
        weight.assign(draw(*weight.shape) * 0.5 + offset if "variance" not in weight.path
                      else np.abs(draw(*weight.shape)) + 0.5)
    before = {weight.name: weight.numpy() for weight in layer.weights}
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **arguments)
        g = tf.constant(draw(*y.shape))
        loss = tf.reduce_sum(y * g)
    gradients = tape.gradient(loss, [x] + layer.trainable_weights)
    after = {weight.name + "_after": weight.numpy() for weight in layer.non_trainable_weights}
    named = {"d_" + weight.name: d for weight, d in zip(layer.trainable_weights, gradients[1:])}
    file.case(name, x=x, y=y, g=g, d_x=gradients[0], **before, **named, **after)


layer_case("dense", keras.layers.Dense(5, activation="relu"), draw(4, 3))
layer_case("dense_3d_no_bias", keras.layers.Dense(5, use_bias=False), draw(2, 4, 3))
layer_case("layer_normalization", keras.layers.LayerNormalization(), draw(4, 6))
layer_case("layer_normalization_axes", keras.layers.LayerNormalization(axis=[1, 2]), draw(3, 4, 5))
layer_case("layer_normalization_plain", keras.layers.LayerNormalization(center=False, scale=False, epsilon=0.1), draw(3, 4))
layer_case("batch_normalization_training", keras.layers.BatchNormalization(), draw(6, 4), True)
layer_case("batch_normalization_inference", keras.layers.BatchNormalization(), draw(6, 4), False)
layer_case("batch_normalization_axis", keras.layers.BatchNormalization(axis=1, momentum=0.5), draw(3, 4, 5), True)
frozen = keras.layers.BatchNormalization()
frozen.trainable = False
layer_case("batch_normalization_frozen", frozen, draw(6, 4), True)

x = np.array([-20, -7, -3.2, -1, -0.5, -0.0, 0, 0.3, 1, 2.5, 3.1, 6, 7.5, 20], np.float32)
for name in ["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "hard_sigmoid", "tanh", "softplus",
             "softsign", "exponential", "softmax", "log_softmax"]:
    y = keras.activations.get(name)(tf.constant(x[None]))
    file.case("activation_" + name, x=x[None], y=y)

# The spread of each initialiser's numbers: largest magnitude where they are bounded, and standard deviation.
for name, make in {
        "normal": keras.initializers.RandomNormal, "truncated_normal": keras.initializers.TruncatedNormal,
        "uniform": keras.initializers.RandomUniform, "glorot_uniform": keras.initializers.GlorotUniform,
        "glorot_normal": keras.initializers.GlorotNormal, "he_uniform": keras.initializers.HeUniform,
        "he_normal": keras.initializers.HeNormal, "lecun_uniform": keras.initializers.LecunUniform,
        "lecun_normal": keras.initializers.LecunNormal}.items():
    for shape in [(300, 500), (3, 3, 64, 256), (200000,)]:
        values = make(seed=3)(shape).numpy()
        file.case(f"initializer_{name}_" + "x".join(map(str, shape)), shape=np.array(shape), stddev=values.std(),
                  mean=values.mean(), largest=np.abs(values).max())

file.write(pathlib.Path(__file__).with_name("expected.txt"))
