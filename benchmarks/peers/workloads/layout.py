"""Workloads of group 7: elements that move."""

import numpy as np

from .base import NORMAL, Workload, size_of, uniform, workload


@workload
class AddTransposed(Workload):
    """a + b.T"""

    def __init__(self, n):
        self.inputs = [("a", (n, n), "f32", NORMAL), ("b", (n, n), "f32", NORMAL)]
        self.result_bytes = 4 * n * n

    def reference(self, a, b):
        return [a + b.T]


@workload
class Permute_0213(Workload):
    name = "permute_0213"

    def __init__(self, shape):
        self.inputs = [("x", tuple(shape), "f32", NORMAL)]
        self.result_bytes = size_of(shape)

    def reference(self, x):
        return [np.ascontiguousarray(x.transpose(0, 2, 1, 3))]


@workload
class StridedSlice(Workload):
    """Every step-th element of the rows and columns, doubled."""

    def __init__(self, shape, step):
        self.shape, self.step = tuple(shape), step
        self.inputs = [("x", self.shape, "f32", NORMAL)]
        self.result_bytes = 4 * -(-shape[0] // step) * -(-shape[1] // step)

    @property
    def read_bytes(self):
        # Whole cache lines of the rows that are read.
        return 4 * -(-self.shape[0] // self.step) * self.shape[1]

    def reference(self, x):
        return [x[:: self.step, :: self.step] * 2]


@workload
class RollStencil(Workload):
    """The sum of the eight neighbours on a torus, less eight times the middle."""

    def __init__(self, n):
        self.inputs = [("x", (n, n), "f32", NORMAL)]
        self.result_bytes = 4 * n * n

    def reference(self, x):
        total = -8 * x
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                if i or j:
                    total = total + np.roll(x, (i, j), (0, 1))
        return [total]


@workload
class Pad(Workload):
    """16 zeros on every side."""

    def __init__(self, n):
        self.inputs = [("x", (n, n), "f32", NORMAL)]
        self.result_bytes = 4 * (n + 32) ** 2

    def reference(self, x):
        return [np.pad(x, 16)]


@workload
class Concat(Workload):
    """Of two squares."""

    def __init__(self, n, axis):
        self.axis = axis
        self.inputs = [("a", (n, n), "f32", NORMAL), ("b", (n, n), "f32", NORMAL)]
        self.result_bytes = 8 * n * n

    def reference(self, a, b):
        return [np.concatenate([a, b], self.axis)]


@workload
class RgbToGrey(Workload):
    def __init__(self, shape):
        self.inputs = [("x", (*shape, 3), "f32", uniform(0, 1))]
        self.result_bytes = size_of(shape)

    def reference(self, x):
        return [0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]]


@workload
class GreyToRgb(Workload):
    def __init__(self, shape):
        self.inputs = [("x", tuple(shape), "f32", uniform(0, 1))]
        self.result_bytes = 3 * size_of(shape)

    def reference(self, x):
        return [np.stack([x, x * 0.9, x * 0.8], -1)]
