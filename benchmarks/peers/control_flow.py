#!/usr/bin/env python3
"""Times the loops of bench_control_flow in another system: control_flow.py jax|numba. Prints medians in milliseconds."""
import os
import sys
import time

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
system = sys.argv[1]
TURNS = 1 << 22


def report(name, f):
    times = []
    for i in range(12):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    print(f"{name:20} {sorted(times[3:])[4] * 1e3:10.2f}", flush=True)


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


{"jax": run_jax, "numba": run_numba}[system]()
