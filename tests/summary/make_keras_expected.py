#!/usr/bin/env python3
"""Writes keras_expected.txt: what Keras' callback writes, `case run tag step value` a line, in the order of the files. Values of
histograms and rates by the clock are left out. Needs tensorflow 2.21, keras 3.15 and tensorboard."""
import os
import pathlib
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.summary.summary_iterator import summary_iterator  # noqa: E402

CASES = {
    "epochs": {"update_freq": "epoch"},
    "batches": {"update_freq": 2, "histogram_freq": 2, "write_steps_per_second": True},
}


class Line(keras.layers.Layer):
    def build(self, _):
        self.w = self.add_weight(shape=(2, 1), name="w", initializer=lambda *_, **__: np.array([[1.0], [2.0]], np.float32))

    def call(self, x):
        return x @ self.w


x = np.array([[1, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2]], np.float32)
y = np.array([[1], [2], [4], [4], [5], [5]], np.float32)
lines = [f"# TensorFlow {tf.__version__}, Keras {keras.__version__}"]
for case, options in CASES.items():
    model = keras.Sequential([Line()])
    model.compile(keras.optimizers.SGD(0.125), "mean_squared_error", metrics=["mean_absolute_error"])
    with tempfile.TemporaryDirectory() as folder:
        board = keras.callbacks.TensorBoard(folder, **options)
        model.fit(x, y, batch_size=2, epochs=3, verbose=0, shuffle=False, validation_split=0.5, callbacks=[board])
        for run in ("train", "validation"):
            for file in sorted((pathlib.Path(folder) / run).iterdir()):
                for event in summary_iterator(str(file)):
                    for value in event.summary.value:
                        plugin = value.metadata.plugin_data.plugin_name
                        if plugin not in ("scalars", "histograms"):
                            continue
                        has_value = plugin == "scalars" and "per_second" not in value.tag
                        number = repr(tf.make_ndarray(value.tensor).item()) if has_value else "-"
                        lines.append(f"{case} {run} {value.tag.replace('sequential/line/', '').replace('sequential_1/line_1/', '')}"
                                     f" {event.step} {number}")
(pathlib.Path(__file__).parent / "keras_expected.txt").write_text("\n".join(lines) + "\n")
