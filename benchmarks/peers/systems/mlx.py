"""MLX on the CPU: mx.compile, with mx.fast's fused ops."""

from types import SimpleNamespace

import numpy as np

from systems.base import Built, System, Unsupported, as_list
from systems.definitions import Definitions
from systems.models import Models, adam, sgd, widened


def make(threads):
    return Mlx(threads)


def namespace(mx):
    """MLX's functions under the names that Definitions and Models want."""

    def set_inner(u, new):
        return mx.slice_update(u, new, mx.array([1, 1]), axes=(0, 1))

    def scan_lstm(x, kernel, recurrent, bias):
        z = x @ kernel + bias
        h = c = mx.zeros((x.shape[0], recurrent.shape[0]))
        for t in range(x.shape[1]):
            i, f, g, o = mx.split(z[:, t] + h @ recurrent, 4, 1)
            c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
            h = mx.sigmoid(o) * mx.tanh(c)
        return h

    def max_pool(x):
        n, h, w, c = x.shape
        return mx.max(x.reshape(n, h // 2, 2, w // 2, 2, c), (2, 4))

    def log_softmax(x):
        return x - mx.logsumexp(x, -1, keepdims=True)

    return SimpleNamespace(
        abs=mx.abs, maximum=mx.maximum, minimum=mx.minimum, sqrt=mx.sqrt, exp=mx.exp, log=mx.log, log1p=mx.log1p, tanh=mx.tanh, erf=mx.erf,
        sigmoid=mx.sigmoid, relu=lambda x: mx.maximum(x, 0), softmax=lambda x: mx.softmax(x, -1), log_softmax=log_softmax,
        sum=lambda x, axis=None, keepdims=False: mx.sum(x, axis, keepdims),
        mean=lambda x, axis=None, keepdims=False: mx.mean(x, axis, keepdims),
        max=lambda x, axis: mx.max(x, axis), var=lambda x, axis: mx.var(x, axis), argmax=lambda x, axis: mx.argmax(x, axis),
        argmin=lambda x, axis: mx.argmin(x, axis), transpose=mx.transpose, contiguous=mx.contiguous, roll=mx.roll, pad=mx.pad,
        concatenate=mx.concatenate, stack=mx.stack, where=mx.where, reshape=mx.reshape,
        lower_triangle=lambda n, m: mx.tril(mx.ones((n, m), mx.bool_)),
        pick=lambda x, labels: mx.take_along_axis(x, labels[:, None], 1)[:, 0],
        set_inner=set_inner, to_int=lambda x: x.astype(mx.int32), gelu_erf=lambda x: x * 0.5 * (1 + mx.erf(x * 0.7071067811865476)),
        conv_valid=lambda x, w: mx.conv2d(x, mx.transpose(w, (3, 0, 1, 2))), max_pool=max_pool, scan_lstm=scan_lstm)


class MlxDefinitions(Definitions):
    def __init__(self, mx):
        super().__init__(namespace(mx))
        self.mx = mx

    def normal(self, x, gamma, beta, epsilon):
        return self.mx.fast.layer_norm(x, gamma, beta, epsilon)

    def rms_norm(self, case):
        return lambda x, residual, gamma: self.mx.fast.rms_norm(x + residual, gamma, 1e-6)

    def attention(self, case):
        attend = self.mx.fast.scaled_dot_product_attention
        # Its causal mask ends at the last key; queries and keys are as many here.
        return lambda q, k, v: attend(q, k, v, scale=case.width**-0.5, mask="causal" if case.causal else None)

    def conv(self, case):
        mx = self.mx
        total = max((case.out - 1) * case.stride + case.k - case.h, 0)
        before, after = total // 2, total - total // 2

        def conv(x, w, bias, mean, variance, gamma, beta):
            if before != after:
                x = mx.pad(x, [(0, 0), (before, after), (before, after), (0, 0)])
            y = mx.conv2d(x, w, case.stride, before if before == after else 0, 1, case.groups)
            return mx.maximum((y + bias - mean) * (gamma * mx.rsqrt(variance + 1e-3)) + beta, 0)
        return conv

    def newton(self, case):
        mx = self.mx

        @mx.compile
        def turn(x, r):
            new = 0.5 * (r + x / r)
            return new, mx.max(mx.abs(new - r) / new)

        def newton(x):
            r, change = turn(x, (x + 1) / 2)
            while change.item() > case.limit:
                r, change = turn(x, r)
            return r
        return newton

    def mandelbrot_while(self, case):
        mx = self.mx
        turn = mx.compile(self.mandelbrot_turn)

        def mandelbrot(cx, cy):
            x, y, count = mx.zeros_like(cx), mx.zeros_like(cy), mx.zeros(cx.shape, mx.int32)
            for _ in range(case.turns):
                x, y, count, inside = turn(cx, cy, x, y, count)
                if not mx.any(inside).item():
                    break
            return count
        return mandelbrot

    def lstm_over_time(self, case):
        return self.xp.scan_lstm

    def scalar_loop(self, case):
        raise Unsupported("would be a loop of Python's own numbers")


OWN_LOOPS = ("newton", "mandelbrot_while")


class Mlx(System):
    def __init__(self, threads):
        super().__init__(threads)
        import mlx.core as mx
        mx.set_default_device(mx.cpu)
        self.mx, self.version = mx, mx.__version__
        self.settings = (f"mx.compile, default device CPU, mx.fast for norms and attention, pinned to {threads} processors, its BLAS with "
                         f"OPENBLAS_NUM_THREADS={threads}; mx.eval waits")
        self.definitions = MlxDefinitions(mx)

    def put(self, value):
        return self.mx.array(value)

    def compile(self, function):
        return self.mx.compile(lambda *arguments: function(*arguments))

    def wait(self, result):
        self.mx.eval(result)
        return result

    def build(self, case, inputs, details, reuse):
        if any(value.dtype == np.float64 for value in inputs):
            raise Unsupported("has no float64 products")
        if not reuse and case.name in OWN_LOOPS:
            function, arguments = self.definitions.make(case, details), [self.put(value) for value in inputs]
            return Built(lambda: self.wait(function(*arguments)), self.fetch)
        if case.name == "conv":
            # Kernels stand as (channels out, height, width, channels in).
            inputs = [inputs[0], np.ascontiguousarray(inputs[1].transpose(3, 0, 1, 2)), *inputs[2:]]
        return super().build(case, inputs, details, reuse)

    def build_training(self, case, inputs, details):
        mx = self.mx
        if case.name == "compile_training":
            inputs = widened(inputs, **details)
        loss = Models(self.definitions.xp).loss(case)
        gradient = mx.value_and_grad(lambda weights, *data: loss(weights, *data))
        data = [self.put(value) for value in inputs[:case.num_data]]

        @mx.compile
        def step(weights, moments, *data):
            value, gradients = gradient(weights, *data)
            if case.optimizer == "sgd":
                return value, sgd(weights, gradients), moments
            return value, *adam(mx, weights, moments, gradients)

        held = {}

        def reset():
            weights = [self.put(value) for value in inputs[case.num_data:]]
            zeros = lambda: [mx.zeros_like(value) for value in weights]
            held.update(weights=weights, moments=(zeros(), zeros(), mx.array(0.0)) if case.optimizer == "adam" else ())

        def call():
            value, held["weights"], held["moments"] = step(held["weights"], held["moments"], *data)
            mx.eval(value, held["weights"], held["moments"])
            return value

        reset()
        return Built(call, self.fetch, reset=reset)

    def fetch(self, result):
        return [np.array(value) for value in as_list(result)]

    def empty_call(self):
        f, x = self.compile(lambda x: x + 1), self.mx.array(1.0)
        return lambda: self.wait(f(x))
