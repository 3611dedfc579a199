#!/usr/bin/env python3
"""Writes model_expected.txt: what trainings of Keras report, and what its callbacks do. Needs tensorflow 2.21 and keras 3.15."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

assert tf.__version__.startswith("2.21") and keras.__version__.startswith("3.15")
file = File(f"TensorFlow {tf.__version__} and Keras {keras.__version__}")
rng = np.random.default_rng(4)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


# ---- Trainings: 47 samples in batches of 10, the last ones for validation ---------------------------------------------------

x = draw(47, 4)
y = (np.argmax(x @ draw(4, 3) + draw(47, 3), -1)).astype(np.int64)
weight = np.abs(draw(47))
start = [draw(4, 6), draw(6), draw(6, 3), draw(3)]
file.case("data", x=x, y=y, weight=weight, w0=start[0], w1=start[1], w2=start[2], w3=start[3])


def training_case(name, regularizer=None, constraint=None, weighted_metrics=None, optimizer=None, **fit):
    """Four epochs: the history, the weights at the end, and the scores and predictions of all samples."""
    model = keras.Sequential([
        keras.layers.Dense(6, activation="tanh", kernel_regularizer=regularizer, bias_constraint=constraint),
        keras.layers.Dense(3)])
    model.build((None, 4))
    model.set_weights(start)
    model.compile(optimizer or keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=[keras.metrics.SparseCategoricalAccuracy()], weighted_metrics=weighted_metrics)
    history = model.fit(x, y, batch_size=10, epochs=4, shuffle=False, verbose=0, **fit).history
    scores = model.evaluate(x, y, batch_size=10, verbose=0, return_dict=True)
    file.case(name, **{key: np.array(values, np.float32) for key, values in history.items()},
              **{"eval_" + key: np.float32(value) for key, value in scores.items()},
              **{f"w{i}": w for i, w in enumerate(model.get_weights())}, p=model.predict(x, batch_size=10, verbose=0))


training_case("plain")
training_case("split", validation_split=0.3)
training_case("regularized", regularizer=keras.regularizers.L2(0.01), constraint=keras.constraints.NonNeg(),
              validation_split=0.3)
training_case("weighted", sample_weight=weight, validation_split=0.3,
              weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(k=2)])
training_case("class_weight", class_weight={0: 2.0, 2: 0.5},
              weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(k=2)])
training_case("average", optimizer=keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), validation_split=0.3)
training_case("every_second", validation_split=0.3, validation_freq=2)

# ---- Callbacks: fed with values of epochs -------------------------------------------------------------------------------------


class Fake:
    """What callbacks want of a model."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.5)
        self.stop_training = False
        self.epoch = -1
        self.metrics = []

    def get_weights(self):
        return self.epoch

    def set_weights(self, weights):
        self.epoch = weights


values = np.array([1, 0.9, 0.91, 0.92, 0.895, 0.85, 0.86, 0.86, 0.855, 0.84, 0.85, 0.85, 0.85, 0.85, 0.8], np.float32)
for name, arguments in {"patience": {"patience": 2}, "delta": {"patience": 1, "min_delta": 0.02}, "none": {},
                        "max": {"patience": 1, "mode": "max"}, "baseline": {"patience": 3, "baseline": 0.87},
                        "late": {"patience": 1, "start_from_epoch": 5}, "never": {"patience": 20}}.items():
    model, callback = Fake(), keras.callbacks.EarlyStopping(restore_best_weights=True, **arguments)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.epoch = epoch
        callback.on_epoch_end(epoch, {"val_loss": float(value)})
        if model.stop_training:
            break
    last = model.epoch
    callback.on_train_end()
    file.case("early_" + name, values=values, last=last, stopped=callback.stopped_epoch, restored=model.epoch)
for name, arguments in {"patience": {"patience": 2}, "cooldown": {"patience": 1, "cooldown": 2, "factor": 0.5},
                        "least": {"patience": 1, "min_lr": 0.01}}.items():
    model, callback = Fake(), keras.callbacks.ReduceLROnPlateau(**arguments)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": float(value)})
        rates.append(float(model.optimizer.learning_rate))
    file.case("plateau_" + name, values=values, rates=np.array(rates, np.float32))

file.write(pathlib.Path(__file__).with_name("model_expected.txt"))
