"""The loops of the workloads for numba. A maker gives the shapes of the results and a compiled function of inputs and results."""

import math

import numpy as np
from numba import prange

MAKERS = {}


def maker(function):
    MAKERS[function.__name__] = function
    return function


def compiled(system, source, name="kernel", **constants):
    """A function from its text: constants of the case are globals, which numba takes for compile-time constants."""
    scope = {"np": np, "math": math, "prange": prange, "f32": np.float32, **constants}
    exec(source, scope)
    return system.jit(scope[name])


def elementwise(system, inputs, results, body, scalars=()):
    """A loop over elements: `body` has lines that read inputs by name and set results; scalars are 0-dimensional."""
    loads = "".join(f"        {name} = {name}_[i]\n" for name in inputs if name not in scalars)
    heads = "".join(f"    {name} = {name}_[()]\n" for name in scalars)
    stores = "".join(f"        {name}_[i] = {name}\n" for name in results)
    arguments = ", ".join(f"{name}_" for name in (*inputs, *results))
    lines = "".join(f"        {line}\n" for line in body)
    return compiled(system, f"def kernel({arguments}):\n{heads}    for i in prange({results[0]}_.shape[0]):\n{loads}{lines}{stores}")


def floats(case, count=1):
    return [((case.n,), "f4")] * count


@maker
def axpy(system, case):
    return floats(case), elementwise(system, ["a", "x", "y"], ["out"], ["out = a * x + y"], scalars=("a",))


@maker
def chain3(system, case):
    return floats(case), elementwise(system, ["x", "y", "z"], ["out"], ["out = (x * y + z) * (x - y) + z * f32(0.5)"])


def chain10_lines(factor):
    return [f"a = x * f32({factor!r}) + f32(0.5)", "b = a * x - f32(2)", "c = abs(b) * f32(0.25)", "out = math.sqrt(abs(max(c, x) - b))"]


@maker
def chain10(system, case):
    return floats(case), elementwise(system, ["x"], ["out"], chain10_lines(1.5))


@maker
def gelu(system, case):
    line = "out = f32(0.5) * x * (f32(1) + math.tanh(f32(0.7978845608) * (x + f32(0.044715) * x * x * x)))"
    return floats(case), elementwise(system, ["x"], ["out"], [line])


@maker
def swish(system, case):
    return floats(case), elementwise(system, ["x"], ["out"], ["out = x / (f32(1) + math.exp(-x))"])


@maker
def mish(system, case):
    return floats(case), elementwise(system, ["x"], ["out"], ["out = x * math.tanh(math.log1p(math.exp(x)))"])


@maker
def black_scholes(system, case):
    lines = ["spread = f32(0.3) * math.sqrt(years)", "d1 = (math.log(spot / strike) + f32(0.02 + 0.5 * 0.3 * 0.3) * years) / spread",
             "d2 = d1 - spread", "discounted = strike * math.exp(f32(-0.02) * years)", "half = f32(0.5)", "root = f32(0.7071067811865476)",
             "call = spot * (half + half * math.erf(d1 * root)) - discounted * (half + half * math.erf(d2 * root))",
             "put = call - spot + discounted"]
    return floats(case, 2), elementwise(system, ["spot", "strike", "years"], ["call", "put"], lines)


OPS = {"add": "{a} + {b}", "sub": "{a} - {b}", "mul": "{a} * {b}", "max": "max({a}, {b})", "min": "min({a}, {b})", "tanh": "math.tanh({a})",
       "sqrt_abs": "math.sqrt(abs({a}))", "sigmoid": "f32(1) / (f32(1) + math.exp(-{a}))"}


@maker
def dag(system, case, ops):
    inputs = [f"v{i}" for i in range(6)]
    lines = [f"v{6 + i} = " + OPS[op].format(a=f"v{a}", b=f"v{b}") for i, (op, a, b) in enumerate(ops)]
    return floats(case, 4), elementwise(system, inputs, [f"v{i}" for i in range(32, 36)], lines)


@maker
def add_one(system, case):
    return [(case.inputs[0][1], "f4")], elementwise(system, ["x"], ["out"], ["out = x + f32(1)"])


@maker
def compile_chain(system, case, ops):
    table = {"add_y": "x + y", "mul": "x * f32({c!r})", "add": "x + f32({c!r})", "max_y": "max(x, y)", "tanh": "math.tanh(x)"}
    lines = ["x = " + table[op].format(c=constant) for op, constant in ops] + ["out = x"]
    return [((1024,), "f4")], elementwise(system, ["x", "y"], ["out"], lines)


@maker
def call(system, case):
    shape = case.inputs[0][1]
    names = [f"x{i}" for i in range(len(case.inputs))]
    if shape:
        return [(shape, "f4")], elementwise(system, names, ["out"], ["out = " + " + ".join(names) + " + f32(1)"])
    source = f"def kernel({', '.join(names)}, out):\n    out[()] = " + " + ".join(f"{name}[()]" for name in names) + " + f32(1)\n"
    return [(shape, "f4")], compiled(system, source)


@maker
def power(system, case):
    dtype = {"f32": "f4", "i32": "i4"}[case.inputs[0][2]]
    lines = ["out = x", f"for _ in range({case.exponent - 1}):", "    out = out * x"] if dtype == "f4" else [
        "out = x", f"for _ in range({case.exponent - 1}):", "    out = np.int32(out * x)"]
    return [(case.inputs[0][1], dtype)], elementwise(system, ["x"], ["out"], lines)


@maker
def thousand_sizes(system, case, factor):
    lines = "\n        ".join(chain10_lines(factor))
    return [], compiled(system, f"""
def kernel(x_, out_):
    top, total = f32(-np.inf), f32(0)
    for i in range(x_.shape[0]):
        x = x_[i]
        {lines}
        out_[i] = out
        top = max(top, out)
    for i in range(x_.shape[0]):
        out_[i] = math.exp(out_[i] - top)
        total += out_[i]
    for i in range(x_.shape[0]):
        out_[i] /= total
""")


# ---- reductions: the axis of the memory's order runs inside

# start, what an element does to `t`, the last step with `count` elements.
REDUCTIONS = {"sum": ("f32(0)", "t + x", "t"), "max": ("f32(-np.inf)", "max(t, x)", "t"), "mean": ("f32(0)", "t + x", "t / f32(count)")}


def as_three(case):
    """The shape as (before, reduced, after) of the axis."""
    shape, axis = case.shape, case.axis
    if axis is None:
        return 1, int(np.prod(shape)), 1
    return int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1:]))


def kernel_of_three(system, case, source, dtype="f4", **constants):
    before, count, after = as_three(case)
    shape = () if case.axis is None else case.shape[:case.axis] + case.shape[case.axis + 1:]
    kernel = compiled(system, source, before=before, count=count, after=after, **constants)

    def call(x, out):
        kernel(x.reshape(before, count, after), out.reshape(before, after))
    return [(shape, dtype)], call


def reduction(system, case):
    start, step, last = REDUCTIONS[case.name]
    before, count, after = as_three(case)
    if case.axis is None:
        # Parts, so that threads share one reduction.
        if case.name == "max":
            return kernel_of_three(system, case, f"""
def kernel(x_, out_):
    parts = np.empty(64, np.float32)
    for p in prange(64):
        t = {start}
        for i in range(p * count // 64, (p + 1) * count // 64):
            x = x_[0, i, 0]
            t = {step}
        parts[p] = t
    out_[0, 0] = parts.max()
""")
        return kernel_of_three(system, case, f"""
def kernel(x_, out_):
    t = {start}
    for i in prange(count):
        t += x_[0, i, 0]
    out_[0, 0] = {last}
""")
    if after == 1:
        return kernel_of_three(system, case, f"""
def kernel(x_, out_):
    for b in prange(before):
        t = {start}
        for i in range(count):
            x = x_[b, i, 0]
            t = {step}
        out_[b, 0] = {last}
""")
    return kernel_of_three(system, case, f"""
def kernel(x_, out_):
    pieces = max(1, min(8, after // 16))
    for p in prange(before * pieces):
        b, begin, end = p // pieces, p % pieces * after // pieces, (p % pieces + 1) * after // pieces
        for a in range(begin, end):
            out_[b, a] = {start}
        for i in range(count):
            for a in range(begin, end):
                t, x = out_[b, a], x_[b, i, a]
                out_[b, a] = {step}
        for a in range(begin, end):
            t = out_[b, a]
            out_[b, a] = {last}
""")


for name in REDUCTIONS:
    MAKERS[name] = reduction


@maker
def argmax(system, case):
    return kernel_of_three(system, case, """
def kernel(x_, out_):
    for p in prange(before * after):
        b, a = p // after, p % after
        best, at = x_[b, 0, a], 0
        for i in range(count):
            if x_[b, i, a] > best:
                best, at = x_[b, i, a], i
        out_[b, a] = at
""", "i8") if as_three(case)[2] == 1 else kernel_of_three(system, case, """
def kernel(x_, out_):
    pieces = max(1, min(8, after // 16))
    for p in prange(before * pieces):
        b, begin, end = p // pieces, p % pieces * after // pieces, (p % pieces + 1) * after // pieces
        best = x_[b, 0, begin:end].copy()
        for a in range(begin, end):
            out_[b, a] = 0
        for i in range(1, count):
            for a in range(begin, end):
                if x_[b, i, a] > best[a - begin]:
                    best[a - begin] = x_[b, i, a]
                    out_[b, a] = i
""", "i8")


@maker
def variance(system, case):
    before, count, after = as_three(case)
    if case.axis is None:
        return kernel_of_three(system, case, """
def kernel(x_, out_):
    t, v = f32(0), f32(0)
    for i in prange(count):
        t += x_[0, i, 0]
    mean = t / f32(count)
    for i in prange(count):
        d = x_[0, i, 0] - mean
        v += d * d
    out_[0, 0] = v / f32(count)
""")
    if after == 1:
        return kernel_of_three(system, case, """
def kernel(x_, out_):
    for b in prange(before):
        t, v = f32(0), f32(0)
        for i in range(count):
            t += x_[b, i, 0]
        mean = t / f32(count)
        for i in range(count):
            d = x_[b, i, 0] - mean
            v += d * d
        out_[b, 0] = v / f32(count)
""")
    return kernel_of_three(system, case, """
def kernel(x_, out_):
    pieces = max(1, min(8, after // 16))
    for p in prange(before * pieces):
        b, begin, end = p // pieces, p % pieces * after // pieces, (p % pieces + 1) * after // pieces
        mean = np.zeros(end - begin, np.float32)
        for i in range(count):
            for a in range(begin, end):
                mean[a - begin] += x_[b, i, a]
        for a in range(begin, end):
            mean[a - begin] /= f32(count)
            out_[b, a] = f32(0)
        for i in range(count):
            for a in range(begin, end):
                d = x_[b, i, a] - mean[a - begin]
                out_[b, a] += d * d
        for a in range(begin, end):
            out_[b, a] /= f32(count)
""")


# ---- rows


@maker
def softmax(system, case):
    return [(case.shape, "f4")], compiled(system, """
def kernel(x, out):
    for r in prange(x.shape[0]):
        top, total = x[r, 0], f32(0)
        for c in range(x.shape[1]):
            top = max(top, x[r, c])
        for c in range(x.shape[1]):
            e = math.exp(x[r, c] - top)
            out[r, c] = e
            total += e
        scale = f32(1) / total
        for c in range(x.shape[1]):
            out[r, c] *= scale
""")


@maker
def log_softmax_nll(system, case):
    return [((), "f4")], compiled(system, """
def kernel(x, labels, out):
    loss = f32(0)
    for r in prange(x.shape[0]):
        top, total = x[r, 0], f32(0)
        for c in range(x.shape[1]):
            top = max(top, x[r, c])
        for c in range(x.shape[1]):
            total += math.exp(x[r, c] - top)
        loss += math.log(total) + top - x[r, labels[r]]
    out[()] = loss / f32(x.shape[0])
""")


@maker
def layer_norm(system, case):
    return [(case.shape, "f4")], compiled(system, """
def kernel(x, residual, gamma, beta, out):
    n = x.shape[1]
    for r in prange(x.shape[0]):
        total, squares = f32(0), f32(0)
        for c in range(n):
            y = x[r, c] + residual[r, c]
            out[r, c] = y
            total += y
        mean = total / f32(n)
        for c in range(n):
            d = out[r, c] - mean
            squares += d * d
        scale = f32(1) / math.sqrt(squares / f32(n) + f32(1e-5))
        for c in range(n):
            out[r, c] = (out[r, c] - mean) * scale * gamma[c] + beta[c]
""")


@maker
def rms_norm(system, case):
    return [(case.shape, "f4")], compiled(system, """
def kernel(x, residual, gamma, out):
    n = x.shape[1]
    for r in prange(x.shape[0]):
        squares = f32(0)
        for c in range(n):
            y = x[r, c] + residual[r, c]
            out[r, c] = y
            squares += y * y
        scale = f32(1) / math.sqrt(squares / f32(n) + f32(1e-6))
        for c in range(n):
            out[r, c] = out[r, c] * scale * gamma[c]
""")
