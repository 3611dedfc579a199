#!/usr/bin/env python3
"""Writes expected.txt: losses, schedules, 20 steps of optimizers and metrics of Keras. Needs tensorflow 2.21 and keras 3.15."""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from keras_file import File  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

assert tf.__version__.startswith("2.21") and keras.__version__.startswith("3.15")
file = File(f"TensorFlow {tf.__version__} and Keras {keras.__version__}")
rng = np.random.default_rng(2)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def probabilities(*shape):
    e = np.exp(draw(*shape))
    return e / e.sum(-1, keepdims=True)


# ---- Losses ----------------------------------------------------------------------------------------------------------


def loss_case(name, make, y, p):
    """Each sample's loss, the mean, the sum, the mean with weights, and the gradient of the last one in p."""
    y, p = tf.constant(y), tf.constant(p)
    weight = tf.constant(np.abs(draw(p.shape[0], *[1] * (p.ndim - 2))))
    with tf.GradientTape() as tape:
        tape.watch(p)
        weighted = make(reduction="sum_over_batch_size")(y, p, sample_weight=weight)
    file.case("loss_" + name, y=y, p=p, weight=weight, weighted=weighted, d_p=tape.gradient(weighted, p),
              none=make(reduction=None)(y, p), mean=make(reduction="sum_over_batch_size")(y, p),
              sum=make(reduction="sum")(y, p))


def with_arguments(make, **arguments):
    return lambda **reduction: make(**arguments, **reduction)


losses = keras.losses
y, p = draw(5, 3), draw(5, 3)
for name, make in {"mean_squared_error": losses.MeanSquaredError, "mean_absolute_error": losses.MeanAbsoluteError,
                   "mean_absolute_percentage_error": losses.MeanAbsolutePercentageError, "huber": losses.Huber,
                   "log_cosh": losses.LogCosh, "cosine_similarity": losses.CosineSimilarity}.items():
    loss_case(name, make, y, p)
loss_case("huber_delta", with_arguments(losses.Huber, delta=0.3), y, p)
loss_case("mean_squared_error_3d", losses.MeanSquaredError, draw(4, 2, 3), draw(4, 2, 3))
loss_case("mean_squared_logarithmic_error", losses.MeanSquaredLogarithmicError, np.abs(y), np.abs(p) - 0.1)
loss_case("poisson", losses.Poisson, np.abs(y), np.abs(p))
truth = (draw(5, 3) > 0).astype(np.float32)
inside = 1 / (1 + np.exp(-p))
inside[0, 0], inside[1, 1] = 0, 1
logits = np.concatenate([p[:4] * 3, [[0, 80, -80]]]).astype(np.float32)
binary = losses.BinaryCrossentropy
loss_case("binary", binary, truth, inside)
loss_case("binary_logits", with_arguments(binary, from_logits=True), truth, logits)
loss_case("binary_smoothed", with_arguments(binary, label_smoothing=0.2), truth, inside)
loss_case("binary_logits_smoothed", with_arguments(binary, from_logits=True, label_smoothing=0.2), truth, logits)
labels = np.array([0, 3, 1, 2, 3])
hot = np.eye(4, dtype=np.float32)[labels]
q, z = probabilities(5, 4) * 1.5, draw(5, 4) * 4
q[2, 1] = 0
categorical, sparse = losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy
loss_case("categorical", categorical, hot, q)
loss_case("categorical_logits", with_arguments(categorical, from_logits=True), hot, z)
loss_case("categorical_smoothed", with_arguments(categorical, label_smoothing=0.1), hot, q)
loss_case("categorical_logits_smoothed", with_arguments(categorical, from_logits=True, label_smoothing=0.1), hot, z)
loss_case("sparse", sparse, labels, q)
loss_case("sparse_logits", with_arguments(sparse, from_logits=True), labels, z)
loss_case("sparse_logits_column", with_arguments(sparse, from_logits=True), labels[:, None], z)
loss_case("sparse_logits_3d", with_arguments(sparse, from_logits=True), np.array([[0, 1], [2, 2]]), draw(2, 2, 3))
loss_case("kl_divergence", losses.KLDivergence, probabilities(5, 4), probabilities(5, 4))
for name, make in {"hinge": losses.Hinge, "squared_hinge": losses.SquaredHinge}.items():
    loss_case(name, make, np.sign(y), p)
    loss_case(name + "_of_0_and_1", make, truth, p)
loss_case("categorical_hinge", losses.CategoricalHinge, hot, z)

# ---- Schedules -------------------------------------------------------------------------------------------------------

schedules = keras.optimizers.schedules
steps = np.array([0, 1, 2, 5, 9, 10, 11, 15, 20, 29, 30, 31, 45, 100])
for name, schedule in {
        "exponential": schedules.ExponentialDecay(0.5, 10, 0.9),
        "exponential_staircase": schedules.ExponentialDecay(0.5, 10, 0.9, staircase=True),
        "inverse_time": schedules.InverseTimeDecay(0.5, 10, 0.9),
        "inverse_time_staircase": schedules.InverseTimeDecay(0.5, 10, 0.9, staircase=True),
        "cosine": schedules.CosineDecay(0.5, 30, alpha=0.1),
        "cosine_warmup": schedules.CosineDecay(0.1, 30, alpha=0.1, warmup_target=0.5, warmup_steps=10),
        "restarts": schedules.CosineDecayRestarts(0.5, 10, t_mul=2.0, m_mul=0.8, alpha=0.1),
        "restarts_even": schedules.CosineDecayRestarts(0.5, 10, t_mul=1.0),
        "piecewise": schedules.PiecewiseConstantDecay([5, 10, 30], [1.0, 0.5, 0.25, 0.125]),
        "polynomial": schedules.PolynomialDecay(0.5, 30, 0.01, power=2.0),
        "polynomial_cycle": schedules.PolynomialDecay(0.5, 10, 0.01, cycle=True)}.items():
    file.case("schedule_" + name, step=steps, rate=np.array([float(schedule(tf.constant(s))) for s in steps], np.float32))

# ---- Optimizers: 20 steps of two variables -----------------------------------------------------------------------------

gradients_a, gradients_b = draw(20, 3, 2), draw(20, 4) * 0.1
gradients_a[3], gradients_b[7] = 0, 0
start_a, start_b = draw(3, 2), draw(4)
file.case("gradients", a=gradients_a, b=gradients_b, start_a=start_a, start_b=start_b)
optimizers = keras.optimizers


def optimizer_case(name, optimizer, constraint=None):
    """Two variables after each of 20 steps, and at the end of a training."""
    a, b = keras.Variable(start_a), keras.Variable(start_b)
    a.constraint = constraint
    path_a, path_b = [], []
    for step in range(20):
        optimizer.apply([tf.constant(gradients_a[step]), tf.constant(gradients_b[step])], [a, b])
        path_a.append(a.numpy())
        path_b.append(b.numpy())
    optimizer.finalize_variable_values([a, b])
    file.case("optimizer_" + name, a=np.array(path_a), b=np.array(path_b), final_a=a, final_b=b)


for name, optimizer in {
        "sgd": optimizers.SGD(0.1), "sgd_momentum": optimizers.SGD(0.1, momentum=0.9),
        "sgd_nesterov": optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "sgd_decay": optimizers.SGD(0.1, weight_decay=0.1), "sgd_value": optimizers.SGD(0.1, clipvalue=0.2),
        "sgd_norm": optimizers.SGD(0.1, clipnorm=0.5), "sgd_global_norm": optimizers.SGD(0.1, global_clipnorm=0.5),
        "adam": optimizers.Adam(), "adam_options": optimizers.Adam(0.05, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
        "adam_schedule": optimizers.Adam(schedules.ExponentialDecay(0.1, 5, 0.5)), "adamw": optimizers.AdamW(0.01),
        "nadam": optimizers.Nadam(0.01), "rmsprop": optimizers.RMSprop(0.01),
        "rmsprop_momentum": optimizers.RMSprop(0.01, momentum=0.9),
        "rmsprop_centered": optimizers.RMSprop(0.01, rho=0.8, momentum=0.5, centered=True),
        "adagrad": optimizers.Adagrad(0.1), "adadelta": optimizers.Adadelta(1.0), "lion": optimizers.Lion(0.01),
        "sgd_average": optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.9),
        "adam_overwrite": optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3),
        "sgd_accumulation": optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1, clipnorm=0.5, gradient_accumulation_steps=4),
        "adam_accumulation": optimizers.Adam(0.05, gradient_accumulation_steps=3),
        "nadam_accumulation": optimizers.Nadam(0.05, gradient_accumulation_steps=3),
        "rmsprop_accumulation": optimizers.RMSprop(0.05, momentum=0.9, centered=True, gradient_accumulation_steps=2),
        "adam_accumulation_average": optimizers.Adam(schedules.ExponentialDecay(0.1, 5, 0.5), use_ema=True, ema_momentum=0.8,
                                                     ema_overwrite_frequency=2, gradient_accumulation_steps=2),
        }.items():
    optimizer_case(name, optimizer)
optimizer_case("sgd_constraint", optimizers.SGD(0.1), keras.constraints.MaxNorm(0.7))

# ---- Metrics: two batches, the second one with weights -------------------------------------------------------------------


def metric_case(name, metric, *batches):
    """The result after each batch; a batch is what update_state takes."""
    arrays = {}
    for i, batch in enumerate(batches):
        weight = np.abs(draw(batch[0].shape[0])) if i == 1 else None
        metric.update_state(*batch, sample_weight=weight)
        arrays.update({f"{key}{i}": value for key, value in zip("yp", batch)})
        if weight is not None:
            arrays["weight"] = weight
        arrays[f"result{i}"] = metric.result()
    file.case("metric_" + name, **arrays)


metrics = keras.metrics
metric_case("sum", metrics.Sum(), (draw(5),), (draw(4),))
metric_case("mean", metrics.Mean(), (draw(5),), (draw(4),))
metric_case("accuracy", metrics.Accuracy(), *[(np.round(draw(9)), np.round(draw(9))) for _ in range(2)])
metric_case("binary", metrics.BinaryAccuracy(threshold=0.3),
            *[((draw(9, 2) > 0).astype(np.float32), np.abs(draw(9, 2))) for _ in range(2)])
metric_case("categorical", metrics.CategoricalAccuracy(),
            *[(np.eye(4, dtype=np.float32)[rng.integers(4, size=9)], draw(9, 4)) for _ in range(2)])
metric_case("sparse", metrics.SparseCategoricalAccuracy(), *[(rng.integers(4, size=9), draw(9, 4)) for _ in range(2)])
metric_case("sparse_top_k", metrics.SparseTopKCategoricalAccuracy(k=2),
            *[(rng.integers(4, size=9), draw(9, 4)) for _ in range(2)])
tied = [np.round(draw(9, 4)) for _ in range(2)]
metric_case("top_k", metrics.TopKCategoricalAccuracy(k=2),
            *[(np.eye(4, dtype=np.float32)[rng.integers(4, size=9)], scores) for scores in tied])
metric_case("sparse_top_k_tied", metrics.SparseTopKCategoricalAccuracy(k=2), *[(rng.integers(4, size=9), s) for s in tied])


def guesses(*shape):
    """Probabilities that know something of the labels beside them."""
    y = (draw(*shape) > 0.4).astype(np.float32)
    return y, (1 / (1 + np.exp(-(2 * y - 1 + draw(*shape))))).astype(np.float32)


batches = [guesses(40) for _ in range(2)]
tables = [guesses(12, 4) for _ in range(2)]
for name, make in {"precision": metrics.Precision, "recall": metrics.Recall}.items():
    metric_case(name, make(), *batches)
    metric_case(name + "_thresholds", make(thresholds=[0.2, 0.5, 0.7]), *tables)
    metric_case(name + "_top_k", make(top_k=2), *tables)
    metric_case(name + "_class", make(class_id=1), *tables)
for curve in ["ROC", "PR"]:
    for method in ["interpolation", "minoring", "majoring"]:
        metric_case(f"auc_{curve.lower()}_{method}", metrics.AUC(curve=curve, summation_method=method), *batches)
metric_case("auc_thresholds", metrics.AUC(thresholds=[0.6, 0.1, 0.35]), *batches)
metric_case("auc_few", metrics.AUC(num_thresholds=5), *batches)
metric_case("auc_logits", metrics.AUC(from_logits=True), *[(y, np.log(p / (1 - p))) for y, p in batches])


class ConfusionMatrix:
    """tf.math.confusion_matrix, summed up."""

    def __init__(self):
        self.sum = 0

    def update_state(self, y, p, sample_weight):
        classes = p.argmax(-1) if p.ndim == 2 else p
        self.sum = self.sum + tf.math.confusion_matrix(y, classes, 3, sample_weight, tf.float32).numpy()

    def result(self):
        return self.sum


metric_case("confusion_scores", ConfusionMatrix(), *[(rng.integers(3, size=20), draw(20, 3)) for _ in range(2)])
metric_case("confusion_classes", ConfusionMatrix(),
            *[(rng.integers(3, size=20), rng.integers(3, size=20)) for _ in range(2)])
metric_case("mean_squared_error", metrics.MeanSquaredError(), *[(draw(5, 3), draw(5, 3)) for _ in range(2)])
metric_case("mean_absolute_error", metrics.MeanAbsoluteError(), *[(draw(5, 3), draw(5, 3)) for _ in range(2)])
metric_case("root_mean_squared_error", metrics.RootMeanSquaredError(), (draw(5, 3), draw(5, 3)))

# ---- Regularisers and constraints ---------------------------------------------------------------------------------------

w = draw(4, 3)
for name, regularizer in {"l1": keras.regularizers.L1(), "l2": keras.regularizers.L2(0.1),
                          "l1_l2": keras.regularizers.L1L2(0.02, 0.03)}.items():
    file.case("regularizer_" + name, w=w, loss=regularizer(tf.constant(w)))
kernel = draw(2, 2, 3, 2)
for name, constraint in {"max_norm": keras.constraints.MaxNorm(1.5), "non_neg": keras.constraints.NonNeg(),
                         "unit_norm": keras.constraints.UnitNorm(axis=1),
                         "min_max_norm": keras.constraints.MinMaxNorm(1.6, 1.9, rate=0.7)}.items():
    file.case("constraint_" + name, w=w, result=constraint(tf.constant(w)))
file.case("constraint_of_three_axes", w=kernel, result=keras.constraints.MaxNorm(1, axis=[0, 1, 2])(tf.constant(kernel)))

file.write(pathlib.Path(__file__).with_name("expected.txt"))
