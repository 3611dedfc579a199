#!/usr/bin/env python3
"""Writes embedding_expected.txt: what Keras' Embedding gives, and its gradient in the table. Needs tensorflow 2.21 and keras
3.15."""
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
for name, indices in [("rows", [[4, 0, 4], [1, 4, 2]]), ("row", 3)]:
    layer = keras.layers.Embedding(5, 3)
    x = tf.constant(np.int64(indices))
    layer(x)
    layer.embeddings.assign(rng.normal(size=(5, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        y = layer(x)
        g = tf.constant(rng.normal(size=y.shape).astype(np.float32))
        loss = tf.reduce_sum(y * g)
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.embeddings))
    file.case(name, x=x, y=y, g=g, embeddings=layer.embeddings, d_embeddings=gradient)
file.write(pathlib.Path(__file__).with_name("embedding_expected.txt"))
