"""TensorFlow: tf.function, as a graph (with Grappler and oneDNN) and compiled by XLA (jit_compile=True)."""

import os
from types import SimpleNamespace

from systems.base import Built, System, Unsupported, as_list
from systems.definitions import Definitions
from systems.models import EPSILON, LEARNING_RATE, Models, widened


def make(threads, xla):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return TensorFlow(threads, xla)


def namespace(tf):
    """TensorFlow's functions under the names that Definitions and Models want."""
    math, nn = tf.math, tf.nn

    def reduce(function):
        return lambda x, axis=None, keepdims=False: function(x, axis, keepdims)

    def index(function):
        def found(x, axis):
            if axis is None:
                x, axis = tf.reshape(x, [-1]), 0
            return function(x, axis, tf.int32)
        return found

    def set_inner(u, new):
        middle = tf.concat([u[1:-1, :1], new, u[1:-1, -1:]], 1)
        return tf.concat([u[:1], middle, u[-1:]], 0)

    def where(condition, a, b):
        return tf.where(condition, a, tf.constant(b, a.dtype) if isinstance(b, float) else b)

    def scan_lstm(x, kernel, recurrent, bias):
        width = recurrent.shape[0]
        z = tf.tensordot(x, kernel, 1) + bias
        h = c = tf.zeros([x.shape[0], width], x.dtype)
        # Unrolled, as keras.layers.LSTM(unroll=True).
        for of_time in tf.unstack(z, axis=1):
            i, f, g, o = tf.split(of_time + h @ recurrent, 4, 1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
        return h

    return SimpleNamespace(
        abs=tf.abs, maximum=tf.maximum, minimum=tf.minimum, sqrt=tf.sqrt, exp=tf.exp, log=math.log, log1p=math.log1p, tanh=tf.tanh,
        erf=math.erf, sigmoid=tf.sigmoid, relu=nn.relu, softmax=nn.softmax, log_softmax=nn.log_softmax, sum=reduce(tf.reduce_sum),
        max=reduce(tf.reduce_max), mean=reduce(tf.reduce_mean), var=lambda x, axis: math.reduce_variance(x, axis), argmax=index(tf.argmax),
        argmin=index(tf.argmin), transpose=tf.transpose, contiguous=lambda x: x, roll=tf.roll,
        pad=lambda x, n: tf.pad(x, [[n, n], [n, n]]), concatenate=tf.concat, stack=tf.stack, where=where, reshape=tf.reshape,
        lower_triangle=lambda n, m: tf.linalg.band_part(tf.ones([n, m], tf.bool), -1, 0),
        pick=lambda x, labels: tf.gather(x, labels, axis=1, batch_dims=1), set_inner=set_inner, to_int=lambda x: tf.cast(x, tf.int32),
        gelu_erf=lambda x: nn.gelu(x, False), conv_valid=lambda x, w: nn.conv2d(x, w, 1, "VALID"),
        max_pool=lambda x: nn.max_pool2d(x, 2, 2, "VALID"), scan_lstm=scan_lstm)


class TensorFlowDefinitions(Definitions):
    def __init__(self, tf):
        super().__init__(namespace(tf))
        self.tf = tf

    def gelu(self, case):
        return lambda x: self.tf.nn.gelu(x, True)

    def swish(self, case):
        # tf.nn.silu has a gradient of its own, which nobody asks for here.
        return lambda x: x * self.tf.sigmoid(x)

    def log_softmax_nll(self, case):
        tf = self.tf
        return lambda x, labels: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x))

    def product_bias_gelu(self, case):
        tf = self.tf
        return lambda x, w, b: tf.nn.gelu(tf.nn.bias_add(x @ w, b), True)

    def perceptron(self, case):
        tf = self.tf

        def perceptron(x, *weights):
            for i in range(0, len(weights) - 2, 2):
                x = tf.nn.relu(tf.nn.bias_add(x @ weights[i], weights[i + 1]))
            return tf.nn.softmax(tf.nn.bias_add(x @ weights[-2], weights[-1]))
        return perceptron

    def conv(self, case):
        tf = self.tf

        def conv(x, w, bias, mean, variance, gamma, beta):
            if case.groups == 1:
                y = tf.nn.conv2d(x, w, case.stride, "SAME")
            else:
                y = tf.nn.depthwise_conv2d(x, w, [1, case.stride, case.stride, 1], "SAME")
            scale = gamma * tf.math.rsqrt(variance + 1e-3)
            return tf.nn.relu(y * scale + ((bias - mean) * scale + beta))
        return conv

    def newton(self, case):
        tf = self.tf

        def newton(x):
            def turn(r, _):
                new = 0.5 * (r + x / r)
                return new, tf.reduce_max(tf.abs(new - r) / new)
            return tf.while_loop(lambda r, change: change > case.limit, turn, [(x + 1) / 2, tf.constant(1.0)])[0]
        return newton

    def mandelbrot_while(self, case):
        tf = self.tf

        def mandelbrot(cx, cy):
            def turn(x, y, count, _):
                x, y, count, inside = self.mandelbrot_turn(cx, cy, x, y, count)
                return x, y, count, tf.reduce_any(inside)
            zero = tf.zeros_like(cx)
            start = [zero, zero, tf.zeros_like(cx, tf.int32), tf.constant(True)]
            return tf.while_loop(lambda x, y, count, go: go, turn, start, maximum_iterations=case.turns)[2]
        return mandelbrot

    def scalar_loop(self, case):
        tf = self.tf

        def loop(x):
            def turn(i, x):
                x = x * tf.constant(6364136223846793005, tf.uint64) + tf.constant(1442695040888963407, tf.uint64)
                return i + 1, tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(33, tf.uint64)))
            return tf.cast(tf.while_loop(lambda i, x: i < case.steps, turn, [0, tf.cast(x, tf.uint64)])[1], tf.int64)
        return loop

    def lstm_over_time(self, case):
        return self.xp.scan_lstm


class Concrete:
    """A tf.function's concrete function, made at the first call: its calls look no signature up."""

    def __init__(self, function):
        self.function, self.concrete = function, None

    def __call__(self, *arguments):
        if self.concrete is None:
            self.concrete = self.function.get_concrete_function(*arguments)
        return self.concrete(*arguments)


class TensorFlow(System):
    def __init__(self, threads, xla):
        super().__init__(threads)
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")
        self.tf, self.xla, self.version = tf, xla, tf.__version__
        self.definitions = TensorFlowDefinitions(tf)
        self.settings = (f"concrete functions of tf.function(jit_compile={xla}), intra_op {threads}, inter_op 1, oneDNN on, NHWC, "
                         "variables updated in the function" + (", Adam by ResourceApplyAdam" if not xla else ""))

    def put(self, value):
        return self.tf.constant(value)

    def compile(self, function, concrete=True):
        own = lambda *arguments: function(*arguments)
        made = self.tf.function(own, jit_compile=self.xla, autograph=False)
        return Concrete(made) if concrete else made

    def build(self, case, inputs, details, reuse):
        if case.name == "scalar_loop" and not self.xla:
            raise Unsupported("2^22 turns of a graph's while take longer than the limit")
        if case.name == "conv" and case.groups > 1:
            # Depthwise kernels stand as (height, width, channels, 1).
            inputs = [inputs[0], inputs[1].transpose(0, 1, 3, 2).copy(), *inputs[2:]]
        if case.name == "thousand_sizes" and not reuse:
            return self.build_sizes(case, self.compile(self.definitions.make(case, details), concrete=False), inputs[0])
        return super().build(case, inputs, details, reuse)

    def build_training(self, case, inputs, details):
        tf = self.tf
        if case.name == "compile_training":
            inputs = widened(inputs, **details)
        loss = Models(self.definitions.xp).loss(case)
        data = [self.put(value) for value in inputs[:case.num_data]]
        start = inputs[case.num_data:]
        weights = [tf.Variable(value) for value in start]
        moments = [(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in weights] if case.optimizer == "adam" else []
        # The powers of Adam's two rates.
        powers = [tf.Variable(0.9), tf.Variable(0.999)]

        @self.compile
        def step(*data):
            with tf.GradientTape() as tape:
                value = loss(weights, *data)
            update(tape.gradient(value, weights))
            return value

        def update(gradients):
            rate = LEARNING_RATE[case.optimizer]
            if case.optimizer == "sgd":
                for w, g in zip(weights, gradients):
                    w.assign_sub(rate * g)
                return
            for w, (m, v), g in zip(weights, moments, gradients):
                tf.raw_ops.ResourceApplyAdam(var=w.handle, m=m.handle, v=v.handle, beta1_power=powers[0], beta2_power=powers[1], lr=rate,
                                             beta1=0.9, beta2=0.999, epsilon=EPSILON, grad=g)
            for power, factor in zip(powers, (0.9, 0.999)):
                power.assign(power * factor)

        def reset():
            for w, value in zip(weights, start):
                w.assign(value)
            for pair in moments:
                for moment in pair:
                    moment.assign(tf.zeros_like(moment))
            powers[0].assign(0.9)
            powers[1].assign(0.999)

        def call():
            return step(*data).numpy()
        return Built(call, self.fetch, reset=reset)

    def fetch(self, result):
        return [value if not hasattr(value, "numpy") else value.numpy() for value in as_list(result)]

    def empty_call(self):
        f, x = self.compile(lambda x: x + 1), self.tf.constant([1.0])
        return lambda: f(x)
