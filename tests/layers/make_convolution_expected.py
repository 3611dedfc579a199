#!/usr/bin/env python3
"""Writes convolution_expected.txt: what layers of Keras that convolve and pool give. Needs tensorflow 2.21 and keras 3.15."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

assert tf.__version__.startswith("2.21") and keras.__version__.startswith("3.15")
file = File(f"TensorFlow {tf.__version__} and Keras {keras.__version__}")
rng = np.random.default_rng(1)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def case(name, layer, *shape, xla=False):
    """The output, the weights and the gradients of sum(output * g) in the input and the weights. XLA knows some more kernels."""
    x = tf.constant(draw(*shape))
    call = tf.function(layer, jit_compile=True) if xla else layer
    call(x)
    for weight in layer.weights:
        weight.assign(draw(*weight.shape) * 0.5 + (1 if weight.name == "gamma" else 0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        g = tf.constant(draw(*y.shape))
        loss = tf.reduce_sum(y * g)
    gradients = tape.gradient(loss, [x] + layer.trainable_weights)
    named = {"d_" + weight.name: d for weight, d in zip(layer.trainable_weights, gradients[1:])}
    file.case(name, x=x, y=y, g=g, d_x=gradients[0], **{weight.name: weight.numpy() for weight in layer.weights}, **named)


case("conv1d", layers.Conv1D(4, 3, activation="relu"), 2, 6, 3)
case("conv1d_options", layers.Conv1D(4, 2, padding="same", dilation_rate=2, groups=2, use_bias=False), 2, 6, 4)
case("conv2d", layers.Conv2D(4, 3, activation="relu"), 2, 5, 6, 3)
case("conv2d_options", layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same", groups=2, use_bias=False), 1, 5, 4, 2)
case("depthwise_conv2d", layers.DepthwiseConv2D(2), 1, 4, 5, 3)
case("depthwise_conv2d_options", layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="tanh"),
     1, 5, 4, 2)
case("separable_conv2d", layers.SeparableConv2D(4, 3), 1, 5, 5, 2)
case("separable_conv2d_options", layers.SeparableConv2D(3, 2, padding="same", depth_multiplier=2, use_bias=False), 1, 3, 4, 2)
case("conv2d_transpose", layers.Conv2DTranspose(3, 3), 1, 3, 4, 2)
case("conv2d_transpose_stride", layers.Conv2DTranspose(3, (2, 3), strides=(3, 2), activation="relu"), 1, 3, 2, 2)
case("conv2d_transpose_same", layers.Conv2DTranspose(2, 3, strides=2, padding="same"), 1, 3, 2, 2)
case("max_pooling1d", layers.MaxPooling1D(2), 2, 5, 3)
case("max_pooling1d_options", layers.MaxPooling1D(3, strides=1, padding="same"), 2, 5, 3)
case("max_pooling2d", layers.MaxPooling2D(), 2, 5, 4, 3)
case("max_pooling2d_options", layers.MaxPooling2D((3, 2), strides=2, padding="same"), 1, 5, 4, 3)
case("average_pooling1d", layers.AveragePooling1D(2), 2, 5, 3)
case("average_pooling1d_options", layers.AveragePooling1D(3, strides=2, padding="same"), 2, 6, 3)
case("average_pooling2d", layers.AveragePooling2D(2), 2, 5, 4, 3)
case("average_pooling2d_options", layers.AveragePooling2D((3, 2), strides=(2, 1), padding="same"), 1, 5, 4, 3)
case("global_max_pooling1d", layers.GlobalMaxPooling1D(), 2, 5, 3)
case("global_max_pooling2d", layers.GlobalMaxPooling2D(keepdims=True), 2, 3, 4, 3)
case("global_average_pooling1d", layers.GlobalAveragePooling1D(), 2, 5, 3)
case("global_average_pooling2d", layers.GlobalAveragePooling2D(keepdims=True), 2, 3, 4, 3)
case("up_sampling2d", layers.UpSampling2D(), 1, 3, 2, 2)
case("up_sampling2d_bilinear", layers.UpSampling2D((2, 3), interpolation="bilinear"), 1, 3, 2, 2)
case("zero_padding2d", layers.ZeroPadding2D(), 1, 2, 3, 2)
case("zero_padding2d_sides", layers.ZeroPadding2D(((1, 2), (0, 3))), 1, 2, 3, 2)
case("permute", layers.Permute((3, 1, 2)), 2, 2, 3, 4)
case("group_normalization", layers.GroupNormalization(2), 2, 3, 2, 4)
case("group_normalization_options", layers.GroupNormalization(-1, axis=1, epsilon=0.1, scale=False), 2, 3, 4)
case("conv1d_causal", layers.Conv1D(4, 3, padding="causal", dilation_rate=2), 2, 6, 3)
case("conv1d_causal_stride", layers.Conv1D(3, 4, strides=2, padding="causal", activation="tanh"), 2, 7, 2)
case("conv2d_transpose_longer", layers.Conv2DTranspose(3, (2, 3), strides=(3, 2), output_padding=(2, 1)), 1, 3, 2, 2)
case("conv2d_transpose_longer_same", layers.Conv2DTranspose(2, (3, 4), strides=2, padding="same", output_padding=1), 1, 3, 2, 2)
case("conv2d_transpose_dilated", layers.Conv2DTranspose(3, (3, 2), dilation_rate=2, activation="relu"), 1, 3, 4, 2, xla=True)
case("conv2d_transpose_dilated_same", layers.Conv2DTranspose(6, 3, padding="same", dilation_rate=2), 1, 4, 3, 2, xla=True)

file.write(pathlib.Path(__file__).with_name("convolution_expected.txt"))
