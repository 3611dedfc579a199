#!/usr/bin/env python3
"""Makes the .npy files of this folder (needs NumPy only): sequences of different lengths, the weights of an LSTM cell, and what
the cell makes of them in f64: outputs, last state, and the gradient of half the sum of squares of the outputs.

    make_data.py
"""

import pathlib

import numpy as np

BATCH, TIME, WIDTH, UNITS = 4, 12, 3, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def main():
    random = np.random.default_rng(20260501)
    x = random.standard_normal((BATCH, TIME, WIDTH))
    lengths = np.array([9, 2, 0, 7])
    kernel = 0.5 * random.standard_normal((WIDTH + UNITS, 4 * UNITS))
    bias = 0.1 * random.standard_normal(4 * UNITS)
    x, kernel, bias = (a.astype(np.float32).astype(np.float64) for a in (x, kernel, bias))

    h, c = np.zeros((BATCH, UNITS)), np.zeros((BATCH, UNITS))
    outputs, steps = np.zeros((BATCH, TIME, UNITS)), []
    for t in range(TIME):
        live = (t < lengths)[:, None]
        joined = np.concatenate([x[:, t], h], 1)
        i, f, g, o = np.split(joined @ kernel + bias, 4, 1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_next = f * c + i * g
        h_next = o * np.tanh(c_next)
        steps.append((live, joined, i, f, g, o, c, c_next))
        outputs[:, t] = np.where(live, h_next, 0)
        h, c = np.where(live, h_next, h), np.where(live, c_next, c)

    of_kernel, of_bias = np.zeros_like(kernel), np.zeros_like(bias)
    of_h, of_c = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(TIME)):
        live, joined, i, f, g, o, c_before, c_next = steps[t]
        own_h = np.where(live, of_h + outputs[:, t], 0)
        own_c = np.where(live, of_c, 0) + own_h * o * (1 - np.tanh(c_next) ** 2)
        gates = np.concatenate([own_c * g * i * (1 - i), own_c * c_before * f * (1 - f), own_c * i * (1 - g**2),
                                own_h * np.tanh(c_next) * o * (1 - o)], 1)
        of_kernel += joined.T @ gates
        of_bias += gates.sum(0)
        of_h = np.where(live, (gates @ kernel.T)[:, WIDTH:], of_h)
        of_c = np.where(live, own_c * f, of_c)

    folder = pathlib.Path(__file__).parent
    files = {"x": x, "kernel": kernel, "bias": bias, "expected_outputs": outputs, "expected_last": h,
             "expected_kernel_gradient": of_kernel, "expected_bias_gradient": of_bias}
    for name, array in files.items():
        np.save(folder / f"{name}.npy", array.astype(np.float32))
    np.save(folder / "lengths.npy", lengths.astype(np.int32))


if __name__ == "__main__":
    main()
