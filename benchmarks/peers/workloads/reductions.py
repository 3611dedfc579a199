"""Workloads of groups 4 to 6: reductions, and rows that are normalised."""

import numpy as np

from .base import NORMAL, Workload, below, size_of, uniform, workload


class Reduction(Workload):
    """Over one axis or all, which are gone from the shape."""

    def __init__(self, shape, axis):
        self.shape, self.axis = tuple(shape), None if axis == "all" else axis
        self.inputs = [("x", self.shape, "f32", NORMAL)]
        self.result_bytes = 4 * (1 if self.axis is None else int(np.prod(self.shape)) // self.shape[self.axis])
        if self.name == "argmax":
            self.result_bytes *= 2
        if self.name in ("sum", "mean"):
            # Sums of numbers around 0 are compared with what was summed, not with what is left.
            self.inputs = [("x", self.shape, "f32", uniform(0, 1))]


@workload
class Sum(Reduction):
    def reference(self, x):
        return [x.sum(self.axis)]


@workload
class Max(Reduction):
    def reference(self, x):
        return [x.max(self.axis)]


@workload
class Argmax(Reduction):
    """The index of the first largest element; integers of any width."""

    tolerance = 0

    def reference(self, x):
        return [x.argmax(self.axis)]

    def error(self, results, expected, inputs):
        """The share of indices at which there is another number than at the right one."""
        x, got, want = inputs[0], np.asarray(results[0]), np.asarray(expected[0])
        if self.axis is None:
            return float(x.reshape(-1)[int(got)] != x.reshape(-1)[int(want)])
        at = lambda index: np.take_along_axis(x, np.expand_dims(index.astype(np.int64), self.axis), self.axis)
        return float(np.mean(at(got) != at(want)))


@workload
class Mean(Reduction):
    def reference(self, x):
        return [x.mean(self.axis)]


@workload
class Variance(Reduction):
    """The mean of squared distances from the mean."""

    def reference(self, x):
        return [x.var(self.axis)]


class Rows(Workload):
    def __init__(self, shape):
        self.shape = tuple(shape)
        self.inputs = [("x", self.shape, "f32", NORMAL)]
        self.result_bytes = size_of(self.shape)


@workload
class Softmax(Rows):
    def reference(self, x):
        e = np.exp(x - x.max(1, keepdims=True))
        return [e / e.sum(1, keepdims=True)]


@workload
class LogSoftmaxNll(Rows):
    """The mean over rows of -log_softmax(x)[label]."""

    def __init__(self, shape):
        super().__init__(shape)
        self.inputs = [*self.inputs, ("labels", (shape[0],), "i32", below(shape[1]))]
        self.result_bytes = 4

    def reference(self, x, labels):
        top = x.max(1, keepdims=True)
        log_sum = np.log(np.exp(x - top).sum(1)) + top[:, 0]
        return [np.mean(log_sum - x[np.arange(len(x)), labels])]


@workload
class LayerNorm(Rows):
    """Of x + residual, along rows, epsilon 1e-5."""

    def __init__(self, shape):
        super().__init__(shape)
        self.inputs += [("residual", self.shape, "f32", NORMAL), ("gamma", (shape[1],), "f32", NORMAL),
                        ("beta", (shape[1],), "f32", NORMAL)]

    def reference(self, x, residual, gamma, beta):
        x = x + residual
        centred = x - x.mean(1, keepdims=True)
        return [centred / np.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5) * gamma + beta]


@workload
class RmsNorm(Rows):
    """Of x + residual, along rows, epsilon 1e-6."""

    def __init__(self, shape):
        super().__init__(shape)
        self.inputs += [("residual", self.shape, "f32", NORMAL), ("gamma", (shape[1],), "f32", NORMAL)]

    def reference(self, x, residual, gamma):
        x = x + residual
        return [x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6) * gamma]
