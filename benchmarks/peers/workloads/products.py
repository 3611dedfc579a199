"""Workloads of groups 8 to 14: matrix products, convolutions, attention, a perceptron."""

import numpy as np

from .base import LAYERS, NORMAL, Workload, layer_inputs, size_of, uniform, workload


@workload
class Matmul(Workload):
    def __init__(self, m, k, n, dtype):
        self.m, self.k, self.n, self.dtype = m, k, n, dtype
        self.inputs = [("a", (m, k), dtype, NORMAL), ("b", (k, n), dtype, NORMAL)]
        self.result_bytes = size_of((m, n), dtype)
        self.flops = 2 * m * k * n


@workload
class BatchMatmul(Workload):
    def __init__(self, batch, n):
        self.inputs = [("a", (batch, n, n), "f32", NORMAL), ("b", (batch, n, n), "f32", NORMAL)]
        self.result_bytes = 4 * batch * n * n
        self.flops = 2 * batch * n**3


Matmul.reference = BatchMatmul.reference = lambda self, a, b: [a @ b]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


@workload
class ProductBiasGelu(Workload):
    def __init__(self, m, k, n):
        self.inputs = [("x", (m, k), "f32", NORMAL), ("w", (k, n), "f32", ("normal", 0.0, k**-0.5)), ("b", (n,), "f32", NORMAL)]
        self.result_bytes = 4 * m * n
        self.flops = 2 * m * k * n

    def reference(self, x, w, b):
        return [gelu(x @ w + b)]


@workload
class ProductBiasGeluResidualNorm(Workload):
    """layer_norm(gelu(x @ w + b) + residual), epsilon 1e-5."""

    def __init__(self, m, k, n):
        self.inputs = [("x", (m, k), "f32", NORMAL), ("w", (k, n), "f32", ("normal", 0.0, k**-0.5)), ("b", (n,), "f32", NORMAL),
                       ("residual", (m, n), "f32", NORMAL), ("gamma", (n,), "f32", NORMAL), ("beta", (n,), "f32", NORMAL)]
        self.result_bytes = 4 * m * n
        self.flops = 2 * m * k * n

    def reference(self, x, w, b, residual, gamma, beta):
        h = gelu(x @ w + b) + residual
        centred = h - h.mean(1, keepdims=True)
        return [centred / np.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5) * gamma + beta]


@workload
class Conv(Workload):
    """relu(batch_norm(conv(x, w) + bias)), as in inference: scale and shift of each channel come from four vectors, epsilon
    1e-3. x is NHWC, w is (k, k, ci / groups, co), padding as TensorFlow's SAME. Systems may hold both in the layout that they
    like best: layouts are changed before the clock starts."""

    def __init__(self, batch, h, ci, co, k, stride, groups):
        self.batch, self.h, self.ci, self.co, self.k, self.stride, self.groups = batch, h, ci, co, k, stride, groups
        self.out = -(-h // stride)
        deviation = (k * k * ci / groups) ** -0.5
        self.inputs = [("x", (batch, h, h, ci), "f32", NORMAL), ("w", (k, k, ci // groups, co), "f32", ("normal", 0.0, deviation)),
                       ("bias", (co,), "f32", NORMAL), ("mean", (co,), "f32", NORMAL), ("variance", (co,), "f32", uniform(0.5, 1.5)),
                       ("gamma", (co,), "f32", NORMAL), ("beta", (co,), "f32", NORMAL)]
        self.result_bytes = 4 * batch * self.out**2 * co
        self.flops = 2 * batch * self.out**2 * co * k * k * ci // groups

    def reference(self, x, w, bias, mean, variance, gamma, beta):
        total = max((self.out - 1) * self.stride + self.k - self.h, 0)
        x = np.pad(x, ((0, 0), (total // 2, total - total // 2), (total // 2, total - total // 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (self.k, self.k), (1, 2))[:, :: self.stride, :: self.stride]
        # windows: batch, out, out, ci, k, k
        if self.groups == 1:
            y = np.tensordot(windows, w, ((3, 4, 5), (2, 0, 1)))
        else:
            y = np.einsum("nhwcij,ijc->nhwc", windows, w[:, :, 0, :])
        y = (y + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        return [np.maximum(y, 0)]


@workload
class Attention(Workload):
    """softmax(q k^T / sqrt(width)) v for each head, batch 1; causal: a query sees the keys up to its own place."""

    def __init__(self, heads, queries, keys, width, causal):
        self.heads, self.queries, self.keys, self.width, self.causal = heads, queries, keys, width, causal
        self.inputs = [("q", (1, heads, queries, width), "f32", NORMAL), ("k", (1, heads, keys, width), "f32", NORMAL),
                       ("v", (1, heads, keys, width), "f32", NORMAL)]
        self.result_bytes = 4 * heads * queries * width
        # A causal one needs half of it.
        self.flops = 4 * heads * queries * keys * width // (2 if causal else 1)

    def reference(self, q, k, v):
        s = q @ k.swapaxes(-1, -2) / np.sqrt(self.width)
        if self.causal:
            s = np.where(np.tril(np.ones((self.queries, self.keys), bool)), s, -np.inf)
        e = np.exp(s - s.max(-1, keepdims=True))
        return [e / e.sum(-1, keepdims=True) @ v]


@workload
class Perceptron(Workload):
    """784-512-512-10 with ReLU and softmax: inference. The weights are constant: systems may prepare them."""

    def __init__(self, batch):
        self.inputs = [("x", (batch, LAYERS[0]), "f32", NORMAL), *layer_inputs(LAYERS)]
        self.result_bytes = 4 * batch * LAYERS[-1]
        self.flops = 2 * batch * sum(a * b for a, b in zip(LAYERS, LAYERS[1:]))

    def reference(self, x, *weights):
        for i in range(0, len(weights) - 2, 2):
            x = np.maximum(x @ weights[i] + weights[i + 1], 0)
        x = x @ weights[-2] + weights[-1]
        e = np.exp(x - x.max(1, keepdims=True))
        return [e / e.sum(1, keepdims=True)]
