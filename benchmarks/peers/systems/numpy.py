"""NumPy: op by op; with `out=` everywhere where results are used again."""

from types import SimpleNamespace

import numpy as np
from scipy.special import erf, log_softmax

from systems.base import Built, System, Unsupported
from systems.definitions import Definitions


def make(threads):
    return NumPy(threads)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    return e


def set_inner(u, new):
    u = u.copy()
    u[1:-1, 1:-1] = new
    return u


def namespace():
    return SimpleNamespace(
        abs=np.abs, maximum=np.maximum, minimum=np.minimum, sqrt=np.sqrt, exp=np.exp, log=np.log, log1p=np.log1p, tanh=np.tanh,
        erf=erf, sigmoid=lambda x: 1 / (1 + np.exp(-x)), relu=lambda x: np.maximum(x, 0), softmax=softmax,
        log_softmax=lambda x: log_softmax(x, -1), sum=np.sum, max=np.max, mean=np.mean, var=np.var, argmax=np.argmax, argmin=np.argmin,
        transpose=np.transpose, contiguous=np.ascontiguousarray, roll=np.roll, pad=np.pad, concatenate=np.concatenate, stack=np.stack,
        where=lambda c, a, b: np.where(c, a, np.float32(b) if isinstance(b, float) else b),
        lower_triangle=lambda n, m: np.tril(np.ones((n, m), bool)), pick=lambda x, labels: x[np.arange(len(x)), labels],
        set_inner=set_inner, to_int=lambda x: x.astype(np.int32), reshape=np.reshape)


class NumPyDefinitions(Definitions):
    def __init__(self):
        super().__init__(namespace())

    def log_softmax_nll(self, case):
        def nll(x, labels):
            top = x.max(1, keepdims=True)
            sums = np.log(np.exp(x - top).sum(1)) + top[:, 0]
            return np.mean(sums - x[np.arange(len(x)), labels])
        return nll

    def add_one(self, case):
        return lambda x: np.add(x, 1)

    def nbody(self, case):
        def nbody(x, mass):
            # One body at a time: everything at once would be three matrices.
            result = np.empty_like(x)
            for i in range(len(x)):
                d = x - x[i]
                r2 = np.einsum("ij,ij->i", d, d) + np.float32(0.01)
                result[i] = (mass / (r2 * np.sqrt(r2))) @ d
            return result
        return nbody

    def newton(self, case):
        def newton(x):
            r = (x + 1) / 2
            while True:
                new = 0.5 * (r + x / r)
                if (np.abs(new - r) / new).max() <= case.limit:
                    return new
                r = new
        return newton

    def mandelbrot_while(self, case):
        def mandelbrot(cx, cy):
            # The points that are still inside, gathered.
            count = np.zeros(cx.size, np.int32)
            left = np.arange(cx.size)
            cx, cy = cx.reshape(-1), cy.reshape(-1)
            x, y = np.zeros_like(cx), np.zeros_like(cy)
            for _ in range(case.turns):
                xx, yy = x * x, y * y
                inside = np.flatnonzero(xx + yy <= 4)
                if not inside.size:
                    break
                left, cx, cy, x, y, xx, yy = left[inside], cx[inside], cy[inside], x[inside], y[inside], xx[inside], yy[inside]
                count[left] += 1
                x, y = xx - yy + cx, 2 * x * y + cy
            return count.reshape(case.n, case.n)
        return mandelbrot

    def lstm_over_time(self, case):
        def lstm(x, kernel, recurrent, bias):
            z = x @ kernel + bias
            h = c = np.zeros((case.batch, case.width), np.float32)
            for t in range(case.times):
                h, c = self.lstm_cell(z[:, t] + h @ recurrent, c, case.width)
            return h
        return lstm

    def conv(self, case):
        raise Unsupported("has no convolution of pictures")

    def scalar_loop(self, case):
        raise Unsupported("would be a loop of Python's own numbers")


class Into:
    """Functions that write into `out` and their own scratch arrays; those that NumPy can write so."""

    def __init__(self, case, inputs):
        self.case, self.scratch = case, [np.empty_like(inputs[-1]) for _ in range(2)] if case.name.startswith("chain") else []

    def axpy(self, out, a, x, y):
        np.multiply(x, a, out=out)
        np.add(out, y, out=out)

    def chain3(self, out, x, y, z):
        a, _ = self.scratch
        np.multiply(x, y, out=out)
        np.add(out, z, out=out)
        np.subtract(x, y, out=a)
        np.multiply(out, a, out=out)
        np.multiply(z, 0.5, out=a)
        np.add(out, a, out=out)

    def chain10(self, out, x):
        b, c = self.scratch
        np.multiply(x, 1.5, out=b)
        np.add(b, 0.5, out=b)
        np.multiply(b, x, out=b)
        np.subtract(b, 2.0, out=b)
        np.abs(b, out=c)
        np.multiply(c, 0.25, out=c)
        np.maximum(c, x, out=c)
        np.subtract(c, b, out=out)
        np.abs(out, out=out)
        np.sqrt(out, out=out)

    def swish(self, out, x):
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        np.divide(x, out, out=out)

    def add_one(self, out, x):
        np.add(x, 1, out=out)

    def softmax(self, out, x):
        np.subtract(x, x.max(1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, out.sum(1, keepdims=True), out=out)

    def add_transposed(self, out, a, b):
        np.add(a, b.T, out=out)

    def permute_0213(self, out, x):
        np.copyto(out, x.transpose(0, 2, 1, 3))

    def strided_slice(self, out, x):
        np.multiply(x[::self.case.step, ::self.case.step], 2, out=out)

    def concat(self, out, a, b):
        np.concatenate([a, b], self.case.axis, out=out)

    def sum(self, out, x):
        np.sum(x, self.case.axis, out=out)

    def max(self, out, x):
        np.max(x, self.case.axis, out=out)

    def mean(self, out, x):
        np.mean(x, self.case.axis, out=out)

    def argmax(self, out, x):
        np.argmax(x, self.case.axis, out=out)

    def matmul(self, out, a, b):
        np.matmul(a, b, out=out)

    batch_matmul = matmul


class NumPy(System):
    version = np.__version__
    compiles = False
    definitions = NumPyDefinitions()

    def __init__(self, threads):
        super().__init__(threads)
        self.settings = (f"op by op, its OpenBLAS with OPENBLAS_NUM_THREADS={threads}, all else on one thread; erf and log_softmax from "
                         "SciPy; reused results by out=")

    def build(self, case, inputs, details, reuse):
        if not reuse:
            return super().build(case, inputs, details, False)
        into = getattr(Into(case, inputs), case.name, None)
        if into is None or getattr(case, "axis", 0) is None:
            raise Unsupported("has no out= for it")
        out = np.ascontiguousarray(self.definitions.make(case, details)(*inputs))

        def call():
            into(out, *inputs)
            return out
        return Built(call, self.fetch)

    def put(self, value):
        return value

    def empty_call(self):
        x = np.ones(1, np.float32)
        return lambda: np.add(x, 1)
