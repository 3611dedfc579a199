#!/usr/bin/env python3
"""Writes expected.txt: the numbers of TensorFlow's generator of algorithm 'philox'. Needs tensorflow 2.21. Each line is

  SEED CALL... | CALL DTYPE VALUES...

the values that the last call gives on a generator of that seed after the calls before it; floats in hexadecimal. SEED may be
a state, three numbers joined by commas: the counter's halves and the key.
"""
import pathlib

import tensorflow as tf

assert tf.__version__.startswith("2.21"), tf.__version__

CALLS = {
    "bits32": (lambda g: g.uniform_full_int([9], tf.uint32), "u32"),
    "bits64": (lambda g: g.uniform_full_int([5], tf.uint64), "u64"),
    "uniform32": (lambda g: g.uniform([2, 5]), "f32"),
    "uniform64": (lambda g: g.uniform([5], dtype=tf.float64), "f64"),
    "uniform16": (lambda g: g.uniform([9], dtype=tf.float16), "f16"),
    "between": (lambda g: g.uniform([9], -2.0, 3.0), "f32"),
    "dice": (lambda g: g.uniform([9], 1, 7, dtype=tf.int32), "i32"),
    "long_dice": (lambda g: g.uniform([5], -(10**12), 10**12, dtype=tf.int64), "i64"),
    "normal32": (lambda g: g.normal([3, 3]), "f32"),
    "normal64": (lambda g: g.normal([5], dtype=tf.float64), "f64"),
    "shifted": (lambda g: g.normal([6], 5.0, 0.5), "f32"),
}
# A number is the key of counter 0; from_seed makes a counter of it, with key 0.
SEEDS = [0, 1234, 2**40 + 17, (2**64 - 2, 5, 99), (1234, 0, 0)]
assert tf.random.Generator.from_seed(1234, alg="philox").state.numpy().tolist() == [1234, 0, 0]


def generator(seed):
    seed = (0, 0, seed) if isinstance(seed, int) else seed
    signed = [x - 2**64 if x >= 2**63 else x for x in seed]
    return tf.random.Generator.from_state(signed, alg="philox")


def text(value):
    return float(value).hex() if hasattr(value, "hex") or "float" in str(value.dtype) else str(int(value))


lines = ["# Written by make_expected.py with TensorFlow " + tf.__version__ + "; do not edit."]
for seed in SEEDS:
    name = ",".join(map(str, seed)) if isinstance(seed, tuple) else str(seed)
    for call, (draw, dtype) in CALLS.items():
        values = draw(generator(seed)).numpy().ravel()
        lines.append(f"{name} | {call} {dtype} " + " ".join(map(text, values)))
one = generator(7)
for call in ["bits32", "normal32"]:
    CALLS[call][0](one)
lines.append("7 bits32 normal32 | uniform32 f32 " + " ".join(map(text, CALLS["uniform32"][0](one).numpy().ravel())))
pathlib.Path(__file__).with_name("expected.txt").write_text("\n".join(lines) + "\n")
