#!/usr/bin/env python3
"""Writes tests/tape/expected.txt: what TensorFlow's tapes give for the programs of programs_test.cc.

Needs tensorflow; the file's first line names the version that wrote it. Run it from anywhere: the file is written beside
this script. Each line is a program's name and one of the tensors that it gives, in order: floats in hexadecimal,
row-major, or `none`. A program starts with v = [2, 3], trainable, u = [5, 7], not trainable, and x = [0.5, 4].
"""
import os
import pathlib
import re

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

lines = [f"# Written by make_expected.py with TensorFlow {tf.__version__}; do not edit."]
programs = []


def text_of(value):
    return re.sub(r"\.?0*p", "p", float(value).hex())


def program(f):
    programs.append(f)
    return f


def make():
    v = tf.Variable([2.0, 3.0], dtype=tf.float64)
    u = tf.Variable([5.0, 7.0], dtype=tf.float64, trainable=False)
    x = tf.constant([0.5, 4.0], dtype=tf.float64)
    return v, u, x


# ---- Variables ----


@program
def reads_add_up(v, u, x):
    with tf.GradientTape() as tape:
        y = v * x + v * v
    return [tape.gradient(y, v)]


@program
def reads_before_and_after_an_assignment(v, u, x):
    with tf.GradientTape() as tape:
        y = v * 3.0
        v.assign(x)
        y = y + v * v
    return [tape.gradient(y, v)]


@program
def assignments_are_not_differentiated(v, u, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        v.assign(x * x)
        y = v * x
    return tape.gradient(y, [v, x])


@program
def assign_add_is_no_read(v, u, x):
    with tf.GradientTape() as tape:
        y = v * v
        v.assign_add(x)
        y = y * v
    return [tape.gradient(y, v)]


@program
def what_is_not_trainable_is_watched_on_request(v, u, x):
    with tf.GradientTape() as tape:
        tape.watch(u)
        y = u * v * u
    return tape.gradient(y, [u, v])


@program
def what_is_not_trainable_is_constant(v, u, x):
    with tf.GradientTape() as tape:
        y = u * v * u
    return [tape.gradient(y, v)]


@program
def only_those_that_are_watched(v, u, x):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(v)
        y = v * v * u
    return [tape.gradient(y, v)]


@program
def reads_before_the_tape_are_constant(v, u, x):
    before = v.read_value()
    with tf.GradientTape() as tape:
        y = before * v
    return [tape.gradient(y, v)]


@program
def reads_while_it_is_stopped_are_constant(v, u, x):
    with tf.GradientTape() as tape:
        y = v * x
        with tape.stop_recording():
            z = v.read_value()
        y = y * z
    return [tape.gradient(y, v)]


@program
def a_read_is_a_source_of_its_own(v, u, x):
    with tf.GradientTape() as tape:
        first = v.read_value()
        second = v.read_value()
        tape.watch(first)
        y = first * first * second
    return tape.gradient(y, [first, v])


@program
def nested_tapes(v, u, x):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = v * v * v * x
        dy = inner.gradient(y, v)
    return [dy, outer.gradient(dy, v)]


@program
def an_assignment_between_nested_gradients(v, u, x):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = v * v * v
        dy = inner.gradient(y, v)
        v.assign(dy)
        z = v * dy
    return [dy, outer.gradient(z, v)]


@program
def a_variable_is_a_target(v, u, x):
    with tf.GradientTape() as tape:
        y = v.read_value()
    return [tape.gradient(y, v)]


@program
def a_call_reads_variables(v, u, x):
    f = tf.function(lambda x: x * v * v)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x) * v
    return tape.gradient(y, [v, x])


@program
def a_call_assigns_between_its_reads(v, u, x):
    @tf.function
    def f(x):
        y = x * v
        v.assign_add(x)
        return y + v * v

    with tf.GradientTape() as tape:
        y = f(x)
        z = f(y)
    return [y, z] + tape.gradient(z, [v])


@program
def a_call_gives_a_variable(v, u, x):
    f = tf.function(lambda: v.read_value())
    with tf.GradientTape() as tape:
        y = f() * v
    return [tape.gradient(y, v)]


@program
def a_call_within_a_call(v, u, x):
    inner = tf.function(lambda x: tf.tanh(x) * v)
    outer = tf.function(lambda x: inner(x) * v + inner(v))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = outer(x)
    return tape.gradient(y, [v, x])


@program
def second_derivatives_through_a_call(v, u, x):
    f = tf.function(lambda x: tf.sin(x * v) * v)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            y = f(x)
        dy = inner.gradient(y, v)
    return [dy, outer.gradient(dy, v), outer.gradient(dy, x)]


@program
def a_call_of_what_takes_a_gradient(v, u, x):
    @tf.function
    def f(x):
        with tf.GradientTape() as tape:
            y = v * v * x
        return tape.gradient(y, v)

    with tf.GradientTape() as tape:
        y = f(x) * x
    return [y, tape.gradient(y, v)]


# ---- Gradients of one's own ----


@tf.custom_gradient
def log1pexp(x):
    e = tf.exp(x)
    return tf.math.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))


@program
def its_own_gradient(v, u, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = log1pexp(x * 200.0)
    return [tape.gradient(y, x)]


@program
def second_derivatives_are_those_of_the_backward_function(v, u, x):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = log1pexp(x) * x
        dy = inner.gradient(y, x)
    return [dy, outer.gradient(dy, x)]


@tf.custom_gradient
def doubled(a, b):
    def backward(of_sum, of_product):
        return of_sum * 2.0, of_product * a + of_sum * b

    return (a + b, a * b), backward


@program
def several_arguments_and_results(v, u, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        s, p = doubled(x, v.read_value())
        y = s * p
    return tape.gradient(y, [x, v])


@program
def a_result_that_nobody_uses_has_zeros(v, u, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        s, p = doubled(x, v.read_value())
    return tape.gradient(p, [x, v])


@program
def none_of_its_own(v, u, x):
    @tf.custom_gradient
    def f(a, b):
        return a * b, lambda g: (None, g * 7.0)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x, v.read_value()) + x
    return tape.gradient(y, [x, v])


@program
def with_variables(v, u, x):
    @tf.custom_gradient
    def f(a):
        def backward(g, variables):
            return g * 10.0, [g * variables[0] * a]

        return a * v, backward

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x) * v
    return tape.gradient(y, [x, v])


@program
def its_own_gradient_in_a_call(v, u, x):
    f = tf.function(lambda x: log1pexp(x * v) * v)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, [x, v])


@program
def its_own_gradient_twice_through_a_call(v, u, x):
    f = tf.function(lambda x: log1pexp(x) * x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
        dy = inner.gradient(y, x)
    return [dy, outer.gradient(dy, x)]


@program
def one_within_another(v, u, x):
    @tf.custom_gradient
    def f(a):
        inner = log1pexp(a)
        return inner * 2.0, lambda g: g * log1pexp(a) * 3.0

    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        dy = tape.gradient(y, x)
    return [dy, outer.gradient(dy, x)]


@program
def computed_again(v, u, x):
    f = tf.recompute_grad(lambda a: tf.tanh(a * v) * tf.exp(a))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x) * v
    return [y] + tape.gradient(y, [x, v])


# ---- Jacobians and Hessians ----


@program
def jacobian_in_a_variable(v, u, x):
    with tf.GradientTape(persistent=True) as tape:
        y = tf.reduce_sum(v * v) * tf.stack([v[0], v[1], v[0] * v[1]])
    return [tape.jacobian(y, v, experimental_use_pfor=False)]


@program
def batch_jacobian(v, u, x):
    a = tf.reshape(tf.constant([1.0, 2, 3, 4, 5, 6], dtype=tf.float64), [2, 3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        y = tf.stack([a * a, a * tf.reduce_sum(a, 1, keepdims=True)], 1)
    return [tape.batch_jacobian(y, a, experimental_use_pfor=False)]


@program
def hessian_vector_product(v, u, x):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = tf.reduce_sum(v * v * v) * tf.reduce_sum(v)
        dy = inner.gradient(y, v)
    return [outer.gradient(dy, v, output_gradients=x)]


for f in programs:
    v, u, x = make()
    for result in f(v, u, x):
        values = ["none"] if result is None else [text_of(e) for e in np.asarray(result).reshape(-1)]
        lines.append(" ".join([f.__name__] + values))

path = pathlib.Path(__file__).with_name("expected.txt")
path.write_text("\n".join(lines) + "\n")
