"""JAX: everything in jax.jit."""

import os
from types import SimpleNamespace

from systems.base import Built, System, as_list
from systems.definitions import Definitions
from systems.models import Models, adam, sgd, widened


def make(threads):
    flag = "true" if threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={flag}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    return Jax(threads)


def namespace(jax):
    """JAX's functions under the names that Definitions and Models want."""
    jnp, lax, nn = jax.numpy, jax.lax, jax.nn
    take = jnp.take_along_axis

    def scan_lstm(x, kernel, recurrent, bias):
        width = recurrent.shape[0]
        of_inputs = jnp.swapaxes(x @ kernel + bias, 0, 1)  # of all times at once

        def step(state, z):
            h, c = state
            i, f, g, o = jnp.split(z + h @ recurrent, 4, 1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            return (nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((x.shape[0], width), x.dtype)
        return lax.scan(step, (zero, zero), of_inputs)[0][0]

    index = jnp.int32
    all_axes = lambda x, axis: lax.argmax(x.reshape(-1), 0, index) if axis is None else lax.argmax(x, axis, index)
    return SimpleNamespace(
        abs=jnp.abs, maximum=jnp.maximum, minimum=jnp.minimum, sqrt=jnp.sqrt, exp=jnp.exp, log=jnp.log, log1p=jnp.log1p, tanh=jnp.tanh,
        erf=jax.scipy.special.erf, sigmoid=nn.sigmoid, relu=nn.relu, softmax=nn.softmax, log_softmax=nn.log_softmax,
        sum=jnp.sum, max=jnp.max, mean=jnp.mean, var=jnp.var, argmax=all_axes, argmin=lambda x, axis: lax.argmin(x, axis, index),
        transpose=jnp.transpose, contiguous=lambda x: x, roll=jnp.roll, pad=jnp.pad, concatenate=jnp.concatenate, stack=jnp.stack,
        reshape=jnp.reshape, where=jnp.where, lower_triangle=lambda n, m: jnp.tril(jnp.ones((n, m), bool)),
        pick=lambda x, labels: take(x, labels[:, None], 1)[:, 0], set_inner=lambda u, new: u.at[1:-1, 1:-1].set(new),
        to_int=lambda x: x.astype(jnp.int32), gelu_erf=lambda x: nn.gelu(x, approximate=False),
        conv_valid=lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        max_pool=lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"), scan_lstm=scan_lstm)


class JaxDefinitions(Definitions):
    def __init__(self, jax):
        super().__init__(namespace(jax))
        self.jax = jax

    def gelu(self, case):
        return lambda x: self.jax.nn.gelu(x, approximate=True)

    def mish(self, case):
        return self.jax.nn.mish

    def conv(self, case):
        jax, lax = self.jax, self.jax.lax

        def conv(x, w, bias, mean, variance, gamma, beta):
            y = lax.conv_general_dilated(x, w, (case.stride, case.stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                         feature_group_count=case.groups)
            return jax.nn.relu((y + bias - mean) * (gamma * lax.rsqrt(variance + 1e-3)) + beta)
        return conv

    def scalar_loop(self, case):
        jnp, lax = self.jax.numpy, self.jax.lax

        def loop(x):
            def step(_, x):
                x = x * jnp.uint64(6364136223846793005) + jnp.uint64(1442695040888963407)
                return x ^ (x >> jnp.uint64(33))
            return lax.fori_loop(0, case.steps, step, x.astype(jnp.uint64)).astype(jnp.int64)
        return loop

    def newton(self, case):
        jnp, lax = self.jax.numpy, self.jax.lax

        def newton(x):
            def step(state):
                r, _ = state
                new = 0.5 * (r + x / r)
                return new, jnp.max(jnp.abs(new - r) / new)
            return lax.while_loop(lambda s: s[1] > case.limit, step, ((x + 1) / 2, jnp.float32(1)))[0]
        return newton

    def mandelbrot_while(self, case):
        jnp, lax = self.jax.numpy, self.jax.lax

        def mandelbrot(cx, cy):
            def step(state):
                x, y, count, _, turn = state
                x, y, count, inside = self.mandelbrot_turn(cx, cy, x, y, count)
                return x, y, count, inside.any(), turn + 1

            zero = jnp.zeros_like(cx)
            start = (zero, zero, jnp.zeros(cx.shape, jnp.int32), True, 0)
            return lax.while_loop(lambda s: s[3] & (s[4] < case.turns), step, start)[2]
        return mandelbrot

    def lstm_over_time(self, case):
        return self.xp.scan_lstm


class Jax(System):
    def __init__(self, threads):
        super().__init__(threads)
        import jax
        jax.config.update("jax_enable_x64", True)
        # A caller that waits for every result gains nothing from a queue.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        self.jax, self.version = jax, jax.__version__
        self.settings = (f"jax.jit, CPU, XLA_FLAGS={os.environ['XLA_FLAGS']}, pinned to {threads} processors, jax_enable_x64, "
                         "jax_cpu_enable_async_dispatch=False, buffers of parameters donated in training; x @ w of an LSTM for all "
                         "times at once, then lax.scan")
        self.definitions = JaxDefinitions(jax)
        self.put, self.wait = jax.numpy.asarray, jax.block_until_ready

    def compile(self, function):
        # A function of its own for each case, so that nothing is in a cache.
        return self.jax.jit(lambda *arguments: function(*arguments))

    def build_training(self, case, inputs, details):
        jax, jnp = self.jax, self.jax.numpy
        if case.name == "compile_training":
            inputs = widened(inputs, **details)
        loss = Models(self.definitions.xp).loss(case)
        data = [jnp.asarray(value) for value in inputs[:case.num_data]]

        def step(state, *data):
            weights, moments = state
            value, gradients = jax.value_and_grad(loss)(weights, *data)
            if case.optimizer == "sgd":
                return (sgd(weights, gradients), moments), value
            return adam(jnp, weights, moments, gradients), value

        train = jax.jit(step, donate_argnums=0)
        held = []

        def reset():
            weights = [jnp.array(value, copy=True) for value in inputs[case.num_data:]]
            zeros = lambda: [jnp.zeros_like(value) for value in weights]
            held[:] = [(weights, (zeros(), zeros(), jnp.asarray(0, weights[0].dtype)) if case.optimizer == "adam" else ())]

        def call():
            held[0], value = train(held[0], *data)
            return jax.block_until_ready((value, held[0]))[0]

        reset()
        return Built(call, self.fetch, reset=reset)

    def fetch(self, result):
        return [self.jax.device_get(value) for value in as_list(result)]

    def empty_call(self):
        f, x = self.jax.jit(lambda x: x + 1), self.jax.numpy.float32(1)
        return lambda: f(x).block_until_ready()
