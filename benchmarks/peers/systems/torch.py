"""PyTorch: eager, and torch.compile. Inference under inference_mode; convolutions with channels last and folded batch norm."""

import math
import os
from types import SimpleNamespace

from systems.base import Built, System, Unsupported, as_list
from systems.definitions import Definitions
from systems.models import EPSILON, LEARNING_RATE, widened


def make(threads, compiled):
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    # Autotuned and compiled again for each process: nothing comes from a cache on disk.
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    return Torch(threads, compiled)


def namespace(torch):
    """Torch's functions under the names that Definitions wants."""
    F = torch.nn.functional

    def reduce(function):
        return lambda x, axis=None, keepdims=False: function(x) if axis is None else function(x, axis, keepdims)

    def set_inner(u, new):
        u = u.clone()
        u[1:-1, 1:-1] = new
        return u

    return SimpleNamespace(
        abs=torch.abs, maximum=torch.maximum, minimum=torch.minimum, sqrt=torch.sqrt, exp=torch.exp, log=torch.log, log1p=torch.log1p,
        tanh=torch.tanh, erf=torch.erf, sigmoid=torch.sigmoid, relu=F.relu, softmax=lambda x: F.softmax(x, -1),
        log_softmax=lambda x: F.log_softmax(x, -1), sum=reduce(torch.sum), mean=reduce(torch.mean),
        max=lambda x, axis: torch.amax(x) if axis is None else torch.amax(x, axis),
        var=lambda x, axis: torch.var(x, axis, correction=0), argmax=torch.argmax, argmin=torch.argmin,
        transpose=lambda x, axes: x.permute(axes), contiguous=lambda x: x.contiguous(), roll=torch.roll,
        pad=lambda x, n: F.pad(x, (n, n, n, n)), concatenate=torch.cat, stack=torch.stack, where=torch.where,
        lower_triangle=lambda n, m: torch.ones(n, m, dtype=torch.bool).tril(), pick=lambda x, labels: x.gather(1, labels[:, None])[:, 0],
        set_inner=set_inner, to_int=lambda x: x.to(torch.int32), reshape=torch.reshape)


class TorchDefinitions(Definitions):
    def __init__(self, torch, compiled):
        super().__init__(namespace(torch))
        self.torch, self.F, self.compiled = torch, torch.nn.functional, compiled

    def gelu(self, case):
        return lambda x: self.F.gelu(x, approximate="tanh")

    def swish(self, case):
        return self.F.silu

    def mish(self, case):
        return self.F.mish

    def axpy(self, case):
        return lambda a, x, y: self.torch.add(y, x, alpha=a.item()) if not self.compiled else a * x + y

    def log_softmax_nll(self, case):
        return self.F.cross_entropy

    def normal(self, x, gamma, beta, epsilon):
        return self.F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)

    def rms_norm(self, case):
        return lambda x, residual, gamma: self.F.rms_norm(x + residual, x.shape[-1:], gamma, 1e-6)

    def product_bias_gelu(self, case):
        # addmm is what nn.Linear calls.
        return lambda x, w, b: self.F.gelu(self.torch.addmm(b, x, w), approximate="tanh")

    def product_bias_gelu_residual_norm(self, case):
        product = self.product_bias_gelu(case)
        return lambda x, w, b, residual, gamma, beta: self.normal(product(x, w, b) + residual, gamma, beta, 1e-5)

    def attention(self, case):
        attend = self.F.scaled_dot_product_attention
        return lambda q, k, v: attend(q, k, v, is_causal=case.causal)

    def perceptron(self, case):
        def perceptron(x, *weights):
            for i in range(0, len(weights) - 2, 2):
                x = self.F.relu(self.torch.addmm(weights[i + 1], x, weights[i]))
            return self.F.softmax(self.torch.addmm(weights[-1], x, weights[-2]), 1)
        return perceptron

    def conv(self, case):
        # The picture comes padded where TensorFlow's SAME is not the same on both sides.
        total = max((case.out - 1) * case.stride + case.k - case.h, 0)
        before, after = total // 2, total - total // 2

        def conv(x, w, bias):
            if before != after:
                x = self.F.pad(x, (before, after, before, after))
            return self.F.relu(self.F.conv2d(x, w, bias, case.stride, before if before == after else 0, 1, case.groups))
        return conv

    def distances(self, x, y, width):
        if self.compiled:
            return super().distances(x, y, width)
        # Without products, which cancel where points are near.
        return self.torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square_()

    def newton(self, case):
        torch = self.torch

        def turn(x, r):
            new = 0.5 * (r + x / r)
            return new, torch.amax(torch.abs(new - r) / new)
        turn = torch.compile(turn, dynamic=False) if self.compiled else turn

        def newton(x):
            r = (x + 1) / 2
            while True:
                r, change = turn(x, r)
                if change.item() <= case.limit:
                    return r
        return newton

    def mandelbrot_while(self, case):
        torch = self.torch
        turn = torch.compile(self.mandelbrot_turn, dynamic=False) if self.compiled else self.mandelbrot_turn

        def mandelbrot(cx, cy):
            x, y, count = torch.zeros_like(cx), torch.zeros_like(cy), torch.zeros(cx.shape, dtype=torch.int32)
            for _ in range(case.turns):
                x, y, count, inside = turn(cx, cy, x, y, count)
                if not inside.any().item():
                    break
            return count
        return mandelbrot

    def lstm_over_time(self, case):
        return lambda x, lstm: lstm(x)[1][0][0]

    def scalar_loop(self, case):
        raise Unsupported("would be a loop of Python's own numbers")


# Inference: all but the first argument are constants of a module.
MODULES = ("perceptron", "conv", "product_bias_gelu")
# Loops that Python runs around compiled pieces.
OWN_LOOPS = ("newton", "mandelbrot_while")


class Torch(System):
    def __init__(self, threads, compiled):
        super().__init__(threads)
        import torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.torch, self.version, self.compiled, self.compiles = torch, torch.__version__, compiled, compiled
        self.definitions = TorchDefinitions(torch, compiled)
        how = "torch.compile(mode='max-autotune', dynamic=False), inductor's freezing, caches off, 1 compile thread" if compiled else "eager"
        self.settings = (f"{how}; torch.set_num_threads({threads}), inference_mode, convolutions channels last with batch norm folded into "
                         "their weights before the clock, scaled_dot_product_attention, nn.LSTM, fused optimizers")
        if compiled:
            torch._dynamo.config.cache_size_limit = 1 << 30
            torch._dynamo.config.recompile_limit = 1 << 30
            # Weights that are a module's become constants, which its products pack.
            torch._inductor.config.freezing = True

    def put(self, value):
        return self.torch.from_numpy(value).clone()

    def compile(self, function, dynamic=False):
        if not self.compiled:
            return function
        self.torch._dynamo.reset()
        # A function object of its own for each case.
        own = function if isinstance(function, self.torch.nn.Module) else lambda *arguments: function(*arguments)
        return self.torch.compile(own, mode=None if dynamic else "max-autotune", dynamic=dynamic)

    def build(self, case, inputs, details, reuse):
        torch = self.torch
        if case.is_compile and not self.compiles:
            raise Unsupported("compiles nothing")
        if reuse:
            return self.build_into(case, inputs)
        if case.name.startswith("train_") or case.name == "compile_training":
            return self.build_training(case, inputs, details)
        function = self.definitions.make(case, details)
        if case.name == "thousand_sizes":
            with torch.inference_mode():
                built = self.build_sizes(case, self.compile(function, dynamic=True), inputs[0])
            return Built(self.inferring(built.call), self.fetch)
        arguments = self.arguments(case, inputs)
        if self.compiled and case.name in MODULES:
            function, arguments = self.module(function, arguments[1:]), arguments[:1]
        compiled = function if case.name in OWN_LOOPS else self.compile(function)
        return Built(self.inferring(lambda: compiled(*arguments)), self.fetch_of(case))

    def module(self, function, weights):
        """A function of its first argument, the others being parameters."""
        nn = self.torch.nn

        class Inference(nn.Module):
            def __init__(self):
                super().__init__()
                self.weights = nn.ParameterList([nn.Parameter(weight, requires_grad=False) for weight in weights])

            def forward(self, x):
                return function(x, *self.weights)
        return Inference().eval()

    def inferring(self, call):
        mode = self.torch.inference_mode

        def inference():
            with mode():
                return call()
        return inference

    def arguments(self, case, inputs):
        """Inputs in the layouts that torch likes best."""
        torch = self.torch
        if case.name == "conv":
            x, w, bias, mean, variance, gamma, beta = map(self.put, inputs)
            scale = gamma / torch.sqrt(variance + 1e-3)
            last = torch.channels_last
            w = (w.permute(3, 2, 0, 1) * scale[:, None, None, None]).contiguous(memory_format=last)
            return [x.permute(0, 3, 1, 2).contiguous(memory_format=last), w, (bias - mean) * scale + beta]
        if case.name == "lstm_over_time":
            return [self.put(inputs[0]), self.lstm(case.width, *inputs[1:]).eval()]
        if case.name == "log_softmax_nll":
            return [self.put(inputs[0]), self.put(inputs[1]).long()]
        return [self.put(value) for value in inputs]

    def lstm(self, width, kernel, recurrent, bias):
        torch = self.torch
        lstm = torch.nn.LSTM(width, width, batch_first=True)
        with torch.no_grad():
            lstm.weight_ih_l0.copy_(torch.as_tensor(kernel).T)
            lstm.weight_hh_l0.copy_(torch.as_tensor(recurrent).T)
            lstm.bias_ih_l0.copy_(torch.as_tensor(bias))
            lstm.bias_hh_l0.zero_()
        # Torch has two biases: only one is trained.
        lstm.bias_hh_l0.requires_grad_(False)
        return lstm

    def build_into(self, case, inputs):
        """Ops that write into a given tensor."""
        torch = self.torch
        if self.compiled:
            raise Unsupported("has no results that are used again")
        functions = {
            "axpy": lambda out, a, x, y: torch.add(y, x, alpha=a.item(), out=out), "add_one": lambda out, x: torch.add(x, 1, out=out),
            "softmax": lambda out, x: torch.softmax(x, 1, out=out), "add_transposed": lambda out, a, b: torch.add(a, b.T, out=out),
            "concat": lambda out, a, b: torch.cat([a, b], case.axis, out=out), "matmul": lambda out, a, b: torch.matmul(a, b, out=out),
            "batch_matmul": lambda out, a, b: torch.bmm(a, b, out=out),
            "permute_0213": lambda out, x: out.copy_(x.permute(0, 2, 1, 3)),
            "strided_slice": lambda out, x: torch.mul(x[::case.step, ::case.step], 2, out=out),
        }
        if case.name not in functions:
            raise Unsupported("has no out= for it")
        arguments = [self.put(value) for value in inputs]
        with torch.inference_mode():
            out = self.definitions.make(case, {})(*arguments).contiguous()
        into = functions[case.name]
        return Built(self.inferring(lambda: into(out, *arguments)), self.fetch)

    def build_training(self, case, inputs, details):
        torch = self.torch
        if self.compiled:
            torch._dynamo.reset()
        if case.name == "compile_training":
            inputs = widened(inputs, **details)
        data = [self.put(value) for value in inputs[:case.num_data]]
        if case.num_data == 2:
            data[1] = data[1].long()
        if case.name == "train_cnn":
            data[0] = data[0].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        held = {}

        def reset():
            held["steps"] = 0
            from systems.torch_models import model_of
            loss = model_of(torch, self, case, inputs[case.num_data:])
            parameters = [p for p in loss.parameters() if p.requires_grad]
            rate = LEARNING_RATE[case.optimizer]
            held["optimizer"] = (torch.optim.SGD(parameters, rate, fused=True) if case.optimizer == "sgd" else
                                 torch.optim.Adam(parameters, rate, eps=EPSILON, fused=True))
            held["loss"] = torch.compile(loss, mode="max-autotune", dynamic=False) if self.compiled else loss

        def call():
            held["optimizer"].zero_grad()
            value = held["loss"](*data)
            value.backward()
            held["steps"] += 1
            if case.optimizer == "adam":
                # Torch adds epsilon to the corrected root, the others to the root: so it is the same sum.
                held["optimizer"].param_groups[0]["eps"] = EPSILON / math.sqrt(1 - 0.999 ** held["steps"])
            held["optimizer"].step()
            return value.detach()

        reset()
        return Built(call, self.fetch, reset=reset)

    def fetch_of(self, case):
        if case.name == "conv":
            return lambda result: [result.permute(0, 2, 3, 1).contiguous().numpy()]
        return self.fetch

    def fetch(self, result):
        return [value.numpy() for value in as_list(result)]

    def empty_call(self):
        x = self.torch.ones(1)
        f = self.compile(lambda x: x + 1)
        return self.inferring(lambda: f(x))
