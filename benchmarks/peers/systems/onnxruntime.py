"""onnxruntime: models made op by op with onnx's helper, weights as initializers, all optimisations; a direct node where the optimiser's
own fused op is to be had (MultiHeadAttention, SkipLayerNormalization, Gelu, LSTM)."""

import math

import numpy as np

from systems.base import Built, System, Unsupported
from systems.definitions import Definitions
from systems.onnx_graph import Graph, namespace

# Arguments from this place on are constants of the model.
CONSTANTS_FROM = {"perceptron": 1, "conv": 1, "product_bias_gelu": 1, "lstm_over_time": 1}
WEIGHTS_OF_PRODUCT = {"product_bias_gelu_residual_norm": (1, 2, 4, 5), "layer_norm": (2, 3), "rms_norm": (2,)}


def make(threads):
    return OnnxRuntime(threads)


class OnnxDefinitions(Definitions):
    def __init__(self, graph):
        super().__init__(namespace(graph))
        self.graph = graph

    def gelu(self, case):
        return lambda x: self.graph.op("Gelu", x, approximate="tanh")

    def mish(self, case):
        return lambda x: self.graph.op("Mish", x)

    def swish(self, case):
        return lambda x: self.graph.op("QuickGelu", x, domain="com.microsoft", alpha=1.0)

    def log_softmax_nll(self, case):
        def nll(x, labels):
            picked = self.graph.op("GatherElements", self.graph.op("LogSoftmax", x, axis=-1), self.graph.unsqueeze(labels, [1]), axis=1)
            return -self.xp.mean(picked, None)
        return nll

    def normal(self, x, gamma, beta, epsilon):
        return self.graph.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=epsilon)

    def layer_norm(self, case):
        return lambda x, residual, gamma, beta: self.graph.op("SkipLayerNormalization", x, residual, gamma, beta, domain="com.microsoft",
                                                              epsilon=1e-5)

    def rms_norm(self, case):
        return lambda x, residual, gamma: self.graph.op("SkipSimplifiedLayerNormalization", x, residual, gamma, domain="com.microsoft",
                                                        epsilon=1e-6)

    def add_transposed(self, case):
        return lambda a, b: a + self.xp.transpose(b, (1, 0))

    def conv(self, case):
        def conv(x, w, bias, mean, variance, gamma, beta):
            y = self.graph.op("Conv", x, w, bias, strides=[case.stride] * 2, group=case.groups, auto_pad="SAME_UPPER")
            y = self.graph.op("BatchNormalization", y, gamma, beta, mean, variance, epsilon=1e-3)
            return self.graph.op("Relu", y)
        return conv

    def attention(self, case):
        def attention(q, k, v):
            return self.graph.op("MultiHeadAttention", q, k, v, domain="com.microsoft", num_heads=case.heads,
                                 unidirectional=int(case.causal), scale=1 / math.sqrt(case.width))
        return attention

    def perceptron(self, case):
        def perceptron(x, *weights):
            for i in range(0, len(weights) - 2, 2):
                x = self.graph.op("Relu", self.graph.op("Gemm", x, weights[i], weights[i + 1]))
            return self.xp.softmax(self.graph.op("Gemm", x, weights[-2], weights[-1]))
        return perceptron

    def lstm_over_time(self, case):
        def lstm(x, w, r, b):
            return self.graph.op("LSTM", x, w, r, b, outputs=3, hidden_size=case.width)[1]
        return lstm

    def newton(self, case):
        def newton(x):
            def turn(xp, r, _):
                new = 0.5 * (r + x / r)
                return xp.greater(xp.max(xp.abs(new - r) / new, None), case.limit), (new,)
            return self.graph.loop(turn, [(x + 1) / 2])[0]
        return newton

    def mandelbrot_while(self, case):
        def mandelbrot(cx, cy):
            def turn(xp, x, y, count, _):
                x, y, count, inside = OnnxDefinitions(xp.graph).mandelbrot_turn(cx, cy, x, y, count)
                return xp.greater(xp.max(xp.to_int(inside), None), 0), (x, y, count)
            return self.graph.loop(turn, [cx * 0, cx * 0, self.xp.to_int(cx * 0)], case.turns)[2]
        return mandelbrot

    def scalar_loop(self, case):
        raise Unsupported("a Loop node for each of 2^22 turns takes longer than the limit")


class OnnxRuntime(System):
    def __init__(self, threads):
        super().__init__(threads)
        import onnxruntime
        self.onnxruntime, self.version = onnxruntime, onnxruntime.__version__
        onnxruntime.set_default_logger_severity(3)
        self.settings = (f"CPUExecutionProvider, ORT_ENABLE_ALL, intra_op_num_threads={threads}, sequential, weights as initializers, "
                         "IO binding of inputs and outputs; convolutions NCHW (its optimiser blocks channels); LSTM, MultiHeadAttention, "
                         "Gelu and SkipLayerNormalization as nodes")

    def session(self, model):
        options = self.onnxruntime.SessionOptions()
        options.graph_optimization_level = self.onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = self.onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        return self.onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def build(self, case, inputs, details, reuse):
        if case.name.startswith("train_") or case.name == "compile_training":
            raise Unsupported("trains nothing in this package")
        if case.name == "thousand_sizes":
            return self.build_thousand(case, inputs, details)
        inputs = arranged(case, inputs)
        graph = Graph()
        first = CONSTANTS_FROM.get(case.name, len(inputs))
        constant = WEIGHTS_OF_PRODUCT.get(case.name, tuple(range(first, len(inputs))))
        arguments = [graph.constant(value) if i in constant else graph.input(f"x{i}", value) for i, value in enumerate(inputs)]
        results = OnnxDefinitions(graph).make(case, details)(*arguments)
        names = graph.outputs(results)
        fed = {f"x{i}": value for i, value in enumerate(inputs) if i not in constant}
        run = Run(self, graph, fed, names, reuse)
        return Built(run, fetch_of(case), prepare=run.prepare)

    def build_thousand(self, case, inputs, details):
        graph = Graph()
        x = graph.input("x0", inputs[0], shape=[None])
        names = graph.outputs(OnnxDefinitions(graph).make(case, details)(x))
        pieces = [inputs[0][:length] for length in case.lengths()]
        held = {}

        def prepare():
            held["session"] = self.session(graph.model())

        def call():
            results = [held["session"].run(names, {"x0": piece})[0] for piece in pieces]
            return results[0], results[-1]
        return Built(call, self.fetch, prepare=prepare)

    def empty_call(self):
        graph = Graph()
        x = np.ones(1, np.float32)
        run = Run(self, graph, {"x0": x}, graph.outputs(graph.input("x0", x) + 1), False)
        run.prepare()
        return run


class Run:
    """A session whose inputs are bound before the clock."""

    def __init__(self, system, graph, fed, names, reuse):
        self.system, self.graph, self.fed, self.names, self.reuse = system, graph, fed, names, reuse

    def prepare(self):
        self.session = self.system.session(self.graph.model())
        self.binding = self.session.io_binding()
        for name, value in self.fed.items():
            self.binding.bind_cpu_input(name, value)
        for name in self.names:
            self.binding.bind_output(name, "cpu")
        if self.reuse:
            self.session.run_with_iobinding(self.binding)
            self.kept = self.binding.get_outputs()
            self.binding.clear_binding_outputs()
            for name, value in zip(self.names, self.kept):
                self.binding.bind_ortvalue_output(name, value)
            self.run = self.session.run_with_iobinding

    def __call__(self):
        self.session.run_with_iobinding(self.binding)
        return self.kept if self.reuse else self.binding.get_outputs()


def arranged(case, inputs):
    """Inputs in onnxruntime's own layouts."""
    if case.name == "conv":
        x, w, *rest = inputs
        return [np.ascontiguousarray(x.transpose(0, 3, 1, 2)), np.ascontiguousarray(w.transpose(3, 2, 0, 1)), *rest]
    if case.name == "attention":
        # Batch, tokens, heads and width in one.
        return [np.ascontiguousarray(value.transpose(0, 2, 1, 3).reshape(1, value.shape[2], -1)) for value in inputs]
    if case.name == "lstm_over_time":
        x, kernel, recurrent, bias = inputs
        # Gates i, o, f, c; times first.
        order = lambda w: np.concatenate([np.split(w, 4, -1)[k] for k in (0, 3, 1, 2)], -1)
        bias = np.concatenate([order(bias), np.zeros_like(bias)])
        return [np.ascontiguousarray(x.swapaxes(0, 1)), order(kernel).T[None].copy(), order(recurrent).T[None].copy(), bias[None]]
    if case.name == "log_softmax_nll":
        return [inputs[0], inputs[1].astype(np.int64)]
    return inputs


def fetch_of(case):
    """How results come back from those layouts."""
    def fetch(results):
        values = [result.numpy() for result in results]
        if case.name == "conv":
            return [values[0].transpose(0, 2, 3, 1)]
        if case.name == "attention":
            return [values[0].reshape(1, case.queries, case.heads, case.width).transpose(0, 2, 1, 3)]
        if case.name == "lstm_over_time":
            return [values[0][0]]
        return values
    return fetch
