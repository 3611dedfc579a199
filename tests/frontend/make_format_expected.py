#!/usr/bin/env python3
"""Writes format_expected.txt: arrays and their text as NumPy 1.24 prints them, for format_array_test.cc.

Usage: make_format_expected.py [OUTPUT [SEED [RANDOM_CASES]]]

A case is one line `dtype extents : values` (extents `2x3`, `-` at rank 0; values as the hexadecimal bits of the
elements, repeated until the array is full), then the lines of str(array), each after a `|`.
"""
import pathlib
import sys

import numpy as np

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "bool": np.bool_}
MORE_DTYPES = {"f16": np.float16, "i8": np.int8, "u64": np.uint64}  # at the end of the file
BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
SHAPES = [(), (1,), (2,), (3,), (5,), (7,), (13,), (40,), (0,), (1000,), (1001,), (2, 3), (3, 1), (1, 1), (4, 30),
          (3, 0), (6,), (200, 7), (7, 200), (1001, 1), (1, 1001), (40, 40), (2, 2, 3), (3, 1, 2),
          (20, 8, 9), (2, 700, 3),
          (2, 1, 2, 2), (2, 7, 13, 8), (1, 2, 1, 2, 1), (2, 1, 1, 1, 1, 1, 1, 2), (3, 1, 1, 1, 1, 1, 1, 400),
          (1, 6, 200)]
SMALL_SHAPES = [shape for shape in SHAPES if 0 < np.prod(shape) < 130]

TELLING_FLOATS = [
    [0.0], [-0.0], [1.0], [0.1], [-0.1, 0.2], [1 / 3], [1 / 3, 2 / 3], [1e-4], [9.999e-5], [1e-5, 1], [1e8],
    [99999999.0], [123456789.0], [12345678.9], [1e16], [9999999999999998.0], [1e15], [16777217.0],
    [99999992.0], [1e-300], [5e-324],
    [5e-324, 1 / 3], [1.7976931348623157e308], [3.4028235e38], [1.17549435e-38], [1e-45], [1000.0, 1.0], [1000.5, 1.0],
    [1001.0, 1.0], [0.3, 1e-10 / 3], [1e100, 1.0], [1e100, -1e-100], [2.0**-44], [2.0**-20, 1 / 3], [2.0**60, 2.0**61],
    [9007199254740992.0], [0.5, 0.25, 0.125], [0.001953125, 1.0], [1.5e-9, 2.5e-9], [1.000000005, 2.0],
    [0.123456785, 0.5], [0.999999999], [0.99999999999, 9.9], [999999.999999999], [9.9999999999e10], [9.999999999, 1e9],
    [float("nan")], [float("inf")], [float("-inf")], [float("nan"), 1.0], [float("inf"), -1.0], [float("-inf"), 1e10],
    [float("nan"), 0.0], [float("nan"), float("-inf")], [float("nan"), float("inf")],
    [float("nan"), 1.25, float("-inf")], [1.0, 10.0, 100.0], [-1.0, 10.5],
    [0.0, -0.0, 1e-20], [3.0, float("inf"), 1e-20], [1234.5678, 8.7654321],
]
TELLING_INTEGERS = [[0], [-1, 1], [2**31 - 1, -2**31], [10, 200, 3000], [-5, 50], [7]]


def case(dtype, shape, values):
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(values).astype((DTYPES | MORE_DTYPES)[dtype])
    array = np.resize(values, shape) if shape else values[0].reshape(())
    bits = values.view(BITS[values.dtype.itemsize])
    extents = "x".join(map(str, shape)) or "-"
    text = str(array).split("\n")
    return "\n".join([f"{dtype} {extents} : {' '.join(f'{b:x}' for b in bits)}"] + ["|" + line for line in text]) + "\n"


def random_values(random, dtype):
    count = int(random.integers(1, 12))
    if dtype == "bool":
        return random.integers(0, 2, count)
    if dtype == "u8":
        return random.integers(0, 256, count)
    if dtype in ("i32", "i64"):
        bits = int(random.integers(2, 32 if dtype == "i32" else 64))
        return random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), count)
    kind = random.integers(0, 7)
    if kind == 0:
        values = random.normal(0, 1, count)
    elif kind == 1:
        values = np.round(random.normal(0, 100, count), int(random.integers(0, 10)))
    elif kind == 2:
        values = random.normal(0, 1, count) * 10.0 ** random.integers(-40, 39, count)
    elif kind == 3:  # any bits
        values = random.integers(0, 2 ** 32 - 1, count).astype(np.uint32).view(np.float32).astype(np.float64)
        if dtype == "f64":
            values = random.integers(0, 2 ** 63 - 1, count).view(np.float64)
    elif kind == 4:
        values = random.integers(-1000, 1000, count) / 8
    elif kind == 5:  # powers of two: their neighbours lie at unequal distances
        values = 2.0 ** random.integers(-60, 60, count)
    else:
        values = 10.0 ** random.integers(-6, 10) * random.uniform(1, 10, count)
    if random.integers(0, 6) == 0:
        values[0] = random.choice([np.nan, np.inf, -np.inf, 0.0])
    return values


def main():
    here = pathlib.Path(__file__).resolve().parent
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "format_expected.txt"
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 420
    if not np.__version__.startswith("1.24."):
        sys.exit(f"the texts are those of NumPy 1.24, this is {np.__version__}")
    cases = []
    for dtype in ("f32", "f64"):
        for values in TELLING_FLOATS:
            cases.append(case(dtype, (), values))
            cases.append(case(dtype, (len(values),), values))
    for dtype in ("i32", "i64"):
        cases += [case(dtype, (len(values),), values) for values in TELLING_INTEGERS]
    for dtype in DTYPES:
        cases += [case(dtype, shape, [1, 0, 2]) for shape in SHAPES]
    for _ in range(count):
        dtype = str(random.choice(list(DTYPES), p=[0.4, 0.4, 0.05, 0.05, 0.05, 0.05]))
        shape = SMALL_SHAPES[random.integers(0, len(SMALL_SHAPES))]
        cases.append(case(dtype, shape, random_values(random, dtype)))
    for values in TELLING_FLOATS:
        cases.append(case("f16", (), values))
        cases.append(case("f16", (len(values),), values))
    for values in [[65504.0], [65504.0, 0.5], [2.0**-24], [2.0**-24, 1.0], [0.1, 0.2, 0.3], [1000.4, 1.0], [2048.0, 3.0]]:
        cases.append(case("f16", (), values))
        cases.append(case("f16", (len(values),), values))
    for _ in range(60):
        values = random.integers(0, 2**16, int(random.integers(1, 12))).astype(np.uint16).view(np.float16)
        cases.append(case("f16", SMALL_SHAPES[random.integers(0, len(SMALL_SHAPES))], values))
    cases += [case("i8", (3,), [-128, 0, 127]), case("u64", (2,), np.array([2**64 - 1, 0], np.uint64))]
    output.write_text("# Made by make_format_expected.py.\n" + "".join(cases))


if __name__ == "__main__":
    main()
