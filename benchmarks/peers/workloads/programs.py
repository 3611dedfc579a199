"""Workloads of groups 15 to 19: training steps, calls and compilation."""

import numpy as np

from .elementwise import chain10
from .base import LAYERS, NORMAL, Workload, below, layer_inputs, lstm_inputs, uniform, workload


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


@workload
class Call(Workload):
    """The sum of all arguments plus 1; n = 0 stands for scalars. The time is that of the call."""

    def __init__(self, arguments, n):
        # Of one sign: a sum near 0 would say nothing about errors.
        self.inputs = [(f"x{i}", (n,) if n else (), "f32", uniform(0, 1)) for i in range(arguments)]
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
    each round, and no system keeps code of those before. The time is that of the first call."""

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

    def details(self, seed=0):
        return {"ops": self.draw(seed)}

    def reference(self, x, y):
        for op, constant in self.draw(0):
            x = {"add_y": lambda: x + y, "mul": lambda: x * constant, "add": lambda: x + constant,
                 "max_y": lambda: np.maximum(x, y), "tanh": lambda: np.tanh(x)}[op]()
        return [x]


@workload
class CompileProduct(Workload):
    """The first call of tanh(a @ b + c) on 256 x 256, where c is a constant that is new in each round. What is timed is the first call."""

    is_compile = True
    # tanh near 0 of a sum of 256 products.
    tolerance = 1e-4

    def __init__(self):
        self.inputs = [("a", (256, 256), "f32", NORMAL), ("b", (256, 256), "f32", NORMAL)]
        self.result_bytes = 4 * 256 * 256

    def details(self, seed=0):
        return {"constant": 0.25 + seed % 4096 / 4096}

    def reference(self, a, b):
        return [np.tanh(a @ b + self.details()["constant"])]


@workload
class CompileTraining(Workload):
    """The first call of TrainPerceptron's step with Adam, batch 32, of a new model in each round (one hidden layer is a bit wider)."""

    is_compile = True
    tolerance = 1e-4
    num_data = 2
    batch, optimizer = 32, "adam"

    def __init__(self):
        self.inputs = TrainPerceptron(self.batch, self.optimizer).inputs

    def details(self, seed=0):
        """The width of the first hidden layer; the seed 0 is that of the inputs."""
        return {"width": LAYERS[1] + (1 + seed % 97 if seed else 0)}


@workload
class ThousandSizes(Workload):
    """softmax(chain10(x)) on vectors of so many distinct lengths, 1,000 + 7 i, compiled and called once each: the whole time.
    The first constant of the chain is new in each round. The results are those of the first and the last length."""

    is_compile = True
    fresh_process = True
    tolerance = 1e-4

    def __init__(self, count):
        self.count = count
        self.inputs = [("x", (1000 + 7 * count,), "f32", NORMAL)]

    def lengths(self):
        return [1000 + 7 * i for i in range(self.count)]

    def details(self, seed=0):
        return {"factor": 1.5 + seed % 4096 / 4096}

    def reference(self, x):
        results = []
        for length in (self.lengths()[0], self.lengths()[-1]):
            y = chain10(x[:length], self.details()["factor"])
            e = np.exp(y - y.max())
            results.append(e / e.sum())
        return results
