#!/usr/bin/env python3
"""Times the cases of bench_convolution in another system: convolution.py jax|torch [THREADS]. Prints medians in microseconds."""
import os
import sys
import time

import numpy as np

system = sys.argv[1]
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"

CASES = {
    "conv_28x28x1_to_32": ((64, 28, 28, 1), (3, 3, 1, 32), 1, "VALID"),
    "conv_26x26x32_to_64": ((64, 26, 26, 32), (3, 3, 32, 64), 1, "VALID"),
    "conv_8x8x32_to_64": ((32, 8, 8, 32), (3, 3, 32, 64), 1, "SAME"),
    "conv_stride_28x28x32_to_64": ((64, 28, 28, 32), (3, 3, 32, 64), 2, "SAME"),
    "conv_28x28x128_to_128": ((8, 28, 28, 128), (3, 3, 128, 128), 1, "SAME"),
}
rng = np.random.default_rng(1)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


def report(name, f):
    times = []
    for i in range(18):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    print(f"{name:45} {sorted(times[3:])[7] * 1e6:10.0f}", flush=True)


def run_jax():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def conv(x, k, stride, padding):
        return lax.conv_general_dilated(x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    for name, (x, k, stride, padding) in CASES.items():
        x, k = jnp.asarray(draw(*x)), jnp.asarray(draw(*k))
        forward = jax.jit(lambda x, k: conv(x, k, stride, padding))
        g = jnp.asarray(draw(*forward(x, k).shape))
        to_input = jax.jit(lambda x, k, g: jax.vjp(lambda x: conv(x, k, stride, padding), x)[1](g)[0])
        to_filter = jax.jit(lambda x, k, g: jax.vjp(lambda k: conv(x, k, stride, padding), k)[1](g)[0])
        report(name + "/forward", lambda: forward(x, k).block_until_ready())
        report(name + "/input", lambda: to_input(x, k, g).block_until_ready())
        report(name + "/filter", lambda: to_filter(x, k, g).block_until_ready())

    def loss(weights, x, y):
        x = jax.nn.relu(conv(x, weights[0], 1, "VALID") + weights[1])
        x = jax.nn.relu(conv(x, weights[2], 1, "VALID") + weights[3])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        logits = jax.nn.log_softmax(x.reshape(64, -1) @ weights[4] + weights[5])
        return -jnp.mean(jnp.take_along_axis(logits, y[:, None], 1))

    def step(state, x, y):
        weights, first, second, t = state
        value, gradients = jax.value_and_grad(loss)(weights, x, y)
        t = t + 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = [w - rate * m / (jnp.sqrt(v) + 1e-7) for w, m, v in zip(weights, first, second)]
        return (weights, first, second, t), value

    weights = [jnp.asarray(draw(*s) * 0.05) for s in [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (9216, 10), (10,)]]
    state = (weights, [w * 0 for w in weights], [w * 0 for w in weights], jnp.float32(0))
    train = jax.jit(step, donate_argnums=0)
    x, y = jnp.asarray(draw(64, 28, 28, 1)), jnp.asarray(rng.integers(0, 10, 64))

    def once():
        nonlocal state
        state, value = train(state, x, y)
        value.block_until_ready()

    report("cnn_step_batch_64", once)


def run_torch():
    import torch
    from torch import nn
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    layout = torch.channels_last
    for name, (x, k, stride, padding) in CASES.items():
        x = torch.from_numpy(draw(*x)).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        k = torch.from_numpy(draw(*k)).permute(3, 2, 0, 1).contiguous(memory_format=layout)
        pads = [0, 0] if padding == "VALID" else [1, 1]
        with torch.no_grad():
            g = torch.randn_like(F.conv2d(x, k, stride=stride, padding=pads)).contiguous(memory_format=layout)

            def backward(mask):
                return torch.ops.aten.convolution_backward(g, x, k, None, [stride, stride], pads, [1, 1], False, [0, 0], 1, mask)

            report(name + "/forward", lambda: F.conv2d(x, k, stride=stride, padding=pads))
            report(name + "/input", lambda: backward([True, False, False]))
            report(name + "/filter", lambda: backward([False, True, False]))

    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(9216, 10)).to(memory_format=layout)
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    x = torch.from_numpy(draw(64, 1, 28, 28)).contiguous(memory_format=layout)
    y = torch.from_numpy(rng.integers(0, 10, 64))

    def once():
        adam.zero_grad()
        F.cross_entropy(model(x), y).backward()
        adam.step()

    report("cnn_step_batch_64", once)


{"jax": run_jax, "torch": run_torch}[system]()
