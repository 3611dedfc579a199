#!/usr/bin/env python3
"""Writes ops.txt: composite and structural ops on small inputs, computed by NumPy in f64. The tests only read the result.

One case a line: NAME DTYPE EXTENTS : values. `nan`, `inf` and `-inf` are themselves."""
import math

import numpy as np

x = np.array([[0.5, -1.25, 2.0, 0.0], [3.5, -0.75, 1.0, -4.0], [1e-3, 6.5, -2.5, 7.0]])
y = np.array([[2.0], [0.0], [-1.5]])
v = np.array([1.0, -2.0, 0.5, 3.0])
i = np.arange(24).reshape(2, 3, 4)
erf = np.vectorize(math.erf)


def softmax(a, axis):
    e = np.exp(a - a.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def safe(f, zero, *args):
    return np.where(np.broadcast_to(zero == 0, np.broadcast_shapes(*(a.shape for a in args))), 0.0, f(*args))


with np.errstate(all="ignore"):
    norm = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    cases = {
        "mean": x.mean(), "mean_0": x.mean(0), "mean_keep": x.mean(-1, keepdims=True),
        "variance": x.var(1), "variance_ddof": x.var(0, ddof=1), "stddev": x.std(),
        "logsumexp": np.log(np.exp(x).sum(1)), "logsumexp_all": np.log(np.exp(x).sum()),
        "logsumexp_inf": np.array([-np.inf, np.inf]),
        "sum_axes": i.sum((0, 2)), "prod": x.prod(0), "max_keep": x.max(1, keepdims=True), "min": x.min(),
        "argmax": x.argmax(1), "argmin_0": x.argmin(0),
        "softmax": softmax(x, -1), "softmax_0": softmax(x, 0), "log_softmax": np.log(softmax(x, -1)),
        "layer_norm": norm, "layer_norm_affine": norm * v + v,
        "relu": np.maximum(x, 0), "relu6": np.clip(x, 0, 6), "leaky_relu": np.where(x > 0, x, 0.2 * x),
        "elu": np.where(x > 0, x, np.expm1(x)),
        "selu": 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        "gelu": 0.5 * x * (1 + erf(x / np.sqrt(2))),
        "gelu_tanh": 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        "silu": x / (1 + np.exp(-x)), "swish": x / (1 + np.exp(-2 * x)),
        "hard_sigmoid": np.clip(x + 3, 0, 6) / 6, "softsign": x / (np.abs(x) + 1),
        "square": x * x, "squared_difference": (x - v) ** 2, "reciprocal": 1 / y, "clip": np.clip(x, -1, 2),
        "divide_no_nan": safe(np.divide, y, x, y), "multiply_no_nan": safe(np.multiply, y, x, y),
        "xlogy": safe(lambda a, b: a * np.log(b), y, y, np.abs(x)),
        "xlog1py": safe(lambda a, b: a * np.log1p(b), y, y, np.abs(x)), "xdivy": safe(np.divide, y, y, x),
        "matmul": x @ x.T, "matmul_vector": x @ v, "vector_matmul": np.array([1.0, 2.0, 3.0]) @ x, "dot": v @ v,
        "matmul_batch": i.astype("f8") @ np.arange(8).reshape(1, 4, 2), "matmul_transposed": x.T @ x,
        "transpose": i.transpose(2, 0, 1), "transpose_all": i.T, "expand": x[:, None, :], "squeeze": y[:, 0],
        "slice": i[:, ::-2, 1:3], "index": i[1, :, -1], "concat": np.concatenate([x, x[:1]], 0),
        "stack": np.stack([v, 2 * v], 1), "split": np.split(i, 3, 1)[1], "split_sizes": i[:, :, 1:4],
        "pad": np.pad(x, ((1, 0), (0, 2)), constant_values=9.0), "flip": i[::-1, ::-1, ::-1], "flip_1": i[:, ::-1],
        "roll": np.roll(i, 1, 1), "roll_back": np.roll(x, -5, -1), "broadcast": np.broadcast_to(y, (2, 3, 4)),
        "where": np.where(x > 0, x, y), "range": np.arange(2.0, 5.0, 0.75), "range_back": np.arange(5, 0, -2),
        "linspace": np.linspace(-1, 2, 7), "eye": np.eye(3, 4), "iota": np.broadcast_to(np.arange(3)[:, None], (3, 2)),
        "mod": np.mod(x, v), "floor_div": np.floor_divide(x, v), "cast": x.astype("i4"),
    }
with open("ops.txt", "w") as out:
    for name, value in cases.items():
        value = np.asarray(value)
        shape = "".join(f" {n}" for n in value.shape)
        out.write(f"{name}{shape} : {' '.join(repr(float(e)) for e in value.ravel())}\n")
