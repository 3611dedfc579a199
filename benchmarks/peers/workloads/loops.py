"""Workloads of groups 20, 21 and 23: broadcasts that are reduced, stencils and loops."""

import numpy as np

from .base import NORMAL, Workload, below, lstm_inputs, uniform, workload


@workload
class Nbody(Workload):
    """Accelerations of n bodies: sum over j of m_j (x_j - x_i) / (|x_j - x_i|^2 + 0.01)^1.5."""

    tolerance = 1e-4

    def __init__(self, n):
        self.inputs = [("x", (n, 3), "f32", NORMAL), ("mass", (n,), "f32", uniform(0.1, 1))]
        self.result_bytes = 12 * n
        self.flops = 20 * n * n

    def reference(self, x, mass):
        rows = []
        for i in range(len(x)):
            d = x - x[i]
            r2 = (d * d).sum(1) + 0.01
            rows.append((mass / (r2 * np.sqrt(r2))) @ d)
        return [np.stack(rows)]


@workload
class Rbf(Workload):
    """The matrix exp(-|x_i - y_j|^2 / 2)."""

    def __init__(self, m, n, width):
        self.inputs = [("x", (m, width), "f32", NORMAL), ("y", (n, width), "f32", NORMAL)]
        self.result_bytes = 4 * m * n

    def reference(self, x, y):
        return [np.exp(-0.5 * sum((x[:, None, i] - y[None, :, i]) ** 2 for i in range(x.shape[1])))]


@workload
class Nearest(Workload):
    """For each x the index of the nearest y. Ties aside, an index counts as right if its distance is as small within 1e-6."""

    tolerance = 0

    def __init__(self, m, n, width):
        self.inputs = [("x", (m, width), "f32", NORMAL), ("y", (n, width), "f32", NORMAL)]
        self.result_bytes = 8 * m
        self.flops = 3 * width * m * n

    def reference(self, x, y):
        return [sum((x[:, None, i] - y[None, :, i]) ** 2 for i in range(x.shape[1])).argmin(1)]

    def error(self, results, expected, inputs):
        """The share of indices whose distance is larger than the smallest one."""
        x, y = (value.astype(np.float64) for value in inputs)
        got, want = (np.asarray(index).astype(np.int64) for index in (results[0], expected[0]))
        distance = lambda index: ((x - y[index]) ** 2).sum(1)
        return float(np.mean(distance(got) > distance(want) * (1 + 1e-6) + 1e-12))


@workload
class Heat(Workload):
    """Steps of the heat equation on a square with fixed borders: u + 0.1 (sum of four neighbours - 4 u) inside."""

    def __init__(self, n, steps):
        self.steps = steps
        self.inputs = [("u", (n, n), "f32", NORMAL)]
        self.result_bytes = 4 * n * n

    def reference(self, u):
        for _ in range(self.steps):
            inner = u[1:-1, 1:-1]
            new = inner + 0.1 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner)
            u = u.copy()
            u[1:-1, 1:-1] = new
        return [u]


class Mandelbrot(Workload):
    """How many turns each point of (-2..0.6) x (-1.3..1.3) stays within |z|^2 <= 4, at most `turns`, as i32. cx and cy are inputs."""

    # Points at the border round differently where products and sums are contracted: compared as a share of all.
    tolerance = 0.02

    def __init__(self, n, turns):
        self.n, self.turns = n, turns
        self.inputs = [("cx", (n, n), "f32", uniform(-2.0, 0.6)), ("cy", (n, n), "f32", uniform(-1.3, 1.3))]
        self.result_bytes = 4 * n * n

    def error(self, results, expected, inputs):
        """The share of points whose counts differ."""
        return float(np.mean(np.asarray(results[0]) != expected[0]))

    def reference(self, cx, cy):
        x, y, count = np.zeros_like(cx), np.zeros_like(cy), np.zeros(cx.shape, np.int32)
        for _ in range(self.turns):
            xx, yy = x * x, y * y
            inside = xx + yy <= 4
            count += inside
            y = np.where(inside, 2 * x * y + cy, y)
            x = np.where(inside, xx - yy + cx, x)
        return [count]


@workload
class MandelbrotUnrolled(Mandelbrot):
    """The turns are unrolled while tracing: an elementwise graph of about 10 ops a turn."""


@workload
class MandelbrotWhile(Mandelbrot):
    """With a loop that ends when no point is left inside, or for each point by itself: as each system writes it best."""


@workload
class ScalarLoop(Workload):
    """steps times x = x * 6364136223846793005 + 1442695040888963407 and then x ^ (x >> 33), in 64 bits without sign or with wrapping:
    a loop of single numbers. The result is the last x as i64."""

    tolerance = 0

    def __init__(self, steps):
        self.steps = steps
        self.inputs = [("x", (), "i64", below(1000))]
        self.result_bytes = 8

    def reference(self, x):
        x, mask = int(x), 2**64 - 1
        for _ in range(self.steps):
            x = (x * 6364136223846793005 + 1442695040888963407) & mask
            x ^= x >> 33
        return [np.uint64(x).astype(np.int64)]


@workload
class Newton(Workload):
    """Square roots by Newton's method from (x + 1) / 2, all elements until the largest change relative to the new value is within the
    tolerance: a while loop on a tensor. The result is the last value."""

    def __init__(self, n, tolerance):
        self.limit = tolerance
        self.inputs = [("x", (n,), "f32", uniform(0.1, 100))]
        self.result_bytes = 4 * n

    def reference(self, x):
        r = (x + 1) / 2
        while True:
            new = 0.5 * (r + x / r)
            if (np.abs(new - r) / new).max() <= self.limit:
                return [new]
            r = new


@workload
class LstmOverTime(Workload):
    """An LSTM from zeros as a loop over time; the result is the last h. Gates in the order i, f, g, o."""

    def __init__(self, batch, times, width):
        self.batch, self.times, self.width = batch, times, width
        self.inputs = lstm_inputs(batch, times, width)
        self.result_bytes = 4 * batch * width
        self.flops = 2 * batch * times * 8 * width * width

    def reference(self, x, kernel, recurrent, bias):
        sigmoid = lambda v: 1 / (1 + np.exp(-v))
        h = c = np.zeros((x.shape[0], self.width))
        for t in range(self.times):
            i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        return [h]
