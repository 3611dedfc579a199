#!/usr/bin/env python3
"""Times the loops of bench_control_flow, and the LSTM of bench_recurrent as a scan, in another system: control_flow.py jax|numba|drjit.
Prints medians of CPU time in
milliseconds."""
import os
import sys
import time

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
system = sys.argv[1]
TURNS = 1 << 22
SIDE, MOST = 1000, 100


def report(name, f):
    times = []
    for i in range(12):
        start = time.process_time()
        f()
        times.append(time.process_time() - start)
    print(f"{name:20} {sorted(times[3:])[4] * 1e3:10.2f}", flush=True)


def points():
    import numpy as np

    i = np.arange(SIDE * SIDE)
    re = np.float32(-2) + np.float32(2.5) * (i % SIDE).astype(np.float32) / np.float32(SIDE)
    im = np.float32(-1.25) + np.float32(2.5) * (i // SIDE).astype(np.float32) / np.float32(SIDE)
    return re.astype(np.float32), im.astype(np.float32)


def run_jax():
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax import lax

    @jax.jit
    def collatz(turns):
        def inner(state):
            n, left = state
            return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), left - 1

        def outer(state):
            start, left = state
            _, left = lax.while_loop(lambda s: s[0] != 1, inner, (start + 1, left))
            return start + 1, left

        return lax.while_loop(lambda s: s[1] > 0, outer, (jnp.int64(0), turns))[0]

    @jax.jit
    def newton(turns, x):
        def step(state):
            i, x, square = state
            square = square + 1.0
            return i + 1, 0.5 * (x + square / x), square

        return lax.while_loop(lambda s: s[0] < turns, step, (jnp.int64(0), x, jnp.float64(1)))[1]

    @jax.jit
    def congruence(turns, x):
        def step(state):
            i, x = state
            return i + 1, x * jnp.uint64(6364136223846793005) + jnp.uint64(1442695040888963407)

        return lax.while_loop(lambda s: s[0] < turns, step, (jnp.int64(0), x))[1]

    turns = jnp.int64(TURNS)
    report("loop_collatz", lambda: collatz(turns).block_until_ready())
    report("loop_newton", lambda: newton(turns, jnp.float64(2)).block_until_ready())
    report("loop_congruence", lambda: congruence(turns, jnp.uint64(1)).block_until_ready())

    @jax.jit
    def mandelbrot(re, im):
        def step(state):
            x, y, on, turns, k = state
            turns = jnp.where(on, turns + 1, turns)
            x, y = x * x - y * y + re, x * y + x * y + im
            return x, y, on & (x * x + y * y <= 4), turns, k + 1

        zero = jnp.zeros_like(re)
        start = zero, zero, jnp.ones(re.shape, bool), jnp.zeros(re.shape, jnp.int32), 0
        return lax.while_loop(lambda s: s[2].any() & (s[4] < MOST), step, start)[3]

    re, im = map(jnp.asarray, points())
    print("mandelbrot: turns", int(mandelbrot(re, im).sum()))
    report("mandelbrot", lambda: mandelbrot(re, im).block_until_ready())
    run_jax_lstm()


def run_jax_lstm():
    import jax
    import jax.numpy as jnp
    from jax import lax

    batch, times, width = 32, 64, 64
    f32 = jnp.float32
    x = jnp.sin(jnp.arange(batch * times * width, dtype=f32)).reshape(batch, times, width)
    weights = [jnp.sin(jnp.arange(n * 4 * width, dtype=f32)).reshape(n, 4 * width) * 0.1 for n in (width, width)]
    weights.append(jnp.zeros(4 * width, f32))

    def lstm(weights, x):
        kernel, recurrent, bias = weights
        of_inputs = jnp.swapaxes(x @ kernel + bias, 0, 1)  # of all times at once

        def step(state, z):
            h, c = state
            i, f, g, o = jnp.split(z + h @ recurrent, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((batch, width), f32)
        return lax.scan(step, (zero, zero), of_inputs)[0][0]

    forward = jax.jit(lstm)
    step = jax.jit(jax.grad(lambda weights, x: jnp.mean(lstm(weights, x) ** 2)))
    report("lstm_forward", lambda: forward(weights, x).block_until_ready())
    report("lstm_step", lambda: jax.block_until_ready(step(weights, x)))


def run_numba():
    import numba
    import numpy as np

    @numba.njit
    def collatz(turns):
        start = 0
        while turns > 0:
            start += 1
            n = start
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                turns -= 1
        return start

    @numba.njit
    def newton(turns, x):
        square = 1.0
        for _ in range(turns):
            square += 1.0
            x = 0.5 * (x + square / x)
        return x

    @numba.njit
    def congruence(turns, x):
        for _ in range(turns):
            x = x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        return x

    report("loop_collatz", lambda: collatz(TURNS))
    report("loop_newton", lambda: newton(TURNS, 2.0))
    report("loop_congruence", lambda: congruence(TURNS, np.uint64(1)))

    def mandelbrot(re, im, turns):
        for i in range(len(re)):
            x = y = np.float32(0)
            n = 0
            while n < MOST and x * x + y * y <= np.float32(4):
                x, y = x * x - y * y + re[i], x * y + x * y + im[i]
                n += 1
            turns[i] = n

    # Once as a loop over the points, and once as a ufunc, whose loop LLVM may turn into vectors.
    @numba.vectorize(["int32(float32, float32)"])
    def point(a, b):
        x = y = np.float32(0)
        n = np.int32(0)
        while n < MOST and x * x + y * y <= np.float32(4):
            x, y = x * x - y * y + a, x * y + x * y + b
            n += 1
        return n

    re, im = points()
    turns = np.zeros(re.shape, np.int32)
    loop = numba.njit(mandelbrot)
    loop(re, im, turns)
    print("mandelbrot: turns", turns.sum(), point(re, im).sum())
    report("mandelbrot", lambda: loop(re, im, turns))
    report("mandelbrot_ufunc", lambda: point(re, im, turns))


def run_drjit():
    import drjit as dr
    from drjit.llvm import Float, Int32

    dr.set_thread_count(0)  # the calling thread, as for the others

    def mandelbrot(re, im):
        return dr.while_loop(
            (Float(0), Float(0), Int32(0)),
            lambda x, y, n: (n < MOST) & (x * x + y * y <= 4),
            lambda x, y, n: (x * x - y * y + re, x * y + x * y + im, n + 1),
        )[2]

    re, im = map(Float, points())
    dr.eval(re, im)

    def run():
        turns = mandelbrot(re, im)
        dr.eval(turns)
        dr.sync_thread()
        return turns

    print("mandelbrot: turns", dr.sum(run()))
    report("mandelbrot", run)


{"jax": run_jax, "numba": run_numba, "drjit": run_drjit}[system]()
