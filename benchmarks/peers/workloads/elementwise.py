"""Workloads of groups 1 to 3 and 22: one element at a time."""

import numpy as np

from .base import NORMAL, Workload, uniform, workload


class Elementwise(Workload):
    names = ("x",)
    distribution = NORMAL

    def __init__(self, n):
        self.n = n
        self.inputs = [(name, (n,), "f32", self.distribution) for name in self.names]
        self.result_bytes = 4 * n


@workload
class Axpy(Elementwise):
    """a * x + y with a scalar a."""

    def __init__(self, n):
        super().__init__(n)
        self.inputs = [("a", (), "f32", NORMAL), ("x", (n,), "f32", NORMAL), ("y", (n,), "f32", NORMAL)]

    def reference(self, a, x, y):
        return [a * x + y]


@workload
class Chain3(Elementwise):
    names = ("x", "y", "z")

    def reference(self, x, y, z):
        return [(x * y + z) * (x - y) + z * 0.5]


def chain10(x, factor=1.5):
    a = x * factor + 0.5
    b = a * x - 2.0
    c = np.abs(b) * 0.25
    d = np.maximum(c, x) - b
    return np.sqrt(np.abs(d))


@workload
class Chain10(Elementwise):
    """Ten ops, none of them dear."""

    def reference(self, x):
        return [chain10(x)]

    # The difference of two close numbers under a root.
    tolerance = 1e-3


@workload
class Gelu(Elementwise):
    """The form with tanh."""

    def reference(self, x):
        return [0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))]


@workload
class Swish(Elementwise):
    def reference(self, x):
        return [x / (1 + np.exp(-x))]


@workload
class Mish(Elementwise):
    """x * tanh(log(1 + exp(x)))."""

    def reference(self, x):
        return [x * np.tanh(np.log1p(np.exp(x)))]


@workload
class BlackScholes(Elementwise):
    """Call and put of European options: spot, strike, years; rate 0.02, volatility 0.3. The normal distribution by erf."""

    def __init__(self, n):
        self.n = n
        self.inputs = [("spot", (n,), "f32", uniform(10, 50)), ("strike", (n,), "f32", uniform(10, 50)),
                       ("years", (n,), "f32", uniform(1, 2))]
        self.result_bytes = 8 * n

    def reference(self, spot, strike, years):
        from scipy.special import erf
        rate, volatility = 0.02, 0.3
        spread = volatility * np.sqrt(years)
        d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / spread
        d2 = d1 - spread
        normal = lambda d: 0.5 + 0.5 * erf(d * 0.7071067811865476)
        discounted = strike * np.exp(-rate * years)
        call = spot * normal(d1) - discounted * normal(d2)
        return [call, call - spot + discounted]

    tolerance = 1e-5


@workload
class Dag(Workload):
    """30 ops on 6 inputs, 4 results: the last ones. `ops` is a list of (op, a, b); operands are numbered, inputs first."""

    OPS = ("add", "sub", "mul", "max", "min", "tanh", "sqrt_abs", "sigmoid")
    tolerance = 1e-3

    def __init__(self, n, seed):
        self.n = n
        rng = np.random.default_rng(seed)
        self.inputs = [(f"x{i}", (n,), "f32", NORMAL) for i in range(6)]
        self.result_bytes = 16 * n
        self.ops = []
        for i in range(30):
            # Cheap ops mostly; an operand is rather a late value than an early one.
            op = self.OPS[rng.choice(8, p=[0.2, 0.2, 0.2, 0.1, 0.1, 0.06, 0.08, 0.06])]
            a, b = (int((6 + i) * rng.random() ** 0.5) for _ in range(2))
            self.ops.append((op, a, b))

    def details(self, seed=0):
        return {"ops": self.ops}

    def reference(self, *values):
        values = list(values)
        for op, a, b in self.ops:
            values.append(apply_op(op, values[a], values[b]))
        return values[-4:]


def apply_op(op, a, b):
    if op == "sqrt_abs":
        return np.sqrt(np.abs(a))
    if op == "sigmoid":
        return 1 / (1 + np.exp(-a))
    if op == "tanh":
        return np.tanh(a)
    return {"add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[op](a, b)


@workload
class AddOne(Workload):
    """x + 1 into a result of so many MB (2^20 bytes)."""

    def __init__(self, megabytes):
        n = megabytes * 2**18
        self.inputs = [("x", (n,), "f32", NORMAL)]
        self.result_bytes = 4 * n

    def reference(self, x):
        return [x + 1]

