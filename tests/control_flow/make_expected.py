#!/usr/bin/env python3
"""Writes expected.txt: what NumPy and SciPy make of the programs of numeric_test.cc (needs both; SciPy's own integrator and roots).

    make_expected.py > expected.txt
"""

import numpy as np
import scipy
from scipy import integrate, optimize


def write(key, value):
    value = np.asarray(value)
    kind = "i64" if value.dtype.kind == "i" else "f64"
    extents = ",".join(str(n) for n in value.shape)
    print(f"{key} {kind}[{extents}]", *(repr(one) for one in value.ravel().tolist()))


def predator_and_prey(t, y):
    return np.array([1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3.0 * y[1]])


def adaptive():
    print("case runge_kutta")
    for first in (0.5, 1e-3):
        y0 = np.array([10.0, 5.0])
        found = integrate.solve_ivp(predator_and_prey, (0, 5), y0, method="RK45", rtol=1e-6, atol=1e-9, first_step=first)
        name = "large" if first == 0.5 else "small"
        write(f"first_{name}", first)
        write(f"y_{name}", found.y[:, -1])
        write(f"steps_{name}", found.t.size - 1)
        write(f"calls_{name}", found.nfev)


def roots():
    print("case newton")
    starts = np.array([2.0, 3.0, -40.0, 0.9])
    write("starts", starts)
    write("roots", [optimize.newton(lambda x: x**3 - 2 * x - 5, s, fprime=lambda x: 3 * x**2 - 2, tol=1e-12, maxiter=500)
                    for s in starts])
    print("case bisection")
    brackets = np.array([[0.0, 1.0], [-3.0, 2.0], [0.7, 0.75]])
    write("brackets", brackets)
    write("roots", [optimize.brentq(lambda x: np.cos(x) - x, a, b, xtol=1e-15, rtol=1e-15) for a, b in brackets])


def kalman():
    """A body on a plane, seen with noise, and not at all some of the time."""
    random = np.random.default_rng(7)
    times, dt, noise = 40, 0.1, 0.2
    f = np.eye(4) + dt * np.eye(4, k=2)
    h = np.eye(2, 4)
    q, r = 0.01 * np.eye(4), noise**2 * np.eye(2)
    angle = np.linspace(0, 3, times)
    seen = np.stack([np.cos(angle), np.sin(angle)], 1) + noise * random.standard_normal((times, 2))
    seen[random.random(times) < 0.3] = np.nan
    x, p, means, misses = np.zeros(4), np.eye(4), [], 0
    for z in seen:
        x, p = f @ x, f @ p @ f.T + q
        if np.isnan(z).any():
            misses += 1
        else:
            gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
            x, p = x + gain @ (z - h @ x), (np.eye(4) - gain @ h) @ p
        means.append(x)
    print("case kalman")
    for key, value in (("seen", seen), ("means", np.array(means)), ("covariance", p), ("misses", misses)):
        write(key, value)


print(f"# Written by make_expected.py with NumPy {np.__version__} and SciPy {scipy.__version__}.")
adaptive()
roots()
kalman()
