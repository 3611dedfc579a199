#!/usr/bin/env python3
"""Times the cases of bench_training, and the step of bench_recurrent, in another system: training.py jax|torch [THREADS]. Prints
medians in microseconds. Needs jax 0.10 or torch 2.15."""
import os
import sys
import time

import numpy as np

system = sys.argv[1]
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"

PERCEPTRONS = [(784, 512, 32), (784, 512, 256), (64, 64, 32)]  # width, units, batch
BLOCK = (8, 64, 128)  # samples, tokens, width
LSTM = (32, 64, 64)   # samples, times, width
rng = np.random.default_rng(1)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def report(name, f):
    times = []
    start = time.perf_counter()
    while len(times) < 20 or (time.perf_counter() - start < 2 and len(times) < 2000):
        before = time.perf_counter()
        f()
        times.append(time.perf_counter() - before)
    times = sorted(times[5:])
    print(f"{name:45} {times[len(times) // 2] * 1e6:10.1f}", flush=True)


def run_jax():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def perceptron(width, units, batch):
        def loss(weights, x, y):
            for w, b in weights[:-1]:
                x = jax.nn.relu(x @ w + b)
            logits = jax.nn.log_softmax(x @ weights[-1][0] + weights[-1][1])
            return -jnp.mean(jnp.take_along_axis(logits, y[:, None], 1))

        def step(state, x, y):
            weights, first, second, t = state
            value, gradients = jax.value_and_grad(loss)(weights, x, y)
            t = t + 1
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
            rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
            return (weights, first, second, t), value

        sizes = [width, units, units, 10]
        weights = [(jnp.asarray(draw(a, b) * 0.05), jnp.zeros(b)) for a, b in zip(sizes, sizes[1:])]
        state = (weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), jnp.float32(0))
        train = jax.jit(step, donate_argnums=0)
        x, y = jnp.asarray(draw(batch, width)), jnp.asarray(rng.integers(0, 10, batch))

        def once():
            nonlocal state
            state, value = train(state, x, y)
            value.block_until_ready()

        report(f"perceptron_{width}_{units}_{units}_10/{batch}", once)

    for case in PERCEPTRONS:
        perceptron(*case)

    n, t, d = BLOCK
    heads = 4

    def normal(x, g, b):
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-3) * g + b

    def block(w, x):
        h = normal(x, w["g1"], w["b1"])
        q, k, v = (jnp.einsum("ntd,dhk->nhtk", h, w[m]) + w["b" + m] for m in "qkv")
        a = jnp.einsum("nhtk,nhsk->nhts", q, k) / np.sqrt(d // heads)
        a = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((t, t), bool)), a, -1e9))
        x = x + jnp.einsum("nhts,nhsk,hkd->ntd", a, v, w["o"]) + w["bo"]
        h = jax.nn.gelu(normal(x, w["g2"], w["b2"]) @ w["w1"] + w["c1"], approximate=False)
        return x + h @ w["w2"] + w["c2"]

    shapes = {m: (d, heads, d // heads) for m in "qkv"} | {"b" + m: (heads, 1, d // heads) for m in "qkv"}
    shapes |= {"o": (heads, d // heads, d), "bo": (d,), "w1": (d, 4 * d), "c1": (4 * d,), "w2": (4 * d, d), "c2": (d,)}
    shapes |= {"g1": (d,), "b1": (d,), "g2": (d,), "b2": (d,)}
    weights = {name: jnp.asarray(draw(*shape) * 0.1) for name, shape in shapes.items()}
    x = jnp.asarray(draw(n, t, d))
    gradient = jax.jit(jax.grad(lambda w, x: jnp.mean(block(w, x) ** 2)))
    report("transformer_block", lambda: jax.block_until_ready(gradient(weights, x)))

    n, t, d = LSTM

    def lstm(w, x):
        def cell(state, x):
            h, c = state
            i, f, g, o = jnp.split(x @ w["kernel"] + h @ w["recurrent"] + w["bias"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), None

        zeros = jnp.zeros((n, d))
        return lax.scan(cell, (zeros, zeros), x.swapaxes(0, 1))[0][0]

    shapes = {"kernel": (d, 4 * d), "recurrent": (d, 4 * d), "bias": (4 * d,)}
    weights = {name: jnp.asarray(draw(*shape) * 0.1) for name, shape in shapes.items()}
    x = jnp.asarray(draw(n, t, d))
    gradient = jax.jit(jax.grad(lambda w, x: jnp.mean(lstm(w, x) ** 2)))
    report("lstm_step", lambda: jax.block_until_ready(gradient(weights, x)))


def run_torch():
    import torch
    from torch import nn

    torch.set_num_threads(threads)

    def perceptron(width, units, batch, compiled):
        model = nn.Sequential(nn.Linear(width, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 10))
        adam = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
        x, y = torch.from_numpy(draw(batch, width)), torch.from_numpy(rng.integers(0, 10, batch))
        loss = lambda: nn.functional.cross_entropy(model(x), y)  # noqa: E731
        forward = torch.compile(loss) if compiled else loss

        def once():
            adam.zero_grad()
            forward().backward()
            adam.step()

        report(f"perceptron_{width}_{units}_{units}_10/{batch}" + (" compiled" if compiled else ""), once)

    for case in PERCEPTRONS:
        for compiled in (False, True):
            perceptron(*case, compiled)

    n, t, d = BLOCK

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.LayerNorm(d, 1e-3), nn.LayerNorm(d, 1e-3)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.wide, self.narrow = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            q, k, v = (m.view(n, t, 4, d // 4).transpose(1, 2) for m in self.qkv(self.first(x)).split(d, -1))
            a = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(n, t, d))
            return x + self.narrow(nn.functional.gelu(self.wide(self.second(x))))

    def backward(name, model, x):
        for compiled in (False, True):
            forward = torch.compile(model) if compiled else model

            def once():
                model.zero_grad()
                forward(x).square().mean().backward()

            report(name + (" compiled" if compiled else ""), once)

    backward("transformer_block", Block(), torch.from_numpy(draw(n, t, d)))

    n, t, d = LSTM

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(d, d, batch_first=True)

        def forward(self, x):
            return self.lstm(x)[1][0]

    backward("lstm_step", Last(), torch.from_numpy(draw(n, t, d)))


{"jax": run_jax, "torch": run_torch}[system]()
