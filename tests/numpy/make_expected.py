#!/usr/bin/env python3
"""Writes expected.txt: the public ops on many inputs, computed by NumPy in long double (mpmath where NumPy lacks the
function), rounded once to the dtype. Needs python3-numpy 1.24 and python3-mpmath. Each line is one of

  ID DTYPE[EXTENTS] VALUES...                       a tensor, row-major; floats that are no integers in hexadecimal
  case N X IDS IDS : EXPRESSION                     EXPRESSION, a key of the table in cases.cc, of the tensors a, b, c
                                                    with the first IDS is the tensors with the second; `-` is no tensor

An element of a result may be N units in the last place or X off; where both are 0 it must be equal, down to the sign of
zero (any NaN is NaN). N is 0 for movement, integers and single IEEE operations and 2 for elementwise functions, as
etch/ops.h promises. For formulas of several steps, sums and products of matrices it follows from that promise: see
class Rounded.
"""
import functools
import hashlib
import itertools
import pathlib
from fractions import Fraction

import mpmath
import numpy as np

mpmath.mp.prec = 300
np.seterr(all="ignore")

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "u32": np.uint32,
          "u64": np.uint64, "boolean": np.bool_}
NAMES = {np.dtype(t): name for name, t in DTYPES.items()}
FLOATS, INTS, BOOL = ["f32", "f64"], ["i32", "i64", "u8", "u32", "u64"], ["boolean"]
NUMERIC, ALL = FLOATS + INTS, FLOATS + INTS + BOOL
LONG = np.longdouble
inf, nan = np.inf, np.nan

lines = ["# Written by make_expected.py; do not edit."]
ids = {}


# ---- The file --------------------------------------------------------------------------------------------------------

def text_of(value):
    if not isinstance(value, np.floating):
        return str(int(value))
    value = float(value)
    if value != value or abs(value) == inf or (value == int(value) and abs(value) < 1e6):
        return f"{value:.0f}"
    fraction, exponent = np.frexp(value)
    return f"{float(fraction * 2).hex().split('p')[0].rstrip('0').rstrip('.')}p{exponent - 1}"


def id_of(array):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    key = (array.dtype, array.shape, array.tobytes())
    if key not in ids:
        # By contents, so that a new op renames no other's tensors.
        ids[key] = "t" + hashlib.sha1(repr(key).encode()).hexdigest()[:8]
        assert len(set(ids.values())) == len(ids)
        extents = ",".join(map(str, array.shape))
        values = "".join(" " + text_of(v) for v in array.reshape(-1))
        lines.append(f"{ids[key]} {NAMES[array.dtype]}[{extents}]{values}")
    return ids[key]


SAMPLED = {"u32", "u64"}  # their code differs from that of other integers in the width of elements
sampled = set()


def case(expression, inputs, outputs, ulp=0, absolute=0.0):
    """`outputs`: an array, or a list of those. Of a sampled dtype the first case of each expression is kept."""
    dtypes = tuple(NAMES[x.dtype] for x in inputs)
    if SAMPLED.intersection(dtypes):
        if (expression, dtypes) in sampled:
            return
        sampled.add((expression, dtypes))
    if not isinstance(outputs, list):
        outputs = [outputs]
    ins, outs = (",".join([id_of(x) for x in arrays]) for arrays in (inputs, outputs))
    lines.append(f"case {ulp} {float(absolute):.3g} {ins or '-'} {outs} : {expression}")


# ---- Formulas in rounded arithmetic ----------------------------------------------------------------------------------

class Rounded:
    """Exact values with a bound on the error of the dtype's arithmetic that computes them (N. Higham, "Accuracy and
    Stability of Numerical Algorithms", 2002, section 2.2): an operation adds half a unit in the last place, a function
    two, a sum of n terms n halves of the sum of magnitudes, whatever its order."""

    def __init__(self, value, dtype, error=0):
        self.value = np.asarray(value, LONG)
        self.dtype = dtype
        self.half_ulp = LONG(np.finfo(DTYPES[dtype]).eps) / 2
        self.tiny = LONG(float(np.finfo(DTYPES[dtype]).smallest_subnormal))
        self.error = np.broadcast_to(np.asarray(error, LONG), self.value.shape)

    def then(self, value, error, halves=1):
        """The result of one more operation, whose own rounding is `halves` half units."""
        rounding = halves * (self.half_ulp * (np.abs(value) + error) + self.tiny)
        return Rounded(value, self.dtype, error + rounding)

    def other(self, x):
        """A constant is rounded to the dtype where the arithmetic uses it."""
        return x if isinstance(x, Rounded) else Rounded(x, self.dtype, self.half_ulp * abs(LONG(x)))

    def __add__(self, x):
        x = self.other(x)
        return self.then(self.value + x.value, self.error + x.error)

    def __sub__(self, x):
        x = self.other(x)
        return self.then(self.value - x.value, self.error + x.error)

    def __mul__(self, x):
        x = self.other(x)
        a, b = np.abs(self.value), np.abs(x.value)
        return self.then(self.value * x.value, a * x.error + b * self.error + self.error * x.error)

    def __truediv__(self, x):
        x = self.other(x)
        quotient = self.value / x.value
        error = (self.error + np.abs(quotient) * x.error) / (np.abs(x.value) - x.error)
        return self.then(quotient, error)

    __radd__, __rmul__ = __add__, __mul__

    def of(self, function, halves=4):
        """A monotonic function within two units in the last place."""
        value = function(self.value)
        moved = [np.abs(function(self.value + e) - value) for e in (-self.error, self.error)]
        error = np.fmax(*moved)
        return self.then(value, np.where(np.isfinite(error), error, 0), halves)

    def count(self, axes):
        return int(np.prod([self.value.shape[i] for i in axes], dtype=int))

    def axes(self, axes):
        rank = self.value.ndim
        return tuple(range(rank)) if axes is None else tuple(a % rank for a in np.atleast_1d(axes))

    def sum(self, axes=None):
        """Over axes that stay with extent 1."""
        axes = self.axes(axes)
        value = self.value.sum(axes, keepdims=True)
        magnitude = (np.abs(self.value) + self.error).sum(axes, keepdims=True)
        error = self.error.sum(axes, keepdims=True) + self.count(axes) * self.half_ulp * magnitude
        return Rounded(value, self.dtype, error)

    def max(self, axes=None):
        axes = self.axes(axes)
        return Rounded(self.value.max(axes, keepdims=True, initial=-inf), self.dtype,
                       self.error.max(axes, keepdims=True, initial=0))

    def where(self, condition, other):
        return Rounded(np.where(condition, self.value, other.value), self.dtype,
                       np.where(condition, self.error, other.error))

    def reshape(self, shape):
        return Rounded(self.value.reshape(shape), self.dtype, self.error.reshape(shape))

    def tolerance(self):
        """Units in the last place where few are enough; the largest absolute error of the other elements."""
        result = self.value.astype(DTYPES[self.dtype])
        finite = np.isfinite(result)
        assert np.isfinite(self.error[finite]).all()
        error = self.error[finite]
        spacing = np.spacing(np.abs(result[finite])).astype(LONG)
        ulps = np.ceil(error / spacing + LONG(0.5))
        few = ulps <= 16
        return {"ulp": int(ulps[few].max(initial=1)),
                "absolute": float((error + spacing)[~few].max(initial=0))}


def rounded_case(expression, inputs, function, shape=None):
    """`function` takes the inputs and gives the output, all Rounded; `shape` is the output's, if another."""
    dtype = NAMES[inputs[0].dtype]
    result = function(*[Rounded(x, dtype) for x in inputs])
    if shape is not None:
        result = result.reshape(shape)
    case(expression, inputs, result.value.astype(DTYPES[dtype]), **result.tolerance())


# ---- Values ----------------------------------------------------------------------------------------------------------

def floats_for(dtype):
    info = np.finfo(DTYPES[dtype])
    values = [0.0, -0.0, inf, -inf, nan, info.smallest_subnormal, -info.tiny, info.max, -info.max, 0.5, -0.5, 1, -1,
              1.5, -1.5, -2.5, 0.1, -0.3, 0.9, -0.999, 1e-5, -1e-20, 3, -7.75, 33.3, -88.5, -20.125, 100, -1000, 1e10,
              -1e30, 0.75, 1.4616321, 3.1415927, -2]
    return np.array(values, DTYPES[dtype])


def few_floats(dtype):
    info = np.finfo(DTYPES[dtype])
    return np.array([0.0, -0.0, 1, -3, 0.1, inf, -inf, nan, info.smallest_subnormal, -info.max], DTYPES[dtype])


def ints_for(dtype):
    info = np.iinfo(DTYPES[dtype])
    values = {0, 1, -1, -3, 7, 31, 200, info.min, info.max}
    return np.array(sorted(v for v in values if info.min <= v <= info.max), DTYPES[dtype])


def few_values(dtype):
    return few_floats(dtype) if dtype in FLOATS else ints_for(dtype)


def counting(shape, dtype):
    """0, 1, 2 ...; for bool something irregular."""
    n = int(np.prod(shape, dtype=int))
    values = np.arange(n) * 7 % 3 == 0 if dtype == "boolean" else np.arange(n)
    return values.reshape(shape).astype(DTYPES[dtype])


@functools.cache
def random(shape, dtype, seed=0):
    """Floats of few digits, integers of all sizes, or truth values; the same ones for the same arguments."""
    rng = np.random.default_rng(seed)
    if dtype in FLOATS:
        return (np.round(rng.standard_normal(shape) * 1024) / 256).astype(DTYPES[dtype])
    if dtype == "boolean":
        return rng.random(shape) < 0.7
    info = np.iinfo(DTYPES[dtype])
    return rng.integers(info.min, info.max, shape, DTYPES[dtype], endpoint=True)


@functools.cache
def small(shape, dtype, seed=0):
    """Integers so small that sums and products of some are exact in every dtype but u8, where they wrap around."""
    rng = np.random.default_rng(seed)
    return rng.integers(0 if dtype.startswith("u") else -9, 10, shape).astype(DTYPES[dtype])


def with_mpmath(function):
    def of(values):
        results = [LONG(mpmath.nstr(function(mpmath.mpf(float(v))), 25)) for v in values.reshape(-1)]
        return np.array(results, LONG).reshape(values.shape)
    return of


# ---- Elementwise functions of floats ---------------------------------------------------------------------------------

def erf_inv(x):
    if x != x or abs(x) > 1:
        return mpmath.nan
    if x == 0 or abs(x) == 1:
        return x * mpmath.inf if x else x
    y = mpmath.erfinv(x)
    for _ in range(3):  # Newton's method from mpmath's own start, which alone is too short near 1
        y -= (mpmath.erf(y) - x) * mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(y * y)
    return y


def is_pole(x):
    return x <= 0 and x == mpmath.floor(x)


def lgamma(x):
    if abs(x) == mpmath.inf or is_pole(x):
        return mpmath.inf
    return mpmath.re(mpmath.loggamma(x))


def digamma(x):
    if x == mpmath.inf:
        return x
    return mpmath.nan if x == -mpmath.inf or is_pole(x) else mpmath.digamma(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf_of_zero(function):
    """mpmath has no negative zero and is slow far out."""
    def of(x):
        near = np.copysign(function(np.clip(x, -30, 30)), x)
        return np.where(np.abs(x) < 30, near, np.sign(x))
    return of


erf = erf_of_zero(with_mpmath(mpmath.erf))
UNARY = {
    "rsqrt": lambda x: 1 / np.sqrt(x), "cbrt": np.cbrt, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sigmoid": sigmoid,
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "erf": erf,
    "erfc": lambda x: with_mpmath(mpmath.erfc)(np.clip(x, -100, 100)),
    "erf_inv": lambda x: np.copysign(with_mpmath(erf_inv)(x), x)}
GAMMA = {"lgamma": (with_mpmath(lgamma), 4), "digamma": (with_mpmath(digamma), 16)}  # and the units promised below 0
EXACT_UNARY = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "stop_gradient": np.copy,
    "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "is_nan": np.isnan,
    "is_inf": np.isinf, "is_finite": np.isfinite,
    "square": lambda x: x * x, "reciprocal": lambda x: 1 / x, "relu": lambda x: np.where(x <= 0, x.dtype.type(0), x),
    "relu6": lambda x: np.where(x <= 0, x.dtype.type(0), np.where(x > 6, x.dtype.type(6), x)), "softsign": lambda x: x / (np.abs(x) + 1),
    "hard_sigmoid": lambda x: (np.clip(x + x.dtype.type(3), 0, 6) + 0) / x.dtype.type(6)}
for dtype in FLOATS:
    t = DTYPES[dtype]
    x = floats_for(dtype)
    halves = np.array([3.5, -3.5, 4.5, -5.9, 0.49999997, 8388609.0, 4503599627370497.5, -6, 6, -3, 3], t)
    for op, function in UNARY.items():
        case(f"{op}(a)", [x], function(x.astype(LONG)).astype(t), ulp=2)
    for op, (function, units) in GAMMA.items():
        promise = {"ulp": units, "absolute": units * np.finfo(t).eps} if dtype == "f64" else {"ulp": 2}
        case(f"{op}(a)", [x[~(x < 0)]], function(x[~(x < 0)].astype(LONG)).astype(t), ulp=2)
        case(f"{op}(a)", [x[x < 0]], function(x[x < 0].astype(LONG)).astype(t), **promise)
    for op, function in EXACT_UNARY.items():
        y = np.concatenate([x, halves])
        case(f"{op}(a)", [y], function(y))
    case("leaky_relu(a)", [x], np.where(x > 0, x, t(0.2) * x))
    case("leaky_relu(a, 0.01)", [x], np.where(x > 0, x, t(0.01) * x))

FORMULAS = {
    "elu(a)": lambda x: x.where(x.value > 0, x.of(np.expm1) * 1),
    "elu(a, 1.7)": lambda x: x.where(x.value > 0, x.of(np.expm1) * 1.7),
    "selu(a)": lambda x: x.where(x.value > 0, x.of(np.expm1) * 1.6732632423543772848) * 1.0507009873554804934,
    "gelu(a)": lambda x: x * 0.5 * ((x * np.sqrt(LONG(0.5))).of(erf) + 1),
    "gelu(a, Gelu::tanh)":
        lambda x: x * 0.5 * (((x * x * x * 0.044715 + x) * np.sqrt(2 / LONG(np.pi))).of(np.tanh) + 1),
    "silu(a)": lambda x: x * x.of(sigmoid),
    "swish(a)": lambda x: x * x.of(sigmoid),
    "swish(a, 2.5)": lambda x: x * (x * 2.5).of(sigmoid)}
for dtype in FLOATS:
    x = floats_for(dtype)
    size = np.abs(x)
    for expression, formula in FORMULAS.items():
        rounded_case(expression, [x[(1e-9 < size) & (size < 6)]], formula)
        rounded_case(expression, [x[(6 < size) & (size < 200)]], formula)
        saturated = x[(size == 0) | (size > 1e9) | (x != x)]  # where the functions are exact
        case(expression, [saturated], formula(Rounded(saturated, dtype)).value.astype(DTYPES[dtype]), ulp=1)


# ---- Binary ----------------------------------------------------------------------------------------------------------

def ordered(pick):
    """max or min: NaN wins, and the first of equal operands, such as zeros of different signs."""
    def of(x, y):
        if x.dtype.kind != "f":
            return np.maximum(x, y) if pick is max else np.minimum(x, y)
        one = lambda p, q: nan if p != p or q != q else p if p == q else pick(p, q)
        return np.vectorize(one, [x.dtype])(x, y)
    return of


def unless(zero, value):
    return np.where(np.broadcast_to(zero, value.shape) == 0, value.dtype.type(0), value)


COMPARE = {"equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
           "greater": np.greater, "greater_equal": np.greater_equal}
EXACT_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "floor_div": lambda x, y: np.floor(x / y),
    "trunc_div": lambda x, y: np.trunc(x / y), "floor_mod": np.mod, "trunc_mod": np.fmod, "maximum": ordered(max),
    "minimum": ordered(min), "nextafter": np.nextafter, "copysign": np.copysign,
    "squared_difference": lambda x, y: (x - y) * (x - y),
    "divide_no_nan": lambda x, y: unless(y, x / y), "multiply_no_nan": lambda x, y: unless(y, x * y),
    "xdivy": lambda x, y: unless(x, x / y), **COMPARE}
LONG_BINARY = {"hypot": np.hypot, "pow": np.power, "atan2": np.arctan2}
for dtype in FLOATS:
    t = DTYPES[dtype]
    a, b = few_floats(dtype)[:, None], few_floats(dtype)
    for op, function in EXACT_BINARY.items():
        case(f"{op}(a, b)", [a, b], function(a, b))
    for op, function in LONG_BINARY.items():
        case(f"{op}(a, b)", [a, b], function(a.astype(LONG), b.astype(LONG)).astype(t), ulp=2)
    x, y = np.array([0.1, 1.3, -3.7, 1e-3], t), np.array([0.7, -1.1, 2.3, 3e-2], t)
    z = -(x * y)  # so that the result is what rounding left of the product
    left = [t(float(Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r)))) for p, q, r in zip(x, y, z)]
    case("fma(a, b, c)", [x, y, z], np.array(left, t))
    for op, function in {"xlogy": np.log, "xlog1py": np.log1p}.items():
        y = np.abs(b)
        exact = unless(a, a.astype(LONG) * function(y.astype(LONG))).astype(t)
        case(f"{op}(a, b)", [a, y], exact, ulp=4)  # two of the logarithm, which the factor may double, and its rounding


def wrapped(value, dtype):
    bits = 8 * DTYPES[dtype]().itemsize
    value &= (1 << bits) - 1
    if not dtype.startswith("u") and value >> (bits - 1):
        value -= 1 << bits
    return DTYPES[dtype](value)


def truncated(x, y):
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def int_pow(x, y):
    if y < 0:
        return {1: 1, -1: -1 if y & 1 else 1}.get(x, 0)
    return pow(x, y, 1 << 64)


INT_BINARY = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
    "floor_div": lambda x, y: x // y if y else -1, "floor_mod": lambda x, y: x % y if y else x,
    "trunc_div": lambda x, y: truncated(x, y) if y else -1,
    "trunc_mod": lambda x, y: x - y * truncated(x, y) if y else x, "maximum": max, "minimum": min, "pow": int_pow,
    "bitwise_and": lambda x, y: x & y, "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y, "squared_difference": lambda x, y: (x - y) ** 2}
INT_UNARY = {"neg": lambda x: -x, "abs": abs, "sign": lambda x: (x > 0) - (x < 0), "bitwise_not": lambda x: ~x,
             "stop_gradient": lambda x: x,
             "square": lambda x: x * x, "relu": lambda x: max(x, 0), "relu6": lambda x: min(max(x, 0), 6)}
for dtype in INTS:
    t = DTYPES[dtype]
    bits = 8 * t().itemsize
    values = ints_for(dtype)
    a, b = values[:, None], values
    shifts = {"shift_left": lambda x, y: x << y if 0 <= y < bits else 0,
              "shift_right": lambda x, y: x >> (y if 0 <= y < bits else bits),
              "shift_right_logical": lambda x, y: (x & ((1 << bits) - 1)) >> y if 0 <= y < bits else 0}
    for op, function in {**INT_BINARY, **shifts}.items():
        result = [[wrapped(function(int(x), int(y)), dtype) for y in values] for x in values]
        case(f"{op}(a, b)", [a, b], np.array(result, t))
    for op, function in COMPARE.items():
        case(f"{op}(a, b)", [a, b], function(a, b))
    counts = {"popcount": lambda x: bin(x & ((1 << bits) - 1)).count("1"),
              "clz": lambda x: bits - (x & ((1 << bits) - 1)).bit_length()}
    for op, function in {**INT_UNARY, **counts}.items():
        case(f"{op}(a)", [values], np.array([wrapped(function(int(x)), dtype) for x in values], t))

def philox(low, high, key):
    """Ten rounds of Philox 4x32 as its paper has them: the words of the block."""
    word = (1 << 32) - 1
    c = [low & word, low >> 32, high & word, high >> 32]
    k = [key & word, key >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & word, (p >> 32) ^ c[3] ^ k[1], p & word]
        k = [(k[0] + 0x9E3779B9) & word, (k[1] + 0xBB67AE85) & word]
    return c


# Those that Random123 1.14 publishes (tests/kat_vectors): counter and key of zeros, of ones and of digits of pi.
PUBLISHED = {(0, 0, 0): [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
             (2**64 - 1, 2**64 - 1, 2**64 - 1): [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
             (0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822):
                 [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]}
assert all(philox(*counter) == words for counter, words in PUBLISHED.items())
COUNTERS = [*PUBLISHED, (1, 0, 7), (2**32, 2**32 - 1, 2**63), (12345678901234567, 9876543210987654, 1122334455667788)]
COLUMNS = [np.array(column, np.uint64) for column in zip(*COUNTERS)]
BLOCKS = [philox(*counter) for counter in COUNTERS]
for i, op in enumerate(["philox_low", "philox_high"]):
    halves = np.array([block[2 * i] | block[2 * i + 1] << 32 for block in BLOCKS], np.uint64)
    case(f"{op}(a, b, c)", COLUMNS, halves)

truth = np.array([False, True, True])
for op, function in {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
                     "equal": np.equal, "not_equal": np.not_equal}.items():
    case(f"{op}(a, b)", [truth[:, None], truth], function(truth[:, None], truth))
case("logical_not(a)", [truth], ~truth)

# Numbers beside tensors and the operators.
for dtype in NUMERIC:
    t = DTYPES[dtype]
    x = np.array([5, 0, 1, 7, 200, 3, 100, 2, 6], t)
    for expression, value in {"a + 2": x + t(2), "sub(7, a)": t(7) - x, "a * true": x, "a % 3": x % t(3),
                              "a > 2": x > 2,
                              "maximum(a, 3)": np.maximum(x, t(3)), "3 <= a": x >= 3, "a != 5": x != 5, "-a": t(0) - x,
                              "clip(a, 2, 6)": np.clip(x, 2, 6), "where(a > 4, a, 1)": np.where(x > 4, x, t(1)),
                              "where(a > 4, 9, a)": np.where(x > 4, t(9), x)}.items():
        if expression != "-a" or dtype in INTS:  # floats have -0
            case(expression, [x], value)
    case("+a", [x], x)
    case("clip(a, {.low = 2})", [x], np.maximum(x, t(2)))
    case("clip(a, {.high = 6})", [x], np.minimum(x, t(6)))
    case("clip(a, {.low = 2, .high = 6})", [x], np.clip(x, 2, 6))
    low, high = np.array([[1], [3]], t), np.array([4, 5, 6, 7, 8, 9, 50, 1, 2], t)
    case("clip(a, b, c)", [x, low, high], np.minimum(np.maximum(x, low), high))
for dtype in FLOATS:
    t = DTYPES[dtype]
    x = few_floats(dtype)
    case("a / 3", [x], x / t(3))
    case("0.1 * a", [x], t(0.1) * x)
    case("1 / a", [x], 1 / x)
    case("clip(a, -1, 0.5)", [x], np.clip(x, t(-1), t(0.5)))
for dtype in INTS:
    t = DTYPES[dtype]
    x = ints_for(dtype)
    case("(a & 6) | (a ^ 3)", [x], (x & t(6)) | (x ^ t(3)))
    case("~a", [x], ~x)
    case("a << 2 >> 1", [x], np.array([wrapped(int(wrapped(int(v) << 2, dtype)) >> 1, dtype) for v in x], t))
for dtype in FLOATS:
    t = DTYPES[dtype]
    x = np.concatenate([few_floats(dtype), np.array([1 + 1e-5, 1 - 2e-5, 1e-8, -3e-8], t)])
    a, b = x[:, None], x
    case("is_close(a, b)", [a, b], np.isclose(a, b))
    case("is_close(a, b, {.equal_nan = true})", [a, b], np.isclose(a, b, equal_nan=True))
    case("is_close(a, b, {.rtol = 0.25, .atol = 0})", [a, b], np.isclose(a, b, 0.25, 0))
    near = np.array([1, 100, -3], t)
    for other in [near * t(1.000001), near * t(1.001), near[:1], np.array([1, 100, nan], t)]:
        case("allclose(a, b)", [near, other], np.bool_(np.allclose(near, other)))
        case("array_equal(a, b)", [near, other], np.bool_(np.array_equal(near, other)))
    case("array_equal(a, b)", [near, near], np.bool_(True))
    case("array_equal(a, b)", [np.array([nan], t), np.array([nan], t)], np.bool_(False))
for p, q in itertools.product(ALL, ALL):
    x, y = DTYPES[p](1), DTYPES[q](1)
    case("cast(Tensor(1), result_type(a, b))", [x, y], np.array(1, np.result_type(DTYPES[p], DTYPES[q])))
case("(a & b) | !a", [truth[:, None], truth], (truth[:, None] & truth) | ~truth[:, None])
case("(a & b) ^ ~(a | b)", [truth[:, None], truth], (truth[:, None] & truth) ^ ~(truth[:, None] | truth))

# ---- where, cast, bitcast --------------------------------------------------------------------------------------------

for dtype in ALL:
    t = DTYPES[dtype]
    condition = random((3, 1, 5), "boolean")
    x, y = random((4, 1), dtype), random((1, 4, 5), dtype, 1)
    case("where(a, b, c)", [condition, x, y], np.where(condition, x, y))
    case("where(a, b, c)", [truth, t(1), t(0)], np.where(truth, t(1), t(0)))
    case("where(a, b, c)", [np.bool_(True), x, t(0)], x)


def cast(value, dtype):
    if dtype == "boolean":
        return value != 0
    if dtype in FLOATS:
        return DTYPES[dtype](value)
    if not isinstance(value, np.floating):
        return wrapped(int(value), dtype)
    if value != value:
        return DTYPES[dtype](0)
    info = np.iinfo(DTYPES[dtype])
    return DTYPES[dtype](int(max(min(value.astype(LONG), LONG(info.max)), LONG(info.min))))


for source, target in itertools.product(ALL, ALL):
    if source in FLOATS:
        x = np.array([0.0, -0.0, 0.7, -0.7, 1.5, -1.5, 255.9, 256, -1, 2147483520, 2147483648, -2147483648, 4e9,
                      2.0**62, 9.3e18, -9.3e18, 1e30, inf, -inf, nan, 1e-45, 16777217, 0.1], DTYPES[source])
    elif source == "boolean":
        x = truth
    else:
        more = [] if source == "u8" else [16777217, 16777219, -16777217, 256]
        x = np.append(ints_for(source), np.array(more[:2] + more[3:] if source[0] == "u" else more, DTYPES[source]))
    case(f"cast(a, {target})", [x], np.array([cast(v, target) for v in x], DTYPES[target]))
for source, target in [("f32", "i32"), ("i32", "f32"), ("f64", "i64"), ("i64", "f64"), ("u8", "u8"), ("f32", "f32")]:
    x = np.array([-0.0, 1.5, -2.25, inf, 1e-42], DTYPES[source]) if source in FLOATS else ints_for(source)
    case(f"bitcast(a, {target})", [x], x.view(DTYPES[target]))
    case(f"bitcast(a, {target})", [x[:0].reshape(2, 0)], x[:0].reshape(2, 0).view(DTYPES[target]))

# ---- Ranks 0 to 8, extents 0 and 1, odd lengths ----------------------------------------------------------------------

SHAPES = [(), (1,), (0,), (13,), (3, 5), (1, 7), (7, 1), (0, 3), (2, 3, 5), (5, 1, 3), (2, 0, 3), (2, 3, 1, 5),
          (1, 2, 3, 1, 3), (2, 1, 2, 3, 1, 3), (1, 2, 1, 2, 1, 2, 3), (2, 1, 2, 1, 3, 1, 2, 3), (1,) * 8,
          (2, 1, 0, 1, 3, 1, 2, 1)]
for shape in SHAPES:
    for dtype in ["f32", "u8"]:
        x = small(shape, dtype)
        case("a + a", [x], x + x)
        case("sum(a)", [x], x.sum(dtype=DTYPES[dtype]))
        case("flip(a)", [x], np.flip(x))
        case("transpose(a)", [x], x.T)
        case("reshape(a, {-1})", [x], x.reshape(-1))
    x = random(shape, "f32")
    case("exp(a)", [x], np.exp(x.astype(LONG)).astype(np.float32), ulp=2)
    case("max(a)", [x], x.max(initial=-inf))
    case("squeeze(a)", [x], x.squeeze())
for p, q in [((), (3,)), ((), (2, 0)), ((1,), (5,)), ((2, 1, 3), (4, 1)), ((0, 1), (1, 3)), ((7, 1), (1, 7)),
             ((3, 1, 5), (3, 7, 1)), ((1,) * 8, (2, 1, 1, 2, 1, 1, 1, 3)), ((2, 1, 3, 1, 2, 1, 1, 3), (2, 1, 2, 1)),
             ((1, 0, 1), (4, 1, 5)), ((1, 33), (3, 33)), ((3, 33), (33,)), ((3, 33), (3, 1))]:
    for dtype in ["f32", "u8"]:
        x, y = small(p, dtype), small(q, dtype, 1)
        case("a * b", [x, y], x * y)
        case("a - b", [x, y], x - y)
        case("b < a", [x, y], y < x)

# ---- Reductions ------------------------------------------------------------------------------------------------------

AXES = {"": (None, False), ", 0": (0, False), ", -1, true": (-1, True), ", {0, -1}": ((0, -1), False),
        ", {-2, 0}, true": ((-2, 0), True), ", {}, true": (None, True), ", 1": (1, False)}
RANK_8 = ", {0, 3, -2}"
EMPTY_MAX = {dtype: -inf if dtype in FLOATS else np.iinfo(DTYPES[dtype]).min for dtype in NUMERIC}
EMPTY_MIN = {dtype: inf if dtype in FLOATS else np.iinfo(DTYPES[dtype]).max for dtype in NUMERIC}


def reduced(expression, x, rounded, axes, keepdims):
    """`rounded` gives the Rounded result with the axes kept."""
    shape = x.max(axes, keepdims=keepdims, initial=-inf).shape
    rounded_case(expression, [x], rounded, shape)


def variance(x, axes, ddof=0):
    centred = x - x.sum(axes) / x.count(x.axes(axes))
    return (centred * centred).sum(axes) / max(x.count(x.axes(axes)) - ddof, 0)


def logsumexp(x, axes):
    largest = x.max(axes)
    largest = largest.where(np.isfinite(largest.value), Rounded(0, x.dtype))
    return (x - largest).of(np.exp).sum(axes).of(np.log) + largest


def softmax(x, axes):
    powers = (x - x.max(axes)).of(np.exp)
    return powers * (Rounded(1, x.dtype) / powers.sum(axes))


def log_softmax(x, axes):
    shifted = x - x.max(axes)
    return shifted - shifted.of(np.exp).sum(axes).of(np.log)


def layer_norm(x, axes, epsilon=1e-5):
    centred = x - x.sum(axes) / x.count(x.axes(axes))
    mean = (centred * centred).sum(axes) / x.count(x.axes(axes))
    return centred * (mean + epsilon).of(lambda v: 1 / np.sqrt(v))


def int_mean(x, axes, keepdims):
    total = x.sum(axes, keepdims=True, dtype=np.int64)
    count = x.size // max(total.size, 1)
    result = np.array([wrapped(truncated(int(v), count) if count else -1, NAMES[x.dtype]) for v in total.reshape(-1)],
                      x.dtype)
    return result.reshape(x.sum(axes, keepdims=keepdims).shape)


SHAPES_3 = [(3, 2, 5), (1, 1, 1), (2, 0, 3)]
for dtype, (suffix, (axes, keepdims)) in itertools.product(NUMERIC, AXES.items()):
    t = DTYPES[dtype]
    for shape in SHAPES_3 + [(2, 3, 33)] * (dtype == "f32" and suffix in ["", ", 0", ", -1, true"]):
        x = random(shape, dtype)
        # Adding 0 makes +0 of -0.
        case(f"max(a{suffix})", [x], x.max(axes, keepdims=keepdims, initial=EMPTY_MAX[dtype]) + t(0))
        case(f"min(a{suffix})", [x], x.min(axes, keepdims=keepdims, initial=EMPTY_MIN[dtype]) + t(0))
        if dtype in INTS:
            case(f"sum(a{suffix})", [x], x.sum(axes, keepdims=keepdims, dtype=t))
            case(f"prod(a{suffix})", [x | t(1)], np.prod(x | t(1), axes, keepdims=keepdims, dtype=t))
            y = small(shape, dtype) if dtype in ["i64", "u64"] else x
            case(f"mean(a{suffix})", [y], int_mean(y, axes, keepdims))
            continue
        reduced(f"sum(a{suffix})", x, lambda v: v.sum(axes), axes, keepdims)
        reduced(f"mean(a{suffix})", x, lambda v: v.sum(axes) / v.count(v.axes(axes)), axes, keepdims)
        reduced(f"variance(a{suffix})", x, lambda v: variance(v, axes), axes, keepdims)
        reduced(f"stddev(a{suffix})", x, lambda v: variance(v, axes).of(np.sqrt, 1), axes, keepdims)
        reduced(f"logsumexp(a{suffix})", x, lambda v: logsumexp(v, axes), axes, keepdims)
        near_one = (1 + random(shape, dtype) / 64).astype(t)
        exact = np.prod(near_one.astype(LONG), axes, keepdims=keepdims)
        case(f"prod(a{suffix})", [near_one], exact.astype(t), ulp=near_one.size // max(exact.size, 1) + 1)
for suffix, (axes, keepdims) in AXES.items():
    for shape in [(3, 5, 7), (1, 1, 1), (2, 0, 3)]:
        x = random(shape, "boolean")
        case(f"any(a{suffix})", [~x], np.any(~x, axes, keepdims=keepdims))
        case(f"all(a{suffix})", [x], np.all(x, axes, keepdims=keepdims))
for dtype in NUMERIC:
    t = DTYPES[dtype]
    x = small((2, 1, 2, 1, 2, 1, 2, 3), dtype)
    axes = (0, 3, 6)
    case(f"sum(a{RANK_8})", [x], x.sum(axes, dtype=t))
    case(f"max(a{RANK_8}, true)", [x], x.max(axes, keepdims=True))
    case("sum(a, Axes(Dims()))", [x], x)
    case("sum(a, {1, 3, 5})", [x], x.sum((1, 3, 5), dtype=t))
    y = (small((3, 4, 5), dtype) % t(4)).astype(t)
    if dtype in FLOATS:
        y[1, 2, 3], y[2, 2, 3], y[1, 3, 3], y[0, 0, 0], y[0, 0, 1] = nan, nan, nan, -inf, inf
    for op, function in [("argmax", np.argmax), ("argmin", np.argmin)]:
        for axis in range(3):
            case(f"{op}(a, {axis})", [y], function(y, axis))
        case(f"{op}(a, -1, true)", [y], function(y, -1, keepdims=True))
        case(f"{op}(a, 0)", [y[:1, 0, 0]], np.int64(0))
        case(f"{op}(a, 1)", [np.zeros((0, 3, 2), t)], np.zeros((0, 2), np.int64))
for dtype in FLOATS:
    t = DTYPES[dtype]
    special = np.array([[nan, 1, inf], [1, nan, -inf], [2, -0.0, 0.0], [inf, -inf, 3], [-inf, -inf, -inf]], t)
    finite = np.array([[1, -1], [-0.0, 0.0]], t)
    case("sum(a, 1)", [special], np.array([nan, nan, 2, nan, -inf], t))
    case("prod(a, 1)", [special], np.array([nan, nan, -0.0, -inf, -inf], t))
    case("max(a, 1)", [special], np.array([nan, nan, 2, inf, -inf], t))
    case("min(a, 1)", [special], np.array([nan, nan, 0.0, -inf, -inf], t))
    case("max(a, 1)", [finite], np.array([1, 0.0], t))
    case("logsumexp(a, 1)", [special], np.array([nan, nan, 2 + np.log1p(2 * np.exp(LONG(-2))), inf, -inf], t), ulp=3)
    case("softmax(a)", [special[[0, 1, 3, 4]]], np.full((4, 3), nan, t))
    case("argmax(a, 1)", [special], np.argmax(special, 1))
    case("argmin(a, 1)", [special], np.argmin(special, 1))
    x = random((3, 4, 5), dtype)
    rounded_case("variance(a, 1, false, 1)", [x], lambda v: variance(v, 1, 1), (3, 5))
    rounded_case("stddev(a, {0, 2}, true, 2)", [x], lambda v: variance(v, (0, 2), 2).of(np.sqrt, 1))
    case("variance(a, 1, false, 1)", [x[:, :1]], np.full((3, 5), nan, t))
    for shape in [(3, 2, 5), (2, 0, 3)] + [(3, 33), (3, 1), (1, 2, 1, 2, 1, 1, 2, 3)] * (dtype == "f32"):
        x = random(shape, dtype)
        for suffix, axes in {"": -1, ", 0": 0, ", {0, -1}": (0, -1), ", Axes()": None}.items():
            rounded_case(f"softmax(a{suffix})", [x], lambda v: softmax(v, axes))
            rounded_case(f"log_softmax(a{suffix})", [x], lambda v: log_softmax(v, axes))
            if shape[axes if isinstance(axes, int) else 0] > 1:  # nothing is left of one element
                rounded_case(f"layer_norm(a{suffix})", [x], lambda v: layer_norm(v, axes))
        gamma, beta = random(shape[-1:], dtype, 1), random(shape[-1:], dtype, 2)
        if shape[-1] > 1:
            rounded_case("layer_norm(a, b, c)", [x, gamma, beta], lambda v, g, b: layer_norm(v, -1) * g + b)
    x = random((3, 4, 5), dtype)
    gamma, beta = random((4, 1), dtype), random((), dtype)
    rounded_case("layer_norm(a, b, c, {-2}, 0.25)", [x, gamma, beta], lambda v, g, b: layer_norm(v, -2, 0.25) * g + b)
    rounded_case("layer_norm(a, -1, 0.25)", [x], lambda v: layer_norm(v, -1, 0.25))
    rounded_case("softmax(a, {-1})", [100 * x], lambda v: softmax(v, -1))

# ---- Norms -----------------------------------------------------------------------------------------------------------

for dtype in FLOATS:
    t = DTYPES[dtype]
    x = random((3, 4, 5), dtype)
    root = lambda y: y.of(np.sqrt, 1)
    rounded_case("norm(a)", [x], lambda y: root((y * y).sum()), ())
    rounded_case("norm(a, -1)", [x], lambda y: root((y * y).sum(-1)), (3, 4))
    rounded_case("norm(a, {0, 2}, true)", [x], lambda y: root((y * y).sum((0, 2))))
    rounded_case("norm(a, 1, false, 1)", [x], lambda y: Rounded(np.abs(y.value), dtype).sum(1), (3, 5))
    cube, root = lambda v: np.abs(v) ** 3, lambda v: v ** (1 / LONG(3))
    rounded_case("norm(a, 1, false, 3)", [np.abs(x)], lambda y: y.of(cube).sum(1).of(root), (3, 5))
    case("norm(a, 1, false, inf)", [x], np.abs(x).max(1))
    case("norm(a, 0)", [x[:0]], np.zeros((4, 5), t))
    case("norm(a, 0, false, inf)", [x[:0]], np.zeros((4, 5), t))

# ---- matmul ----------------------------------------------------------------------------------------------------------


def swapped(x):
    return np.swapaxes(x, -1, -2)


PRODUCTS = [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((3,), (3,)), ((3,), (3, 5)), ((5, 3), (3,)), ((0,), (0,)),
            ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((2, 3), (3, 0)), ((2, 3, 4), (2, 4, 5)), ((5, 1, 2, 3), (4, 3, 2)),
            ((2, 3), (5, 3, 4)), ((3,), (2, 5, 3, 4)), ((2, 5, 4, 3), (3,)), ((0, 2, 3), (3, 4)),
            ((1, 2, 1, 2, 1, 1, 2, 3), (2, 3, 1, 1, 1, 3, 2)), ((17, 33), (33, 19)), ((1, 65), (65, 7)),
            ((13, 5), (5, 1)), ((2, 7, 9), (1, 9, 17))]
for (p, q), dtype in itertools.product(PRODUCTS, NUMERIC):
    if (len(p) + len(q) > 4 or max(p) > 10) and dtype not in ["f32", "u8"]:
        continue
    fill = random if dtype in INTS and p in [(2, 3), (3,)] else small  # random integers wrap around
    a, b = fill(p, dtype), fill(q, dtype, 1)
    product = (np.matmul(a, b) + DTYPES[dtype](0)).astype(DTYPES[dtype])
    case("matmul(a, b)", [a, b], product)
    if len(p) > 1 and max(p) <= 10:
        case("matmul(a, b, {.transpose_a = true})", [swapped(a), b], product)
    if len(q) > 1:
        case("matmul(a, b, {.transpose_b = true})", [a, swapped(b)], product)
    if len(p) > 1 and len(q) > 1 and max(p) <= 10:
        case("matmul(a, b, {.transpose_a = true, .transpose_b = true})", [swapped(a), swapped(b)], product)
for dtype in FLOATS:
    for p, q in [((5, 9), (9, 7)), ((2, 3, 4), (4, 5)), ((129,), (129,)), ((9, 1), (1, 9))]:
        a, b = random(p, dtype), random(q, dtype, 1)
        exact = np.matmul(a.astype(LONG), b.astype(LONG))
        magnitude = np.matmul(np.abs(a).astype(LONG), np.abs(b).astype(LONG)).max()
        bound = (p[-1] + 1) * LONG(np.finfo(DTYPES[dtype]).eps) / 2 * magnitude
        case("matmul(a, b)", [a, b], exact.astype(DTYPES[dtype]), ulp=1, absolute=bound)
    a, b = np.array([[inf, 1], [nan, 0], [0, -0.0]], DTYPES[dtype]), np.array([[0, 1], [1, 2]], DTYPES[dtype])
    case("matmul(a, b)", [a, b], np.array([[nan, inf], [nan, nan], [0, 0]], DTYPES[dtype]))

# ---- Shape -----------------------------------------------------------------------------------------------------------

MOVES = {
    "reshape(a, {6, -1})": lambda x: x.reshape(6, -1), "reshape(a, {-1, 2, 1})": lambda x: x.reshape(-1, 2, 1),
    "reshape(a, {1, 2, 1, 3, 1, 2, 2, 1})": lambda x: x.reshape(1, 2, 1, 3, 1, 2, 2, 1),
    "reshape(a, {2, 3, 4})": lambda x: x, "transpose(a, {2, 0, 1})": lambda x: x.transpose(2, 0, 1),
    "transpose(a, {1, 0, 2})": lambda x: x.transpose(1, 0, 2),
    "transpose(a, {0, 2, 1})": lambda x: x.transpose(0, 2, 1),
    "transpose(a, {-1, 1, 0})": lambda x: x.transpose(2, 1, 0), "transpose(a, {0, 1, 2})": lambda x: x,
    "broadcast_to(a, {2, 3, 4})": lambda x: x,
    "broadcast_to(a, {3, 2, 3, 4})": lambda x: np.broadcast_to(x, (3, 2, 3, 4)),
    "expand_dims(a, 0)": lambda x: x[None], "expand_dims(a, 2)": lambda x: x[:, :, None],
    "expand_dims(a, -1)": lambda x: x[..., None], "expand_dims(a, -4)": lambda x: x[None],
    "slice(a, {})": lambda x: x, "slice(a, {1})": lambda x: x[1], "slice(a, {-1, -2, -3})": lambda x: x[-1, -2, -3],
    "slice(a, {{}, {1, 3}, 2})": lambda x: x[:, 1:3, 2], "slice(a, {{}, {kOpen, kOpen, -1}})": lambda x: x[:, ::-1],
    "slice(a, {{}, {kOpen, kOpen, 2}, {3, 0, -2}})": lambda x: x[:, ::2, 3:0:-2],
    "slice(a, {{-1, kOpen}, {-9, 9}, {-3, -1}})": lambda x: x[-1:, -9:9, -3:-1],
    "slice(a, {{}, {2, 1}})": lambda x: x[:, 2:1], "slice(a, {{5, 9}, 0})": lambda x: x[5:9, 0],
    "slice(a, {{}, {}, {kOpen, -5, -3}})": lambda x: x[:, :, :-5:-3],
    "slice(a, {{}, {}, {1, 4, 100}})": lambda x: x[:, :, 1:4:100],
    "a[0]": lambda x: x[0], "a[-1][1]": lambda x: x[-1][1], "a.slice({{}, 1})": lambda x: x[:, 1],
    "window(a, {2, 2, 3})": lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2, 3)),
    "window(a, 2, 1)": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1),
    "window(a, {3, 2}, {-1, 0}, {.steps = {1, 2}})":
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (3, 2), (2, 0))[::2],
    "window(a, 2, -1, {.dilations = 3})": lambda x: np.lib.stride_tricks.sliding_window_view(x, 4, 2)[..., ::3],
    "window(a, {2, 1}, {2, 1}, {.steps = {2, 9}, .dilations = {1, 5}})":
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 1), (2, 1))[:, ::9, ::2],
    "concat({a}, 0)": lambda x: x, "concat({a, a}, 1)": lambda x: np.concatenate([x, x], 1),
    "concat({a, a, a}, -1)": lambda x: np.concatenate([x, x, x], -1), "stack({a, a})": lambda x: np.stack([x, x]),
    "stack({a, a, a}, -1)": lambda x: np.stack([x, x, x], -1), "stack({a}, 1)": lambda x: np.stack([x], 1),
    "split(a, 3, 1)": lambda x: np.split(x, 3, 1), "split(a, 2)": lambda x: np.split(x, 2),
    "split(a, 1, -1)": lambda x: [x], "split(a, {1, 0, 3}, -1)": lambda x: [x[..., :1], x[..., :0], x[..., 1:]],
    "split(a, {2, 1}, 1)": lambda x: [x[:, :2], x[:, 2:]], "flip(a, 1)": lambda x: np.flip(x, 1),
    "flip(a, {0, -1})": lambda x: np.flip(x, (0, -1)), "flip(a, Axes(Dims()))": lambda x: x,
    "roll(a, 1, 0)": lambda x: np.roll(x, 1, 0), "roll(a, -5, -1)": lambda x: np.roll(x, -5, -1),
    "roll(a, 7, 1)": lambda x: np.roll(x, 7, 1), "roll(a, 8, 2)": lambda x: x,
    "pad(a, {{0, 0}, {0, 0}, {0, 0}})": lambda x: x,
    "pad(a, {{1, 0}, {0, 2}, {3, 1}})": lambda x: np.pad(x, ((1, 0), (0, 2), (3, 1))),
    "pad(a, {{0, 0}, {1, 1}, {0, 0}}, 1)": lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0)), constant_values=1),
    "pad(a, {{0, 1}, {0, 0}, {0, 0}}, a[1][1][2])":
        lambda x: np.pad(x, ((0, 1), (0, 0), (0, 0)), constant_values=x[1, 1, 2]),
    "full_like(a, 1)": np.ones_like, "zeros_like(a)": np.zeros_like, "ones_like(a)": np.ones_like}


def padded(x, paddings, mode):
    """NumPy 1.24 wraps wrongly where a padding is longer than the axis."""
    for axis, (low, high) in enumerate(paddings):
        n = x.shape[axis]
        i = np.arange(-low, n + high)
        if mode == "edge":
            i = np.clip(i, 0, n - 1)
        elif mode == "wrap":
            i %= n
        elif mode == "symmetric":
            i = np.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))
        else:
            period = max(2 * n - 2, 1)
            i = np.minimum(i % period, period - i % period)
        x = np.take(x, i, axis)
    return x


for mode in ["edge", "reflect", "symmetric", "wrap"]:
    for paddings in [((1, 0), (2, 2), (3, 1)), ((5, 7), (0, 0), (9, 40)), ((0, 1), (3, 0), (0, 100))]:
        text = "{" + ", ".join(f"{{{low}, {high}}}" for low, high in paddings) + "}"
        if max(max(p) for p in paddings) < 4 and mode != "reflect":
            assert (padded(counting((2, 3, 4), "u8"), paddings, mode) == np.pad(counting((2, 3, 4), "u8"), paddings, mode)).all()
        MOVES[f"pad(a, {text}, PadMode::{mode})"] = functools.partial(padded, paddings=paddings, mode=mode)
MOVES |= {
    "concat(1, a, a)": lambda x: np.concatenate([x, x], 1), "stack(a, a)": lambda x: np.stack([x, x]),
    "a(1, 2)": lambda x: x[1, 2], "a[{1, Slice(1, 3)}]": lambda x: x[1, 1:3],
    "a[{ellipsis, 1}]": lambda x: x[..., 1], "a[{newaxis, ellipsis, newaxis}]": lambda x: x[None, ..., None],
    "a[{Slice::from(1), newaxis, Slice::to(-1), Slice().by(-2)}]": lambda x: x[1:, None, :-1, ::-2],
    "a(Slice(), newaxis, 0)": lambda x: x[:, None, 0], "swapaxes(a, 0, -1)": lambda x: np.swapaxes(x, 0, -1),
    "swapaxes(a, 1, 1)": lambda x: x,
    "tile(a, {2, 1, 3})": lambda x: np.tile(x, (2, 1, 3)), "tile(a, 2)": lambda x: np.tile(x, 2),
    "tile(a, {2, 1, 1, 2})": lambda x: np.tile(x, (2, 1, 1, 2)), "tile(a, {0, 1, 1})": lambda x: np.tile(x, (0, 1, 1)),
    "tile(a, {})": lambda x: x, "repeat(a, 3, 1)": lambda x: np.repeat(x, 3, 1),
    "repeat(a, 0, 0)": lambda x: np.repeat(x, 0, 0), "repeat(a, 2, -1)": lambda x: np.repeat(x, 2, -1),
    "tril(a)": np.tril, "tril(a, -1)": lambda x: np.tril(x, -1), "tril(a, 9)": lambda x: x,
    "triu(a, 1)": lambda x: np.triu(x, 1), "triu(a, -1)": lambda x: np.triu(x, -1),
    "triu(a, 99)": np.zeros_like, "diag(a[1])": lambda x: np.diag(x[1]), "diag(a[1], 1)": lambda x: np.diag(x[1], 1),
    "diag(a[1], -2)": lambda x: np.diag(x[1], -2), "diag(a[0], 4)": lambda x: np.diag(x[0], 4),
    "diag(a[0], -9)": lambda x: np.diag(x[0], -9), "diag(transpose(a[1]), -1)": lambda x: np.diag(x[1].T, -1),
    "diag(a[1][0])": lambda x: np.diag(x[1, 0]), "diag(a[1][0], 2)": lambda x: np.diag(x[1, 0], 2),
    "diag(a[1][0], -1)": lambda x: np.diag(x[1, 0], -1), "array_equal(a, a)": lambda x: np.bool_(True),
    "array_equal(a, flip(a, 2))": lambda x: np.bool_(False), "array_equal(a, a[0])": lambda x: np.bool_(False)}
seen = set()
for expression, function in MOVES.items():
    op = expression.split("(")[0]
    for dtype in ["f32", "u8"] if op in seen else ALL:
        case(expression, [counting((2, 3, 4), dtype)], function(counting((2, 3, 4), dtype)))
    seen.add(op)

EMPTY = {
    "reshape(a, {3, -1})": ((0, 3), lambda x: x.reshape(3, 0)),
    "reshape(a, {5, 0})": ((0, 3), lambda x: x.reshape(5, 0)),
    "reshape(a, {})": ((1, 1), lambda x: x.reshape(())), "reshape(a, {-1, 1})": ((), lambda x: x.reshape(1, 1)),
    "reshape(a, {1, 1, 1, 1, 1, 1, 1, 1})": ((), lambda x: x.reshape((1,) * 8)),
    "transpose(a, {})": ((), lambda x: x), "transpose(a, {1, 2, 0})": ((0, 3, 1), lambda x: x.transpose(1, 2, 0)),
    "transpose(a, {7, 2, 5, 0, 3, 1, 6, 4})": ((2, 1, 2, 3, 1, 2, 2, 1), lambda x: x.transpose(7, 2, 5, 0, 3, 1, 6, 4)),
    "broadcast_to(a, {})": ((), lambda x: x), "broadcast_to(a, {2, 3})": ((), lambda x: np.broadcast_to(x, (2, 3))),
    "broadcast_to(a, {0, 3})": ((1, 3), lambda x: np.broadcast_to(x, (0, 3))),
    "broadcast_to(a, {2, 3, 2})": ((1, 3, 1), lambda x: np.broadcast_to(x, (2, 3, 2))),
    "broadcast_to(a, {1, 2, 1, 2, 1, 1, 2, 3})": ((2, 1), lambda x: np.broadcast_to(x, (1, 2, 1, 2, 1, 1, 2, 3))),
    "expand_dims(a, 0)": ((), lambda x: x[None]), "expand_dims(a, -8)": ((2, 1, 1, 1, 1, 1, 3), lambda x: x[None]),
    "squeeze(a, -1)": ((3, 1), lambda x: x[:, 0]), "squeeze(a, {0, 2})": ((1, 3, 1, 1), lambda x: x.squeeze((0, 2))),
    "squeeze(a, Axes(Dims()))": ((1, 3), lambda x: x), "slice(a, {{1, 2}})": ((0, 3), lambda x: x[1:2]),
    "slice(a, {{kOpen, kOpen, -2}})": ((13,), lambda x: x[::-2]),
    "slice(a, {{2, kOpen, 5}})": ((13,), lambda x: x[2::5]),
    "slice(a, {{}, {kOpen, kOpen, -3}, 0, {}, {}, {}, {}, {kOpen, 2}})":
        ((2, 5, 1, 1, 2, 1, 1, 3), lambda x: x[:, ::-3, 0, :, :, :, :, :2]),
    "flip(a, -1)": ((3, 0), lambda x: x), "roll(a, 3, 1)": ((2, 0), lambda x: x),
    "roll(a, 6, 0)": ((13,), lambda x: np.roll(x, 6)),
    "roll(a, -1, 0)": ((1, 5), lambda x: x), "split(a, 4, 0)": ((0, 2), lambda x: [x] * 4),
    "split(a, {0, 0}, 0)": ((0, 2), lambda x: [x, x]), "pad(a, {})": ((), lambda x: x),
    "pad(a, {{2, 1}}, 1)": ((0,), lambda x: np.pad(x, ((2, 1),), constant_values=1)),
    "pad(a, {{0, 1}, {0, 0}, {1, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 2}})":
        ((1, 1, 2, 1, 1, 1, 1, 3), lambda x: np.pad(x, ((0, 1), (0, 0), (1, 0)) + ((0, 0),) * 4 + ((0, 2),)))}
for (expression, (shape, function)), dtype in itertools.product(EMPTY.items(), ["f64", "boolean"]):
    x = counting(shape, dtype)
    case(expression, [x], function(x))

for dtype in ALL:
    a, b, c = counting((2, 3, 4), dtype), counting((2, 0, 4), dtype), counting((2, 2, 4), dtype)[:, ::-1]
    case("concat({a, b, c, a}, 1)", [a, b, c], np.concatenate([a, b, c, a], 1))
    case("concat({a, b}, -2)", [a, c], np.concatenate([a, c], 1))
    case("stack({a, b}, 1)", [a, a[::-1]], np.stack([a, a[::-1]], 1))
    case("stack({a, b}, -2)", [a, a[::-1]], np.stack([a, a[::-1]], -2))
    case("stack({a, b})", [a[0, 0, 0], a[0, 1, 1]], np.stack([a[0, 0, 0], a[0, 1, 1]]))
    r8 = counting((1, 2, 1, 2, 1, 1, 2, 3), dtype)
    case("concat({a, b}, 4)", [r8, r8[::-1]], np.concatenate([r8, r8], 4))
    r7 = counting((2, 1, 2, 1, 1, 2, 3), dtype)
    case("stack({a, b}, 7)", [r7, r7[::-1]], np.stack([r7, r7[::-1]], 7))

# ---- Creation --------------------------------------------------------------------------------------------------------

CREATIONS = {
    "full({2, 3}, 7)": np.full((2, 3), 7, np.int32), "full({}, 2.5)": np.float64(2.5),
    "full({0}, 2.5f)": np.zeros(0, np.float32),
    "full({3}, true)": np.full(3, True), "full({2}, uint8_t{255})": np.full(2, 255, np.uint8),
    "full({2}, int64_t{1} << 40)": np.full(2, 1 << 40),
    "full({1, 1, 1, 1, 1, 1, 1, 2}, 3, f32)": np.full((1,) * 7 + (2,), 3, np.float32),
    "full({3}, 0.1, f32)": np.full(3, 0.1, np.float32), "full({3}, 0.1, f64)": np.full(3, 0.1),
    "full({2}, -0.0)": np.full(2, -0.0),
    "full({2}, 1, boolean)": np.full(2, True), "full({2}, -5, i64)": np.full(2, -5),
    "full({2}, 3, i32)": np.full(2, 3, np.int32),
    "full({2}, 200, u8)": np.full(2, 200, np.uint8), "zeros({2, 3})": np.zeros((2, 3), np.float32),
    "ones({})": np.float32(1),
    "ones({0, 2}, i64)": np.zeros((0, 2), np.int64), "range(5)": np.arange(5, dtype=np.int32),
    "range(0)": np.arange(0, dtype=np.int32),
    "range(2, 9, 3)": np.arange(2, 9, 3, np.int32), "range(5, 0, -2)": np.arange(5, 0, -2, np.int32),
    "range(3, 3)": np.zeros(0, np.int32),
    "range(5, 2)": np.zeros(0, np.int32),
    "range(int64_t{1} << 40, (int64_t{1} << 40) + 3)": np.arange(1 << 40, (1 << 40) + 3),
    "range(0, 1.0, 0.25)": np.arange(0, 1, 0.25), "range(1.5f, -1, -0.5f)": np.arange(1.5, -1, -0.5, np.float32),
    "range(-2.0, 3.0)": np.arange(-2.0, 3.0), "eye(3)": np.eye(3, dtype=np.float32),
    "eye(2, 4)": np.eye(2, 4, dtype=np.float32),
    "eye(3, 1, i32)": np.eye(3, 1, dtype=np.int32), "eye(0)": np.zeros((0, 0), np.float32),
    "eye(2, 0)": np.zeros((2, 0), np.float32),
    "linspace(0, 1, 5)": np.linspace(0, 1, 5, dtype=np.float32), "linspace(3, -1, 9, f64)": np.linspace(3, -1, 9),
    "linspace(2, 9, 1)": np.full(1, 2, np.float32), "linspace(2, 9, 0)": np.zeros(0, np.float32),
    "linspace(1, 2, 2, f64)": np.array([1.0, 2.0]),
    "linspace(4, 4, 3)": np.full(3, 4, np.float32)}
for expression, value in CREATIONS.items():
    case(expression, [], value)
for dtype in ALL:
    t = DTYPES[dtype]
    case(f"zeros({{2, 3}}, {dtype})", [], np.zeros((2, 3), t))
    case(f"ones({{3}}, {dtype})", [], np.ones(3, t))
    case(f"eye(3, 4, {dtype})", [], np.eye(3, 4).astype(t))
    if dtype in NUMERIC:
        case(f"iota({{2, 3, 2}}, 1, {dtype})", [], np.broadcast_to(np.arange(3, dtype=t)[:, None], (2, 3, 2)))
        case(f"range(7, {dtype})", [], np.arange(7, dtype=t))
case("iota({260}, -1, u8)", [], np.arange(260).astype(np.uint8))
case("iota({0, 3}, 0)", [], np.zeros((0, 3), np.int32))
case("iota({3, 2}, -2)", [], np.broadcast_to(np.arange(3, dtype=np.int32)[:, None], (3, 2)))
case("iota({1, 2, 1, 1, 3, 1, 1, 2}, 4, i64)", [],
     np.broadcast_to(np.arange(3).reshape(3, 1, 1, 1), (1, 2, 1, 1, 3, 1, 1, 2)))
# The steps are computed in f64, three roundings away from the exact value, and then rounded to the dtype.
for dtype in FLOATS:
    i = np.arange(13, dtype=LONG)
    exact = LONG(-1) + i * (LONG(2.3) + 1) / 12
    case(f"linspace(-1, 2.3, 13, {dtype})", [], exact.astype(DTYPES[dtype]), ulp=1 if dtype == "f32" else 0,
         absolute=0 if dtype == "f32" else 3 * np.finfo(np.float64).eps * 2.3)
exact = LONG(0.1) + np.arange(10, dtype=LONG) * LONG(0.3)
case("range(0.1, 3.0, 0.3)", [], exact.astype(np.float64), absolute=2 * np.finfo(np.float64).eps * 3)

# ---- Several ops, which fuse -----------------------------------------------------------------------------------------

for dtype in NUMERIC:
    t = DTYPES[dtype]
    a, b, c = small((5, 7), dtype), small((7, 5), dtype, 1), small((7,), dtype, 2)
    case("matmul(a, b) + transpose(matmul(a, b))", [a, b], a @ b + (a @ b).T)
    case("relu(a * 2 + c) - transpose(b)", [a, b, c], np.maximum(a * t(2) + c, 0).astype(t) - b.T)
    case("sum(a * transpose(b), 1) + sum(b, 0)", [a, b], (a * b.T).sum(1, dtype=t) + b.sum(0, dtype=t))
    case("a - max(a, 1, true) + min(a, 0, true)", [a], a - a.max(1, keepdims=True) + a.min(0, keepdims=True))
    case("concat({a * 2, flip(a, 0), a + c}, 0)", [a, b, c], np.concatenate([a * t(2), a[::-1], a + c]))
    case("pad(a + 1, {{1, 2}, {0, 3}}, 5) * 2", [a], np.pad(a + t(1), ((1, 2), (0, 3)), constant_values=5) * t(2))
    case("slice(a * a, {{kOpen, kOpen, -2}, {1, 6}}) + 1", [a], (a * a)[::-2, 1:6] + t(1))
    case("reshape(transpose(a + c), {5, 7}) * a", [a, b, c], (a + c).T.reshape(5, 7) * a)
    case("roll(a, 2, 1) - roll(a, -1, 0)", [a], np.roll(a, 2, 1) - np.roll(a, -1, 0))
    case("matmul(relu(a), b - c[0])", [a, b, c], np.maximum(a, t(0)) @ (b - c[0]))
    case("split(a * 3, {2, 5}, 1)", [a], [(a * t(3))[:, :2], (a * t(3))[:, 2:]])
    case("stack({a, a + 1, a * c}, 2)", [a, b, c], np.stack([a, a + t(1), a * c], 2))
    case("argmax(a * a, 1) + argmin(a, 1)", [a], np.argmax(a * a, 1) + np.argmin(a, 1))
    case("sum(where(a > broadcast_to(c, {5, 7}), a, 0), 0)", [a, b, c], np.where(a > c, a, t(0)).sum(0, dtype=t))
    case("cast(cast(a, f32) * 2.0, i32) + iota({5, 7}, 1)", [a], a.astype(np.int32) * 2 + np.arange(7, dtype=np.int32))
    case("sum(a, 0) + sum(sum(a, 1))", [a], a.sum(0, dtype=t) + a.sum(dtype=t))
# Big enough to be split between threads; the values stay exact.
for dtype in ["f32", "u8"]:
    t = DTYPES[dtype]
    a = small((1031,), dtype)
    wide = np.broadcast_to(a, (513, 1031)).astype(t)
    text = f"iota({{513, 1}}, 0, {dtype})"
    rows = np.arange(513).astype(t)[:, None]
    big = wide * t(2) + rows
    case(f"slice(sum(a * 2 + {text}, 0), {{{{kOpen, kOpen, 7}}}})", [a], big.sum(0, dtype=t)[::7])
    case(f"slice(sum(a * 2 + {text}, 1), {{{{kOpen, kOpen, -5}}}})", [a], big.sum(1, dtype=t)[::-5])
    case(f"max(a * 2 + {text})", [a], big.max())
    case(f"slice(transpose(a * 2 + {text}), {{{{kOpen, kOpen, 101}}, {{kOpen, kOpen, -67}}}})", [a],
         big.T[::101, ::-67])
a = small((65,), "f32")
left, right = a[None] + np.arange(65, dtype=np.float32)[:, None], a[:, None] * np.ones((1, 77), np.float32)
case("sum(matmul(a + iota({65, 1}, 0, f32), expand_dims(a, 1) * ones({1, 77})), 1)", [a], (left @ right).sum(1))


# ---- Selection -------------------------------------------------------------------------------------------------------

def top_k(x, k, axis=-1):
    """NaN first, then descending; the lower index first where elements are equal."""
    x = np.moveaxis(x, axis, -1)
    rows = x.reshape(-1, x.shape[-1])
    order = [sorted(range(x.shape[-1]), key=lambda i: (row[i] == row[i], -row[i].item(), i))[:k] for row in rows]
    indices = np.array(order, np.int64).reshape(x.shape[:-1] + (k,))
    return [np.moveaxis(y, -1, axis) for y in [np.take_along_axis(x, indices, -1), indices]]


for dtype in NUMERIC:
    x = small((3, 5, 7), dtype) % DTYPES[dtype](6)
    if dtype in FLOATS:
        x[0, 0, :4], x[1, 2, 3:], x[2, :2, 0] = [nan, inf, -inf, nan], [-0.0, 0.0, -0.0, 0.0], -inf
    for k in [0, 1, 3]:
        case(f"top_k(a, {k})", [x], top_k(x, k))
    case("top_k(a, 3)", [small((2, 300), dtype)], top_k(small((2, 300), dtype), 3))
    case("top_k(a, 3)", [np.zeros((0, 4), DTYPES[dtype])], top_k(np.zeros((0, 4), DTYPES[dtype]), 3))
    case("top_k(a, 5, 1)", [x], top_k(x, 5, 1))
    case("top_k(a, 2, 0)", [x], top_k(x, 2, 0))
    case("top_k(a * 2, 3, -2)", [x], top_k(x * DTYPES[dtype](2), 3, -2))
    case("top_k(transpose(a), 2)", [x], top_k(x.T, 2))
    case("top_k(a, 3).indices + top_k(a, 3).indices", [x], 2 * top_k(x, 3)[1])

for dtype in FLOATS + ["i32", "u8", "u64"]:
    x = small((3, 4, 6), dtype) % DTYPES[dtype](6)
    if dtype in FLOATS:
        x[0, 0, :4], x[1, 2, 2:], x[2, :2, 0] = [nan, inf, -inf, nan], [-0.0, 0.0, -0.0, 0.0], -inf
    for axis, text in [(-1, ""), (1, ", 1"), (0, ", 0")]:
        indices = np.argsort(x, axis, kind="stable")
        case(f"sort(a{text})", [x], np.take_along_axis(x, indices, axis))
        case(f"argsort(a{text})", [x], indices)
    case("sort(a, -1, Direction::descending)", [x], top_k(x, 6)[0])
    case("argsort(a, -2, Direction::descending)", [x], top_k(x, 4, -2)[1])

# ---- Indices ---------------------------------------------------------------------------------------------------------

for dtype in ["f32", "i64", "u8", "boolean"]:
    t = DTYPES[dtype]
    x = small((3, 5, 4), dtype)
    for index in [np.int64([2, 0, 2]), np.int32([[1, 1], [0, 2]]), np.uint8([1]), np.int64(2), np.zeros((2, 0), np.int32)]:
        case("gather(a, b)", [x, index], np.take(x, index, 0))
    index = np.int32([[3, 0], [1, 1], [2, 3]])
    for axis in [1, -1]:
        case(f"gather(a, b, {axis})", [x, index], np.take(x, index, axis))
    case("gather(a, b * 2 - 1, 1)", [x, index[1:] % 2 + 1], np.take(x, index[1:] % 2 * 2 + 1, 1))
    case("transpose(gather(a, b, 1), {2, 3, 0, 1})", [x, index], np.take(x, index, 1).transpose(2, 3, 0, 1))
    case("gather(gather(a, b, 1), c, 2)", [x, index, np.int64([1, 0, 1])], np.take(np.take(x, index, 1), [1, 0, 1], 2))
    case("gather(a, b)", [np.zeros((0, 3), t), np.zeros((0,), np.int32)], np.zeros((0, 3), t))
    case("gather(a, b)", [np.zeros((2, 0), t), np.int32([1, 0, 7])], np.zeros((3, 0), t))
for dtype in ["f32", "u8"]:
    t = DTYPES[dtype]
    x, index = small((9, 21), dtype), np.random.default_rng(8).integers(0, 9, 19).astype(np.int32)
    case("gather(a, b) * 2 + 1", [x, index], x[index] * t(2) + t(1))
    case("gather(a, b, 1) * 2 + 1", [x, index], x[:, index] * t(2) + t(1))
    case("sum(gather(a, b), 0)", [x, index], x[index].sum(0, dtype=t))
    case("sum(gather(a, b, 1), 1)", [x, index], x[:, index].sum(1, dtype=t))
    case("max(gather(a, b), 1)", [x, index], x[index].max(1))
    case("sum(gather(a, b) + gather(a, b % 3), -1)", [x, index], (x[index] + x[index % 3]).sum(-1, dtype=t))
    column, place = small((100,), dtype), np.random.default_rng(9).integers(0, 100, 83)
    case("gather(a, b) * 2 + 1", [column, place], column[place] * t(2) + t(1))
    case("sum(gather(a, b))", [column, place], column[place].sum(dtype=t))
    case("matmul(gather(a, b), transpose(a))", [x % t(3), index], (x % t(3))[index] @ (x % t(3)).T)


def added(x, index, updates, axis):
    """In the order of the indices, in the dtype."""
    x, rank = np.moveaxis(x.copy(), axis, 0), np.ndim(index)
    updates = np.moveaxis(updates, range(axis, axis + rank), range(rank))
    for place in np.ndindex(np.shape(index)):
        x[index[place]] = x[index[place]] + updates[place]
    return np.moveaxis(x, 0, axis)


for dtype in FLOATS + ["i32", "u8", "u64"]:
    t = DTYPES[dtype]
    numbers = np.random.default_rng(3)
    draw = (lambda shape: numbers.standard_normal(shape).astype(t)) if dtype in FLOATS else \
           (lambda shape: (numbers.integers(0, 256, shape) * 19088743).astype(t))
    x, index = draw((4, 3, 2)), np.int32([[1, 3], [1, 1], [0, 1]])
    for axis, shape in [(0, (3, 2, 3, 2)), (1, (4, 3, 2, 2)), (2, (4, 3, 3, 2))]:
        here = index % x.shape[axis]
        updates = draw(shape)
        text = f", {axis}" if axis else ""
        case(f"scatter_add(a, b, c{text})", [x, here, updates], added(x, here, updates, axis))
    row = draw((3, 2))
    case("scatter_add(a, b, c)", [x, np.int64(2), row], added(x, np.int64(2), row, 0))
    case("scatter_add(a, b, c)", [x, np.zeros((0,), np.int32), np.zeros((0, 3, 2), t)], x)
    case("scatter_add(a, b, c)", [np.zeros((0, 3), t), np.zeros((0,), np.int32), np.zeros((0, 3), t)], np.zeros((0, 3), t))
    wide, many = draw((3, 21)), numbers.integers(0, 3, 11).astype(np.uint8)
    updates = draw((11, 21))
    case("scatter_add(a, b, c)", [wide, many, updates], added(wide, many, updates, 0))
    case("scatter_add(zeros_like(a), b, c * 2) * 2", [wide, many, updates],
         added(np.zeros_like(wide), many, updates * t(2), 0) * t(2))
    for axis, text in [(0, ""), (1, ", 1"), (-1, ", -1")]:
        case(f"cumsum(a{text})", [x], np.cumsum(x, axis, dtype=t))
    case("cumsum(a)", [np.zeros((0, 3), t)], np.zeros((0, 3), t))
    case("cumsum(a, 1)", [wide], np.cumsum(wide, 1, dtype=t))
    case("cumsum(a, 0, {.reverse = true})", [x], np.flip(np.cumsum(np.flip(x, 0), 0, dtype=t), 0))
    shifted = np.concatenate([np.zeros_like(x[:, :1]), np.cumsum(x, 1, dtype=t)[:, :-1]], 1)
    case("cumsum(a, 1, {.exclusive = true})", [x], shifted)
    back = np.flip(np.cumsum(np.flip(x, 2), 2, dtype=t), 2)
    case("cumsum(a * 2, -1, {.exclusive = true, .reverse = true}) + 1", [x],
         np.concatenate([back[:, :, 1:], np.zeros_like(x[:, :, :1])], 2) * t(2) + t(1))
    for axis, text in [(0, ""), (1, ", 1"), (-1, ", -1")]:
        for index in [-7, 0, 1, 9]:
            count = 2
            first = min(max(index, 0), x.shape[axis] - count)
            part = np.take(x, range(first, first + count), axis)
            case(f"dynamic_slice(a, b, 2{text})", [x, np.int32(index)], part)
            changed = np.moveaxis(x.copy(), axis, 0)
            changed[first:first + count] = np.moveaxis(np.flip(part, 0), axis, 0)
            case(f"update_slice(a, c, b{text})", [x, np.int64(index), np.flip(part, 0)], np.moveaxis(changed, 0, axis))
    panel = draw((3, 70))
    case("cumsum(a)", [panel], np.cumsum(panel, 0, dtype=t))
index = np.array([[2, 0, -1], [1, 4, 3]])
flags = index[..., None] == np.arange(4)
for dtype in INTS:
    if dtype in ["u8", "u32", "u64"]:
        continue
    here = index.astype(DTYPES[dtype])
    case("one_hot(a, 4)", [here], flags.astype(np.float32))
    case("one_hot(a, 4, f64, 0)", [here], np.moveaxis(flags, -1, 0).astype(np.float64))
    case("one_hot(a, 4, boolean, 1)", [here], np.moveaxis(flags, -1, 1))
    case("one_hot(a, 0, i32)", [here], np.zeros((2, 3, 0), np.int32))
case("one_hot(a, 4, i64)", [np.uint8(3)], np.int64([0, 0, 0, 1]))

# ---- Sums of products by letters -------------------------------------------------------------------------------------

for dtype in ["f32", "f64", "i32"]:
    t = DTYPES[dtype]
    numbers = np.random.default_rng(4)
    draw = lambda *shape: numbers.integers(0, 4, shape).astype(t)
    a, b, c = draw(3, 4), draw(4, 5), draw(5, 2)
    for text, operands in [("ij,jk->ik", [a, b]), ("ij,jk", [a, b]), ("ij,jk->ki", [a, b]), ("ij,jk,kl->il", [a, b, c]),
                           ("ij,jk,kl->li", [a, b, c]), ("ij,kl->ijkl", [a, c]), ("ij->ji", [a]), ("ij->", [a]),
                           ("ij->j", [a]), ("ij, ij -> i", [a, a]), ("ij,ij", [a, a]), ("ij,ij->ji", [a, a]),
                           ("i,i", [a[0], a[0]]), ("i,j->ij", [a[0], b[0]]), (",ij->ij", [t(3), a]),
                           ("ba,bc", [draw(4, 3), draw(4, 5)]),
                           ("ii->i", [draw(4, 4)]), ("ii", [draw(4, 4)]), ("iij->ji", [draw(3, 3, 2)]),
                           ("iii->i", [draw(3, 3, 3)]), ("ijij,jk->ik", [draw(2, 3, 2, 3), draw(3, 2)]),
                           ("bij,bjk->bik", [draw(2, 3, 4), draw(2, 4, 5)]),
                           ("bhtd,bhsd->bhts", [draw(2, 2, 3, 4), draw(2, 2, 5, 4)]),
                           ("btE,Ehd->bhtd", [draw(2, 3, 4), draw(4, 2, 3)]),
                           ("...ij,...jk->...ik", [draw(2, 1, 3, 4), draw(5, 4, 2)]), ("...ij,jk", [draw(2, 3, 4), draw(4, 2)]),
                           ("...i->...", [draw(2, 3)]), ("i...->...", [draw(2, 3, 2)]), ("...,...->...", [draw(3, 1), draw(2)]),
                           ("ij,jk->ik", [draw(2, 0), draw(0, 3)]), ("ij,j->i", [draw(0, 2), draw(2)])]:
        names = ", ".join("abc"[:len(operands)])
        case(f'einsum("{text}", {names})', operands, np.asarray(np.einsum(text, *operands), t))
    x, y = draw(2, 3, 4), draw(3, 4, 5)
    case("tensordot(a, b)", [x, y], np.tensordot(x, y))
    case("tensordot(a, b, 1)", [a, b], np.tensordot(a, b, 1))
    case("tensordot(a, b, 0)", [a, c], np.tensordot(a, c, 0))
    case("tensordot(a, b, {1, 2}, {0, 1})", [x, y], np.tensordot(x, y, ((1, 2), (0, 1))))
    case("tensordot(a, b, {-1, 1}, {1, 0})", [x, y], np.tensordot(x, y, ((-1, 1), (1, 0))))


def attention(q, k, v, mask=True, scale=None):
    scores = np.einsum("...td,...sd->...ts", q, k) * (1 / np.sqrt(LONG(q.shape[-1])) if scale is None else scale)
    scores = np.where(mask, scores, LONG(-1e9))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("...ts,...sm->...tm", weights / weights.sum(-1, keepdims=True), v)


for dtype in FLOATS:
    q, k, v = random((2, 3, 4), dtype), random((2, 5, 4), dtype, 1), random((2, 5, 6), dtype, 2)
    wide = [x.astype(LONG) for x in (q, k, v)]
    bound = 64 * LONG(np.finfo(DTYPES[dtype]).eps) * np.abs(v).max()
    name = "scaled_dot_product_attention"
    case(f"{name}(a, b, c)", [q, k, v], attention(*wide).astype(DTYPES[dtype]), ulp=1, absolute=bound)
    case(f"{name}(a, b, c, {{.causal = true}})", [q, k, v],
         attention(*wide, mask=np.tril(np.ones((3, 5), bool))).astype(DTYPES[dtype]), ulp=1, absolute=bound)
    case(f"{name}(a, b, c, {{.mask = iota({{3, 5}}, 1) > 1, .scale = 0.25}})", [q, k, v],
         attention(*wide, mask=np.arange(5) > 1, scale=LONG(0.25)).astype(DTYPES[dtype]), ulp=1, absolute=bound)
    case(f"{name}(a, b, c, {{.mask = iota({{3, 5}}, 0) > 0}})", [q, k, v],  # the first query sees nothing
         attention(*wide, mask=(np.arange(3) > 0)[:, None]).astype(DTYPES[dtype]), ulp=1, absolute=bound)

path = pathlib.Path(__file__).with_name("expected.txt")
path.write_text("\n".join(lines) + "\n")
print(f"{path.name}: {sum(line.startswith('case ') for line in lines)} cases, {path.stat().st_size} bytes")
