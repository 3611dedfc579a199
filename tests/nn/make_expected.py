#!/usr/bin/env python3
"""Writes expected.txt: convolutions, pooling and resizing of TensorFlow with their gradients. Needs tensorflow 2.21."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import tensorflow as tf  # noqa: E402

assert tf.__version__.startswith("2.21")
file = File(f"TensorFlow {tf.__version__}")
rng = np.random.default_rng(1)


def case(name, f, *shapes):
    """f of random tensors a and b, and the gradients of sum(f * g) in them."""
    x = [tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(*x)
        g = tf.constant(rng.normal(size=y.shape).astype(np.float32))
        loss = tf.reduce_sum(y * g)
    gradients = tape.gradient(loss, x)
    arrays = {"ab"[i]: value for i, value in enumerate(x)} | {"d_" + "ab"[i]: d for i, d in enumerate(gradients)}
    file.case(name, y=y, g=g, **arrays)


def conv1d(**options):
    return lambda x, k: tf.nn.convolution(x, k, **options)


conv2d = conv1d
case("conv1d", conv1d(padding="VALID"), (2, 7, 3), (3, 3, 4))
case("conv1d_same_stride", conv1d(padding="SAME", strides=[2]), (2, 8, 5), (3, 5, 4))
case("conv1d_dilated", conv1d(padding="SAME", dilations=[2]), (2, 7, 5), (3, 5, 2))
case("conv2d", conv2d(padding="VALID"), (1, 6, 5, 3), (3, 2, 3, 4))
case("conv2d_same", conv2d(padding="SAME"), (1, 6, 5, 5), (3, 4, 5, 4))
case("conv2d_stride", conv2d(padding="VALID", strides=[2, 3]), (1, 8, 9, 5), (3, 2, 5, 3))
case("conv2d_same_stride", conv2d(padding="SAME", strides=[2, 2]), (1, 5, 6, 6), (3, 3, 6, 3))
case("conv2d_few_channels_stride", conv2d(padding="SAME", strides=[2, 2]), (2, 5, 6, 2), (3, 3, 2, 3))
case("conv2d_stride_beyond_kernel", conv2d(padding="SAME", strides=[3, 3]), (1, 8, 7, 5), (2, 1, 5, 3))
case("conv2d_dilated", conv2d(padding="VALID", dilations=[2, 3]), (1, 7, 8, 5), (3, 2, 5, 3))
case("conv2d_of_one", conv2d(padding="VALID"), (2, 3, 4, 3), (1, 1, 3, 2))
case("conv2d_groups", lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), (2, 5, 4, 6), (3, 3, 2, 9))
case("conv2d_groups_stride", lambda x, k: tf.nn.conv2d(x, k, 2, "VALID"), (1, 6, 5, 4), (3, 2, 2, 4))
case("conv2d_groups_tiles", lambda x, k: tf.nn.conv2d(x, k, 2, "VALID"), (1, 4, 5, 4), (2, 2, 2, 4))
case("conv2d_long_stride", conv2d(padding="SAME", strides=[4, 4]), (1, 9, 6, 5), (3, 5, 5, 2))
case("depthwise", lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 1, 1, 1], "VALID"), (1, 5, 6, 3), (3, 2, 3, 2))
case("depthwise_same_stride", lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 2, 2, 1], "SAME"), (1, 5, 6, 3), (3, 3, 3, 1))
case("depthwise_dilated", lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 1, 1, 1], "SAME", dilations=[2, 2]),
     (1, 5, 6, 2), (3, 3, 2, 2))
case("transpose", lambda x, k: tf.nn.conv2d_transpose(x, k, [1, 6, 6, 2], 1, "VALID"), (1, 4, 5, 3), (3, 2, 2, 3))
case("transpose_stride", lambda x, k: tf.nn.conv2d_transpose(x, k, [1, 7, 6, 5], 2, "VALID"), (1, 3, 3, 2), (3, 1, 5, 2))
case("transpose_same_stride", lambda x, k: tf.nn.conv2d_transpose(x, k, [1, 6, 9, 2], [2, 3], "SAME"), (1, 3, 3, 2), (3, 2, 2, 2))
case("transpose_tiles", lambda x, k: tf.nn.conv2d_transpose(x, k, [1, 4, 6, 5], 2, "VALID"), (1, 2, 3, 2), (2, 2, 5, 2))
for kind in ["max", "avg"]:
    pool = getattr(tf.nn, kind + "_pool")
    case(kind + "_pool1d", lambda x: pool(x, 2, 2, "VALID"), (2, 7, 3))
    case(kind + "_pool1d_same", lambda x: pool(x, 3, 2, "SAME"), (2, 8, 3))
    case(kind + "_pool2d", lambda x: pool(x, 2, 2, "VALID"), (1, 6, 5, 3))
    case(kind + "_pool2d_overlapping", lambda x: pool(x, [3, 2], [1, 2], "VALID"), (1, 6, 7, 3))
    case(kind + "_pool2d_same", lambda x: pool(x, [3, 2], [2, 1], "SAME"), (1, 6, 5, 3))
for method in ["bilinear", "nearest"]:
    for name, size in {"twice": [8, 6], "up": [7, 10], "down": [2, 1], "both": [3, 5], "up_and_down": [6, 2]}.items():
        case(f"{method}_{name}", lambda x: tf.image.resize(x, size, method), (1, 4, 3, 2))

file.write(pathlib.Path(__file__).with_name("expected.txt"))
