"""What each workload of rows.py computes: its inputs, its definition in NumPy (the reference, in f64), bytes and arithmetic.

A workload is a class whose constructor takes the row's sizes. `inputs` lists (name, shape, dtype, distribution); `reference`
takes the inputs as f64 (integers stay integers) and returns the list of results; `bytes` are those that have to be read and
written once, `flops` the additions and multiplications of products (0 where memory or transcendentals bound it).
Systems look workloads up by the same names.
"""

import numpy as np

WORKLOADS = {}

NORMAL = ("normal", 0.0, 1.0)


def uniform(low, high):
    return ("uniform", low, high)


def below(limit):
    """Whole numbers from 0 on."""
    return ("below", limit)


def workload(cls):
    name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).lstrip("_")
    cls.name = getattr(cls, "name", None) or name
    WORKLOADS[cls.name] = cls
    return cls


def make_inputs(case, rng):
    """Fresh arrays for a workload, in the order of `inputs`."""
    arrays = []
    for _, shape, dtype, distribution in case.inputs:
        kind, *p = distribution
        if kind == "normal":
            value = rng.standard_normal(shape) * p[1] + p[0]
        elif kind == "uniform":
            value = rng.uniform(p[0], p[1], shape)
        elif kind == "below":
            value = rng.integers(0, p[0], shape)
        else:
            value = np.full(shape, p[0])
        arrays.append(np.array(value, DTYPES[dtype], order="C").reshape(shape))
    return arrays


DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}
WIDTH = {"f32": 4, "f64": 8, "i32": 4, "i64": 8}


def size_of(shape, dtype="f32"):
    return int(np.prod(shape, dtype=np.int64)) * WIDTH[dtype]


class Workload:
    """Defaults: f32, no arithmetic worth counting, results within 1e-5 of the reference's largest element."""

    flops = 0
    tolerance = 1e-5
    # How often a fresh system is called before its results are compared: more than once where it holds state.
    checked_calls = 1

    @property
    def bytes(self):
        return sum(size_of(shape, dtype) for _, shape, dtype, _ in self.inputs) + self.result_bytes

    result_bytes = 0


# ---- 1 to 3: elementwise


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


@workload
class Chain10(Elementwise):
    """Ten ops, none of them dear."""

    def reference(self, x):
        a = x * 1.5 + 0.5
        b = a * x - 2.0
        c = np.abs(b) * 0.25
        d = np.maximum(c, x) - b
        return [np.sqrt(np.abs(d))]

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


# ---- 4 to 6: reductions


class Reduction(Workload):
    """Over one axis or all, which are gone from the shape."""

    def __init__(self, shape, axis):
        self.shape, self.axis = tuple(shape), None if axis == "all" else axis
        self.inputs = [("x", self.shape, "f32", NORMAL)]
        self.result_bytes = 4 * (1 if self.axis is None else int(np.prod(self.shape)) // self.shape[self.axis])
        if self.name == "argmax":
            self.result_bytes *= 2
        if self.name == "sum":
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


@workload
class Mean(Reduction):
    tolerance = 1e-4

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
        self.inputs += [("residual", self.shape, "f32", NORMAL), ("gamma", (shape[1],), "f32", NORMAL), ("beta", (shape[1],), "f32", NORMAL)]

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


# ---- 7: layout


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
    def bytes(self):
        # Whole cache lines of the rows that are read.
        return 4 * -(-self.shape[0] // self.step) * self.shape[1] + self.result_bytes

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


# ---- 8 to 14: products


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


LAYERS = (784, 512, 512, 10)


def layer_inputs(sizes):
    inputs = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        inputs += [(f"w{i}", (a, b), "f32", ("normal", 0.0, a**-0.5)), (f"b{i}", (b,), "f32", ("normal", 0.0, 0.1))]
    return inputs


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


# ---- 15: training


class Training(Workload):
    """One step of an optimizer: the system holds the parameters, which are its last inputs, and updates them; the result is the loss
    before the step. SGD: rate 0.01; Adam: rate 0.001, 0.9, 0.999, epsilon 1e-7, the bias corrected. Three calls are compared.
    The reference is JAX in f64 (train_reference.py), since NumPy has no gradients."""

    checked_calls = 3
    tolerance = 1e-4
    result_bytes = 4
    num_data = 2


@workload
class TrainPerceptron(Training):
    """Perceptron's model; the mean cross entropy of its logits with labels."""

    def __init__(self, batch, optimizer):
        self.batch, self.optimizer = batch, optimizer
        self.inputs = [("x", (batch, LAYERS[0]), "f32", NORMAL), ("labels", (batch,), "i32", below(10)), *layer_inputs(LAYERS)]
        self.flops = 6 * batch * sum(a * b for a, b in zip(LAYERS, LAYERS[1:]))


@workload
class TrainCnn(Training):
    """28x28x1, conv 3x3 to 32 without padding, ReLU, conv 3x3 to 64, ReLU, max pool 2x2, flat, dense 10; cross entropy. NHWC."""

    def __init__(self, batch, optimizer):
        self.batch, self.optimizer = batch, optimizer
        self.inputs = [("x", (batch, 28, 28, 1), "f32", NORMAL), ("labels", (batch,), "i32", below(10)),
                       ("w0", (3, 3, 1, 32), "f32", ("normal", 0.0, 0.3)), ("b0", (32,), "f32", ("normal", 0.0, 0.1)),
                       ("w1", (3, 3, 32, 64), "f32", ("normal", 0.0, 0.06)), ("b1", (64,), "f32", ("normal", 0.0, 0.1)),
                       ("w2", (9216, 10), "f32", ("normal", 0.0, 0.01)), ("b2", (10,), "f32", ("normal", 0.0, 0.1))]
        self.flops = 6 * batch * (26 * 26 * 32 * 9 + 24 * 24 * 64 * 9 * 32 + 9216 * 10)


@workload
class TrainTransformer(Training):
    """A block as in GPT-2: x + attention(norm(x)), then x + narrow(gelu(wide(norm(x)))); 4 heads, causal, wide is 4 times the
    width, norm's epsilon 1e-3, gelu by erf. The loss is the mean of squared results. q, k and v have one weight of (width, 3 width)."""

    num_data = 1

    def __init__(self, batch, tokens, width, optimizer):
        self.batch, self.tokens, self.width, self.optimizer = batch, tokens, width, optimizer
        d, one = width, ("normal", 1.0, 0.1)
        small, weight = ("normal", 0.0, 0.1), ("normal", 0.0, d**-0.5)
        self.inputs = [("x", (batch, tokens, d), "f32", NORMAL), ("g1", (d,), "f32", one), ("b1", (d,), "f32", small),
                       ("wqkv", (d, 3 * d), "f32", weight), ("bqkv", (3 * d,), "f32", small), ("wo", (d, d), "f32", weight),
                       ("bo", (d,), "f32", small), ("g2", (d,), "f32", one), ("b2", (d,), "f32", small),
                       ("w1", (d, 4 * d), "f32", weight), ("c1", (4 * d,), "f32", small),
                       ("w2", (4 * d, d), "f32", ("normal", 0.0, (4 * d) ** -0.5)), ("c2", (d,), "f32", small)]
        self.flops = 6 * batch * tokens * (12 * d * d + 2 * tokens * d)


@workload
class TrainLstm(Training):
    """An LSTM over time from zeros; the loss is the mean of the last state h squared. Gates in the order i, f, g, o."""

    num_data = 1

    def __init__(self, batch, times, width, optimizer):
        self.batch, self.times, self.width, self.optimizer = batch, times, width, optimizer
        self.inputs = lstm_inputs(batch, times, width)
        self.flops = 6 * batch * times * 8 * width * width


def lstm_inputs(batch, times, width):
    weight = ("normal", 0.0, width**-0.5)
    return [("x", (batch, times, width), "f32", NORMAL), ("kernel", (width, 4 * width), "f32", weight),
            ("recurrent", (width, 4 * width), "f32", weight), ("bias", (4 * width,), "f32", ("normal", 0.0, 0.1))]


# ---- 16 to 19: calls and compilation


@workload
class Call(Workload):
    """The sum of all arguments plus 1; n = 0 stands for scalars. The time is that of the call."""

    def __init__(self, arguments, n):
        self.inputs = [(f"x{i}", (n,) if n else (), "f32", NORMAL) for i in range(arguments)]
        self.result_bytes = 4 * max(n, 1)

    def reference(self, *xs):
        return [sum(xs) + 1]


@workload
class Power(Workload):
    """x multiplied by itself, exponent - 1 times, by a loop of the host language that is traced."""

    tolerance = 1e-4

    def __init__(self, n, exponent, dtype):
        self.exponent = exponent
        self.inputs = [("x", (n,), dtype, uniform(0.9, 1.1) if dtype == "f32" else uniform(-3, 4))]
        self.result_bytes = 4 * n

    def reference(self, x):
        result = x
        with np.errstate(over="ignore"):
            for _ in range(self.exponent - 1):
                result = result * x
        return [result]


@workload
class CompileChain(Workload):
    """The first call of a new function of so many ops on 1,024 elements, in a process that has compiled others: ops are drawn anew for
    each round, so that nothing is in a cache. The time is that of the first call."""

    is_compile = True
    tolerance = 1e-2

    def __init__(self, ops):
        self.ops = ops
        self.inputs = [("x", (1024,), "f32", NORMAL), ("y", (1024,), "f32", NORMAL)]
        self.result_bytes = 4096

    def draw(self, seed):
        """A list of (op, constant): each takes the value so far and, for max and add, y."""
        rng = np.random.default_rng(seed)
        names = ("add_y", "mul", "add", "max_y", "tanh")
        return [(names[rng.choice(5, p=[0.25, 0.3, 0.3, 0.1, 0.05])], round(float(rng.uniform(0.5, 1.0)), 6)) for _ in range(self.ops)]


@workload
class CompileProduct(Workload):
    """The first call of tanh(a @ b + c) on 256 x 256, where c is a constant that is new in each round. What is timed is the first call."""

    is_compile = True

    def __init__(self):
        self.inputs = [("a", (256, 256), "f32", NORMAL), ("b", (256, 256), "f32", NORMAL)]
        self.result_bytes = 4 * 256 * 256


@workload
class CompileTraining(Workload):
    """The first call of TrainPerceptron's step with Adam, batch 32, of a new model in each round (one hidden layer is a bit wider)."""

    is_compile = True

    def __init__(self):
        self.inputs = TrainPerceptron(32, "adam").inputs


@workload
class ThousandSizes(Workload):
    """softmax(chain10(x)) on vectors of so many distinct lengths, 1,000 + 7 i, compiled and called once each: the whole time."""

    is_compile = True

    def __init__(self, count):
        self.count = count
        self.inputs = [("x", (1000 + 7 * count,), "f32", NORMAL)]


# ---- 20 to 23


@workload
class Nbody(Workload):
    """Accelerations of n bodies: sum over j of m_j (x_j - x_i) / (|x_j - x_i|^2 + 0.01)^1.5."""

    tolerance = 1e-4

    def __init__(self, n):
        self.inputs = [("x", (n, 3), "f32", NORMAL), ("mass", (n,), "f32", uniform(0.1, 1))]
        self.result_bytes = 12 * n
        self.flops = 20 * n * n

    def reference(self, x, mass):
        d = x[None, :, :] - x[:, None, :]
        r2 = (d * d).sum(-1) + 0.01
        return [(d * (mass[None, :] / (r2 * np.sqrt(r2)))[:, :, None]).sum(1)]


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
class AddOne(Workload):
    """x + 1 into a result of so many MB (2^20 bytes)."""

    def __init__(self, megabytes):
        n = megabytes * 2**18
        self.inputs = [("x", (n,), "f32", NORMAL)]
        self.result_bytes = 4 * n

    def reference(self, x):
        return [x + 1]


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
