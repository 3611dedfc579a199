"""The workloads in terms of an array module: every system whose users write such code shares these, and overrides what it has a
better way for. Each method takes a case and what was drawn for it and returns a function of arrays."""

import math

from systems.base import Unsupported


class Definitions:
    """`xp` has the functions of an array module under NumPy's names, and softmax, log_softmax, sigmoid, relu and erf."""

    def __init__(self, xp):
        self.xp = xp

    def make(self, case, details):
        """The function of a case."""
        method = getattr(self, case.name, None)
        if method is None:
            raise Unsupported("no definition")
        return method(case, **details)

    # ---- groups 1 to 3, 22

    def axpy(self, case):
        return lambda a, x, y: a * x + y

    def chain3(self, case):
        return lambda x, y, z: (x * y + z) * (x - y) + z * 0.5

    def chain10(self, case, factor=1.5):
        xp = self.xp

        def chain10(x):
            a = x * factor + 0.5
            b = a * x - 2.0
            c = xp.abs(b) * 0.25
            d = xp.maximum(c, x) - b
            return xp.sqrt(xp.abs(d))
        return chain10

    def gelu(self, case):
        xp = self.xp
        return lambda x: 0.5 * x * (1 + xp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    def swish(self, case):
        return lambda x: x * self.xp.sigmoid(x)

    def mish(self, case):
        xp = self.xp
        return lambda x: x * xp.tanh(xp.log1p(xp.exp(x)))

    def black_scholes(self, case):
        xp = self.xp
        rate, volatility = 0.02, 0.3

        def prices(spot, strike, years):
            spread = volatility * xp.sqrt(years)
            d1 = (xp.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / spread
            d2 = d1 - spread
            normal = lambda d: 0.5 + 0.5 * xp.erf(d * 0.7071067811865476)
            discounted = strike * xp.exp(-rate * years)
            call = spot * normal(d1) - discounted * normal(d2)
            return call, call - spot + discounted
        return prices

    def dag(self, case, ops):
        xp = self.xp
        table = {
            "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "max": xp.maximum, "min": xp.minimum,
            "tanh": lambda a, b: xp.tanh(a), "sqrt_abs": lambda a, b: xp.sqrt(xp.abs(a)), "sigmoid": lambda a, b: xp.sigmoid(a),
        }

        def dag(*values):
            values = list(values)
            for op, a, b in ops:
                values.append(table[op](values[a], values[b]))
            return tuple(values[-4:])
        return dag

    def add_one(self, case):
        return lambda x: x + 1

    # ---- groups 4 to 6

    def sum(self, case):
        return lambda x: self.xp.sum(x, case.axis)

    def max(self, case):
        return lambda x: self.xp.max(x, case.axis)

    def mean(self, case):
        return lambda x: self.xp.mean(x, case.axis)

    def variance(self, case):
        return lambda x: self.xp.var(x, case.axis)

    def argmax(self, case):
        return lambda x: self.xp.argmax(x, case.axis)

    def softmax(self, case):
        return lambda x: self.xp.softmax(x)

    def log_softmax_nll(self, case):
        xp = self.xp
        return lambda x, labels: -xp.mean(xp.pick(xp.log_softmax(x), labels), None)

    def layer_norm(self, case):
        return lambda x, residual, gamma, beta: self.normal(x + residual, gamma, beta, 1e-5)

    def normal(self, x, gamma, beta, epsilon):
        """Layer normalisation along the last axis."""
        xp = self.xp
        centred = x - xp.mean(x, -1, keepdims=True)
        return centred / xp.sqrt(xp.mean(centred * centred, -1, keepdims=True) + epsilon) * gamma + beta

    def rms_norm(self, case):
        xp = self.xp

        def rms_norm(x, residual, gamma):
            x = x + residual
            return x / xp.sqrt(xp.mean(x * x, -1, keepdims=True) + 1e-6) * gamma
        return rms_norm

    # ---- group 7

    def add_transposed(self, case):
        return lambda a, b: a + self.xp.transpose(b, (1, 0))

    def permute_0213(self, case):
        return lambda x: self.xp.contiguous(self.xp.transpose(x, (0, 2, 1, 3)))

    def strided_slice(self, case):
        step = case.step
        return lambda x: x[::step, ::step] * 2

    def roll_stencil(self, case):
        xp = self.xp

        def stencil(x):
            total = -8 * x
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    if i or j:
                        total = total + xp.roll(x, (i, j), (0, 1))
            return total
        return stencil

    def pad(self, case):
        return lambda x: self.xp.pad(x, 16)

    def concat(self, case):
        return lambda a, b: self.xp.concatenate([a, b], case.axis)

    def rgb_to_grey(self, case):
        return lambda x: 0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]

    def grey_to_rgb(self, case):
        return lambda x: self.xp.stack([x, x * 0.9, x * 0.8], -1)

    # ---- groups 8 to 11, 13, 14

    def matmul(self, case):
        return lambda a, b: a @ b

    batch_matmul = matmul

    def product_bias_gelu(self, case):
        gelu = self.gelu(case)
        return lambda x, w, b: gelu(x @ w + b)

    def product_bias_gelu_residual_norm(self, case):
        gelu = self.gelu(case)
        return lambda x, w, b, residual, gamma, beta: self.normal(gelu(x @ w + b) + residual, gamma, beta, 1e-5)

    def attention(self, case):
        xp = self.xp

        def attention(q, k, v):
            s = q @ xp.transpose(k, (0, 1, 3, 2)) * (1 / math.sqrt(case.width))
            if case.causal:
                s = xp.where(xp.lower_triangle(case.queries, case.keys), s, -math.inf)
            return xp.softmax(s) @ v
        return attention

    def perceptron(self, case):
        xp = self.xp

        def perceptron(x, *weights):
            for i in range(0, len(weights) - 2, 2):
                x = xp.relu(x @ weights[i] + weights[i + 1])
            return xp.softmax(x @ weights[-2] + weights[-1])
        return perceptron

    # ---- groups 16 to 19

    def call(self, case):
        def call(*xs):
            total = xs[0]
            for x in xs[1:]:
                total = total + x
            return total + 1
        return call

    def power(self, case):
        def power(x):
            result = x
            for _ in range(case.exponent - 1):
                result = result * x
            return result
        return power

    def compile_chain(self, case, ops):
        xp = self.xp
        table = {"add_y": lambda x, y, c: x + y, "mul": lambda x, y, c: x * c, "add": lambda x, y, c: x + c,
                 "max_y": lambda x, y, c: xp.maximum(x, y), "tanh": lambda x, y, c: xp.tanh(x)}

        def chain(x, y):
            for op, constant in ops:
                x = table[op](x, y, constant)
            return x
        return chain

    def compile_product(self, case, constant):
        return lambda a, b: self.xp.tanh(a @ b + constant)

    def thousand_sizes(self, case, factor):
        """The function of one size: a system is asked for all of them by System.build_sizes."""
        chain = self.chain10(case, factor)
        return lambda x: self.xp.softmax(chain(x))

    # ---- groups 20, 21, 23

    def nbody(self, case):
        xp = self.xp

        def nbody(x, mass):
            d = x[None, :, :] - x[:, None, :]
            r2 = xp.sum(d * d, -1) + 0.01
            return xp.sum(d * (mass[None, :] / (r2 * xp.sqrt(r2)))[:, :, None], 1)
        return nbody

    def distances(self, x, y, width):
        total = None
        for i in range(width):
            d = x[:, i][:, None] - y[:, i][None, :]
            total = d * d if total is None else total + d * d
        return total

    def rbf(self, case):
        width = case.inputs[0][1][1]
        return lambda x, y: self.xp.exp(-0.5 * self.distances(x, y, width))

    def nearest(self, case):
        width = case.inputs[0][1][1]
        return lambda x, y: self.xp.argmin(self.distances(x, y, width), 1)

    def heat(self, case):
        def heat(u):
            for _ in range(case.steps):
                inner = u[1:-1, 1:-1]
                new = inner + 0.1 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner)
                u = self.xp.set_inner(u, new)
            return u
        return heat

    def mandelbrot_turn(self, cx, cy, x, y, count):
        """The next x, y and count, and who is inside."""
        xp = self.xp
        xx, yy = x * x, y * y
        inside = xx + yy <= 4
        count = count + xp.to_int(inside)
        return xp.where(inside, xx - yy + cx, x), xp.where(inside, 2 * x * y + cy, y), count, inside

    def mandelbrot_unrolled(self, case):
        def mandelbrot(cx, cy):
            x = y = cx * 0
            count = self.xp.to_int(cx * 0)
            for _ in range(case.turns):
                x, y, count, _ = self.mandelbrot_turn(cx, cy, x, y, count)
            return count
        return mandelbrot

    def lstm_cell(self, z, c, width):
        xp = self.xp
        i, f, g, o = (z[:, k * width:(k + 1) * width] for k in range(4))
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        return xp.sigmoid(o) * xp.tanh(c), c
