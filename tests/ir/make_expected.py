#!/usr/bin/env python3
"""Writes tests/ir/expected.txt: graphs, inputs and the outputs that NumPy, mpmath and Python's integers give for them.

Needs python3-numpy and python3-mpmath. Run it from anywhere: the file is written beside this script. Each case is

  case NAME ulp=N        outputs may be N units in the last place off; 0 asks for equal bits (any NaN is NaN)
  graph(...) {...}
  in VALUES...           one line per input, row-major; floats in hexadecimal
  out VALUES...          one line per output
"""
import itertools
import math
import pathlib
import re

import mpmath
import numpy as np

mpmath.mp.prec = 400
np.seterr(all="ignore")

DTYPES = {"f32": np.float32, "f64": np.float64, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
          "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "bool": np.bool_, "f16": np.float16}
NAMES = {np.dtype(t): name for name, t in DTYPES.items()}
FLOATS = ["f32", "f64"]
SHORT = ["f16", "bf16"]  # computed in f32 and rounded
INTS = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]


class Bfloat16(np.ndarray):
    """float32 numbers that are numbers of bf16, which NumPy lacks."""

lines = ["# Written by make_expected.py; do not edit."]


def type_of(array):
    name = "bf16" if isinstance(array, Bfloat16) else NAMES[array.dtype]
    return name + "[" + ",".join(map(str, array.shape)) + "]"


def text_of(value):
    if isinstance(value, (np.floating, float)):
        value = float(value)
        return "nan" if value != value else re.sub(r"\.?0*p", "p", value.hex())
    return str(int(value))


def case(name, inputs, body, outputs, ulp=0):
    """`body` are the nodes after the inputs, or pairs of a node and how many results it has; the last len(outputs) of
    their results are returned."""
    inputs = [np.asanyarray(x) for x in inputs]
    outputs = [np.asanyarray(x) for x in outputs]
    lines.append(f"case {name} ulp={ulp}")
    lines.append("graph(" + ", ".join(f"%{i}: {type_of(x)}" for i, x in enumerate(inputs)) + ") {")
    count = len(inputs)
    for node in body:
        node, results = node if isinstance(node, tuple) else (node, 1)
        lines.append("  " + ", ".join(f"%{count + i}" for i in range(results)) + f" = {node}")
        count += results
    lines.append("  return " + ", ".join(f"%{count - len(outputs) + i}" for i in range(len(outputs))))
    lines.append("}")
    for word, arrays in (("in", inputs), ("out", outputs)):
        for array in arrays:
            lines.append(" ".join([word] + [text_of(v) for v in array.reshape(-1)]))


def one_op(name, op, inputs, output, ulp=0, attributes=""):
    inputs = [np.asanyarray(x) for x in inputs]
    operands = ", ".join(f"%{i}" for i in range(len(inputs)))
    head = f"{op}({operands})" if inputs else op
    case(name, inputs, [f"{head}{attributes} : {type_of(np.asanyarray(output))}"], [output], ulp)


# ---- Values ----------------------------------------------------------------------------------------------------------

def limits(dtype):
    info = np.finfo(DTYPES[dtype])
    return [info.smallest_subnormal, info.tiny - info.smallest_subnormal, info.tiny, info.max]


def unary_floats(dtype):
    t = DTYPES[dtype]
    values = [0.0, -0.0, np.inf, -np.inf, np.nan]
    for v in limits(dtype):
        values += [v, -v]
    values += [np.nextafter(t(1), t(2)), np.nextafter(t(1), t(0)), -np.nextafter(t(1), t(0))]
    for v in [0.5, 1, 1.5, 2, 2.5, 3, 0.1, 0.3, 0.9, 1e-5, 1e-20, 7.7, 33.3, 88.5, 709.5, 1e10, 1e30]:
        values += [v, -v]
    values += [1.4616321449683623, -0.5040830082644554, 1.5707963267948966, 3.141592653589793, -103.5, -744.5]
    if dtype == "f64":
        values += [float(6381956970095103) * 2.0**797]  # the double nearest to a multiple of pi / 2
    return np.array(values, t)


def binary_floats(dtype):
    info = np.finfo(DTYPES[dtype])
    return np.array([0.0, -0.0, 1, -1, 2.5, -3, 0.1, np.inf, -np.inf, np.nan, info.smallest_subnormal, -info.max],
                    DTYPES[dtype])


def special_ints(dtype):
    info = np.iinfo(DTYPES[dtype])
    values = {0, 1, -1, 2, -3, 7, 8, 32, info.min, info.min + 1, info.max}
    if dtype in ("i64", "u64"):
        values.add(63)
    return np.array(sorted(v for v in values if info.min <= v <= info.max), DTYPES[dtype])


# ---- Rounding --------------------------------------------------------------------------------------------------------

# Significant bits, the power of the least number, and the power that is too large.
PRECISION = {"f16": (11, -24, 16), "bf16": (8, -133, 128), "f32": (24, -149, 128), "f64": (53, -1074, 1024)}


def rounded(value, dtype):
    """The multiprecision number correctly rounded (ties to even); a bf16 as np.float32."""
    t = np.float32 if dtype == "bf16" else DTYPES[dtype]
    if not isinstance(value, mpmath.mpf):
        value = mpmath.mpf(value) if not isinstance(value, mpmath.mpc) else mpmath.nan
    if mpmath.isnan(value):
        return t(np.nan)
    if mpmath.isinf(value):
        return t(np.inf if value > 0 else -np.inf)
    digits, least, largest = PRECISION[dtype]
    sign, mantissa, exponent, _ = value._mpf_
    mantissa = int(mantissa)
    result = 0.0
    top = mantissa.bit_length() + exponent
    if top > largest:
        result = np.inf
    elif mantissa and top >= least:
        unit = max(top - digits, least)
        shift = unit - exponent
        if shift > 0:
            quotient, rest = divmod(mantissa, 1 << shift)
            half = 1 << (shift - 1)
            quotient += rest > half or (rest == half and quotient & 1)
        else:
            quotient = mantissa << -shift
        result = np.inf if quotient.bit_length() + unit > largest else float(np.ldexp(float(quotient), unit))
    return t(-result if sign else result)


def array_of(values, dtype):
    """Rounded once from numbers of any type."""
    if dtype not in SHORT:
        return np.array(values, DTYPES[dtype])
    values = np.array(values, np.longdouble)
    result = np.empty(values.shape, np.float32)
    for index in np.ndindex(*values.shape):
        v = values[index]
        plain = np.isfinite(v) and v != 0
        result[index] = rounded(mp.mpf(int(v)) if v == np.floor(v) else mp.mpf(float(v)), dtype) if plain else v
    return result.view(Bfloat16) if dtype == "bf16" else result.astype(np.float16)


def is_plain(*values):
    """Neither zero (it has a sign, which mpmath lacks), nor infinite, nor NaN."""
    return all(np.isfinite(v) and v != 0 for v in values)


# ---- Elementwise ops on floats ---------------------------------------------------------------------------------------

def with_table(table):
    return lambda x: table["nan" if x != x else "0" if x == 0 and not np.signbit(x) else str(float(x))]


inf, nan, mp = np.inf, np.nan, mpmath.mp


def erf_inv(x):
    """Newton's method from mpmath's own start, which alone is too short near 1."""
    if abs(x) > 1:
        return mpmath.nan
    if abs(x) == 1:
        return mpmath.inf * x
    y = mp.erfinv(x)
    for _ in range(3):
        y -= (mp.erf(y) - x) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
    return y


def log_gamma(x):
    if x <= 0 and x == mp.floor(x):
        return mpmath.inf
    return mp.log(abs(mp.gamma(x))) if x < 1000 and x > -1000 else mp.re(mp.loggamma(x))


def digamma(x):
    return mpmath.nan if x <= 0 and x == mp.floor(x) else mp.psi(0, x)


# op: (function of plain numbers in multiprecision, function of the others)
UNARY = {
    "rsqrt": (lambda x: 1 / mp.sqrt(x), with_table({"0": inf, "-0.0": -inf, "inf": 0.0, "-inf": nan, "nan": nan})),
    "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), np.cbrt),
    "exp": (mp.exp, np.exp),
    "exp2": (lambda x: mp.mpf(2) ** x, np.exp2),
    "expm1": (lambda x: mp.expm1(x), np.expm1),
    "log": (mp.log, np.log),
    "log2": (lambda x: mp.log(x) / mp.log(2), np.log2),
    "log10": (lambda x: mp.log(x) / mp.log(10), np.log10),
    "log1p": (lambda x: mp.log1p(x) if x > -1 else -mpmath.inf if x == -1 else mpmath.nan, np.log1p),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)),
                with_table({"0": 0.5, "-0.0": 0.5, "inf": 1.0, "-inf": 0.0, "nan": nan})),
    "softplus": (lambda x: max(x, 0) + mp.log1p(mp.exp(-abs(x))),
                 with_table({"0": np.log(2.0), "-0.0": np.log(2.0), "inf": inf, "-inf": 0.0, "nan": nan})),
    "sin": (mp.sin, np.sin),
    "cos": (mp.cos, np.cos),
    "tan": (mp.tan, np.tan),
    "asin": (mp.asin, np.arcsin),
    "acos": (mp.acos, np.arccos),
    "atan": (mp.atan, np.arctan),
    "sinh": (mp.sinh, np.sinh),
    "cosh": (mp.cosh, np.cosh),
    "tanh": (mp.tanh, np.tanh),
    "asinh": (lambda x: mp.sign(x) * mp.asinh(abs(x)), np.arcsinh),
    "acosh": (mp.acosh, np.arccosh),
    "atanh": (lambda x: mp.atanh(x) if abs(x) < 1 else mpmath.inf * x if abs(x) == 1 else mpmath.nan, np.arctanh),
    "erf": (lambda x: mp.erf(x) if abs(x) < 100 else mp.sign(x),
            with_table({"0": 0.0, "-0.0": -0.0, "inf": 1.0, "-inf": -1.0, "nan": nan})),
    "erfc": (lambda x: mp.erfc(x) if abs(x) < 100 else mp.mpf(1 - mp.sign(x)),
             with_table({"0": 1.0, "-0.0": 1.0, "inf": 0.0, "-inf": 2.0, "nan": nan})),
    "erf_inv": (erf_inv, with_table({"0": 0.0, "-0.0": -0.0, "inf": nan, "-inf": nan, "nan": nan})),
    "lgamma": (log_gamma, with_table({"0": inf, "-0.0": inf, "inf": inf, "-inf": inf, "nan": nan})),
    "digamma": (digamma, with_table({"0": nan, "-0.0": nan, "inf": inf, "-inf": nan, "nan": nan})),
}
for dtype in FLOATS:
    x = unary_floats(dtype)
    for op, (exact, special) in UNARY.items():
        def value(v):
            if not is_plain(v):
                return DTYPES[dtype](special(v))
            # expm1, tanh and the like cancel by as many bits as the argument has zeros in front.
            with mpmath.workprec(2600 if abs(v) < 1e-30 else 400):
                result = exact(mp.mpf(float(v)))
            if not isinstance(result, mpmath.mpc) and result == 0:
                return DTYPES[dtype](0)
            return rounded(result, dtype)
        one_op(f"{op} {dtype}", op, [x], np.array([value(v) for v in x]), ulp=1)

EXACT_UNARY = {"neg": np.negative, "abs": np.abs, "sign": np.sign, "stop_gradient": np.copy, "sqrt": np.sqrt,
               "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint,
               "is_nan": np.isnan, "is_inf": np.isinf, "is_finite": np.isfinite}
for dtype in FLOATS:
    x = np.concatenate([unary_floats(dtype), np.array([3.5, -3.5, 4.5, 0.49999997, 8388609.0, 4503599627370497.5],
                                                      DTYPES[dtype])])
    for op, function in EXACT_UNARY.items():
        one_op(f"{op} {dtype}", op, [x], function(x))


def elementwise(function, dtype):
    return lambda a, b: np.array([[function(x, y) for y in b[0]] for x in a[:, 0]], dtype)


def exact_min(x, y):
    return nan if x != x or y != y else y if y < x else x


def exact_max(x, y):
    return nan if x != x or y != y else y if y > x else x


def exact_fma(dtype):
    def of(x, y, z):
        if not np.isfinite(x) or not np.isfinite(y) or x == 0 or y == 0:
            return x * y + z
        if not np.isfinite(z):
            return z
        with mpmath.workprec(4600):
            return rounded(mpmath.mpf(float(x)) * mpmath.mpf(float(y)) + mpmath.mpf(float(z)), dtype)
    return of


COMPARE = {"equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
           "greater": np.greater, "greater_equal": np.greater_equal}
for dtype in FLOATS:
    t = DTYPES[dtype]
    a = binary_floats(dtype)[:, None]
    b = binary_floats(dtype)[None, :]
    exact = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
             "floor_div": lambda x, y: np.floor(x / y), "trunc_div": lambda x, y: np.trunc(x / y),
             "floor_mod": np.mod, "trunc_mod": np.fmod, "nextafter": np.nextafter, "copysign": np.copysign,
             "multiply_no_nan": lambda x, y: np.where(y == 0, t(0), x * y),
             "min": elementwise(exact_min, t), "max": elementwise(exact_max, t), **COMPARE}
    for op, function in exact.items():
        one_op(f"{op} {dtype}", op, [a, b], function(a, b))
    sums = [[[exact_fma(dtype)(x, y, z) for y in b[0]] for x in a[:, 0]] for z in a[:, 0]]
    one_op(f"fma {dtype}", "fma", [a, b, a[:, :, None]], np.array(sums, t))
    exact_of = {"hypot": (lambda x, y: mp.sqrt(x * x + y * y), np.hypot), "pow": (lambda x, y: x ** y, np.power),
                "atan2": (mp.atan2, np.arctan2)}
    for op, (exact_function, special) in exact_of.items():
        def of_pair(x, y):
            if not is_plain(x, y):
                return t(special(x, y))
            with mpmath.workprec(2600):
                return rounded(exact_function(mp.mpf(float(x)), mp.mpf(float(y))), dtype)
        one_op(f"{op} {dtype}", op, [a, b], elementwise(of_pair, t)(a, b), ulp=1)

# ---- Elementwise ops on integers -------------------------------------------------------------------------------------


def wrapped(value, dtype):
    bits = 8 * DTYPES[dtype]().itemsize
    value &= (1 << bits) - 1
    if not dtype.startswith("u") and value >> (bits - 1):
        value -= 1 << bits
    return DTYPES[dtype](value)


def truncating(x, y):
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def int_pow(x, y):
    if y < 0:
        return {1: 1, -1: -1 if y & 1 else 1}.get(x, 0)
    return pow(x, y, 1 << 64)


for dtype in INTS:
    bits = 8 * DTYPES[dtype]().itemsize
    values = special_ints(dtype)
    a, b = values[:, None], values[None, :]
    binary = {
        "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
        "floor_div": lambda x, y: x // y if y else -1, "floor_mod": lambda x, y: x % y if y else x,
        "trunc_div": lambda x, y: truncating(x, y) if y else -1,
        "trunc_mod": lambda x, y: x - y * truncating(x, y) if y else x,
        "min": min, "max": max, "pow": int_pow,
        "bitwise_and": lambda x, y: x & y, "bitwise_or": lambda x, y: x | y, "bitwise_xor": lambda x, y: x ^ y,
        "shift_left": lambda x, y: x << y if 0 <= y < bits else 0,
        "shift_right": lambda x, y: x >> (y if 0 <= y < bits else bits),
        "shift_right_logical": lambda x, y: (x & ((1 << bits) - 1)) >> y if 0 <= y < bits else 0,
    }
    for op, function in binary.items():
        result = [[wrapped(function(int(x), int(y)), dtype) for y in values] for x in values]
        one_op(f"{op} {dtype}", op, [a, b], np.array(result, DTYPES[dtype]))
    for op, function in COMPARE.items():
        one_op(f"{op} {dtype}", op, [a, b], function(a, b))
    unary = {"neg": lambda x: -x, "abs": abs, "sign": lambda x: (x > 0) - (x < 0), "bitwise_not": lambda x: ~x,
             "stop_gradient": lambda x: x, "popcount": lambda x: bin(x & ((1 << bits) - 1)).count("1"),
             "clz": lambda x: bits - (x & ((1 << bits) - 1)).bit_length()}
    for op, function in unary.items():
        result = [wrapped(function(int(x)), dtype) for x in values]
        one_op(f"{op} {dtype}", op, [values], np.array(result, DTYPES[dtype]))

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
    one_op(f"{op} u64", op, COLUMNS, halves)

truth = np.array([False, True])
for op, function in {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
                     "equal": np.equal, "not_equal": np.not_equal}.items():
    one_op(f"{op} bool", op, [truth[:, None], truth[None, :]], function(truth[:, None], truth[None, :]))
one_op("logical_not bool", "logical_not", [truth], ~truth)

for dtype in [*DTYPES, "bf16"]:
    x = array_of([0, 1, 1], dtype)
    y = array_of([[1], [0]], dtype)
    condition = np.array([True, False, True])
    one_op(f"where {dtype}", "where", [condition, x, y], array_of(np.where(condition, x, y), dtype))

# ---- 16-bit floats: computed in f32 and rounded ------------------------------------------------------------------------


def short_floats(dtype):
    digits, least, largest = PRECISION[dtype]
    one = 2.0 ** (1 - digits)
    values = [0.0, -0.0, inf, -inf, nan]
    for v in [2.0**least, 3 * 2.0**least, 2.0 ** (least + digits - 1), 2.0**largest - 2.0 ** (largest - digits), 1 + one,
              1 - one / 2, 0.5, 1.5, 2, 2.5, 3, 0.1, 0.3, 0.9, 1e-3, 7.7, 33.3, 88.5, 300, 1e4]:
        values += [v, -v]
    return array_of(values, dtype)


def nextafter(x, y, dtype):
    """The neighbour among the multiples of the unit of x's size."""
    if x != x or y != y or x == y:
        return x + y if x != y else y
    digits, least, largest = PRECISION[dtype]
    if x == 0:
        return np.copysign(2.0**least, y)
    if np.isinf(x):
        return np.copysign(2.0**largest - 2.0 ** (largest - digits), x)
    fraction, power = np.frexp(np.float64(abs(x)))
    outward = abs(y) > abs(x) and (x < 0) == (y < 0)
    unit = 2.0 ** max(power - digits - (fraction == 0.5 and not outward), least)
    result = abs(np.float64(x)) + (unit if outward else -unit)
    return np.copysign(inf if result >= 2.0**largest else result, x)


for dtype in SHORT:
    x = short_floats(dtype)
    wide = np.asarray(x, np.float32)
    for op, (exact, special) in UNARY.items():
        if dtype == "f16" and op not in ("exp", "log", "tanh", "rsqrt"):
            continue  # the same code as bf16

        def value(v):
            if not is_plain(v):
                return np.float32(special(v))
            result = exact(mp.mpf(float(v)))
            return np.float32(0) if not isinstance(result, mpmath.mpc) and result == 0 else rounded(result, "f32")
        one_op(f"{op} {dtype}", op, [x], array_of([value(v) for v in wide], dtype), ulp=1)
    for op, function in EXACT_UNARY.items():
        result = function(wide)
        one_op(f"{op} {dtype}", op, [x], result if result.dtype == np.bool_ else array_of(result, dtype))
    a, b = x[::4][:, None], x[1::5][None, :]
    wide_a, wide_b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    exact = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
             "floor_div": lambda x, y: np.floor(x / y), "trunc_div": lambda x, y: np.trunc(x / y),
             "floor_mod": np.mod, "trunc_mod": np.fmod,
             "nextafter": elementwise(lambda x, y: nextafter(x, y, dtype), np.float64),
             "min": elementwise(exact_min, np.float32), "max": elementwise(exact_max, np.float32)}
    for op, function in exact.items():
        one_op(f"{op} {dtype}", op, [a, b], array_of(function(wide_a, wide_b), dtype))
    for op, function in COMPARE.items():
        one_op(f"{op} {dtype}", op, [a, b], function(wide_a, wide_b))

# ---- cast, bitcast, iota, constant -----------------------------------------------------------------------------------


def cast(value, dtype):
    if dtype == "bool":
        return value != 0
    if dtype in FLOATS:
        return DTYPES[dtype](value)
    if dtype in SHORT:
        if isinstance(value, np.floating):
            return value if value == 0 or not np.isfinite(value) else rounded(mp.mpf(float(value)), dtype)
        return rounded(mp.mpf(int(value)), dtype) if value else 0.0
    if not isinstance(value, np.floating):
        return wrapped(int(value), dtype)
    info = np.iinfo(DTYPES[dtype])
    if value != value:
        return DTYPES[dtype](0)
    return DTYPES[dtype](max(info.min, min(info.max, int(value))) if np.isfinite(value) else
                         info.max if value > 0 else info.min)


for source, target in itertools.product([*DTYPES, "bf16"], repeat=2):
    if source in SHORT:
        x = array_of([0.0, -0.0, 0.7, -1.5, 255.9, 256, -1, 65504, 65536, 4e9, 9.3e18, -9.3e18, 1e30, inf, -inf, nan,
                      2.0**-133, 2.0**-24, 3 * 2.0**-24], source)
    elif source in FLOATS:
        x = np.array([0.0, -0.0, 0.7, -0.7, 1.5, -1.5, 255.9, 256, -1, 2147483520, 2147483648, -2147483648, 4e9,
                      2.0**62, 9.3e18, -9.3e18, 1e30, inf, -inf, nan, 1e-45, 16777217, 0.1], DTYPES[source])
        if target in SHORT:  # halves between neighbours, and what is just beside them
            x = np.append(x, np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 65519, 65520, 2.0**-25, 2.0**-134,
                                       1 + 2.0**-8 + 2.0**-23, 3.3961775292304602e38], DTYPES[source]))
        if source == "f64":
            x = np.append(x, [1e300, -1e300, 1e-310, 1.00000005960464477540])
            if target in SHORT:  # an f32 in between would round twice
                x = np.append(x, [1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8 - 2.0**-40, 1 + 2.0**-11 + 2.0**-50,
                                  2.0**-25 + 2.0**-60, 65520 - 2.0**-30])
    elif source == "bool":
        x = truth
    else:
        x = special_ints(source)
        more = [16777217, 16777219, -16777217, 255, 256, 257, 258, 259, 2049, 2051, 65519, 65520]
        if source in ("i64", "u64"):
            more += [2**53 + 1, 2**53 + 3, 2**32, 2**24 + 2**40 + 1, 2**40 + 2**32 + 1, 2**62 + 2**54 + 1,
                     2**62 + 2**54 - 1, 2**63 + 2**55 + 1, -(2**62) - 2**54 - 1]
        info = np.iinfo(DTYPES[source])
        x = np.append(x, np.array([v for v in more if info.min <= v <= info.max], DTYPES[source]))
    if source == target == "bf16":
        result = x
    else:
        result = [cast(v, target) for v in np.asarray(x)]
    one_op(f"cast {source} {target}", "cast", [x], array_of(result, target))

for source, target in [("f32", "i32"), ("i32", "f32"), ("f64", "i64"), ("i64", "f64"), ("u8", "u8"), ("f64", "f64"),
                       ("u32", "f32"), ("f16", "i16"), ("i8", "u8")]:
    is_float = source in FLOATS + ["f16"]
    x = np.array([-0.0, 1.5, -2.25, inf, 1e-42], DTYPES[source]) if is_float else special_ints(source)
    one_op(f"bitcast {source} {target}", "bitcast", [x], x.view(DTYPES[target]))

for dtype in FLOATS + INTS:
    t = DTYPES[dtype]
    index = np.broadcast_to(np.arange(3, dtype=t)[:, None], (2, 3, 2))
    one_op(f"iota {dtype}", "iota", [], index, attributes=" axis=1")
for dtype in SHORT:
    one_op(f"iota {dtype}", "iota", [], array_of(np.arange(300), dtype), attributes=" axis=0")
one_op("iota wraps", "iota", [], np.arange(260).astype(np.uint8), attributes=" axis=0")
one_op("iota empty", "iota", [], np.zeros((0, 3), np.int64), attributes=" axis=0")
for dtype, value in [("f32", "-0"), ("f32", "1e-45"), ("f64", "0.1"), ("f64", "-inf"), ("i64", "-9223372036854775808"),
                     ("u8", "255"), ("bool", "true"), ("i32", "-7"), ("f32", "nan"), ("bf16", "0.1"), ("f16", "0.1"),
                     ("u64", "18446744073709551615"), ("i8", "-128"), ("u16", "65535"), ("bf16", "-inf")]:
    number = {"true": True}.get(value) or (float if dtype in SHORT else DTYPES[dtype])(value)
    full = array_of(np.full((2, 2), number), dtype)
    one_op(f"constant {dtype} {value}", "constant", [], full, attributes=f" value={value}")

# ---- Reductions ------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(1)


def fraction_sum(values, dtype):
    return rounded(mp.fsum([mp.mpf(float(v)) for v in values]), dtype)


def fraction_product(values, dtype):
    product = mp.mpf(1)
    for v in values:
        product *= mp.mpf(float(v))
    return rounded(product, dtype)


def reduced(x, axes, function, dtype):
    rest = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose(rest + list(axes)).reshape([x.shape[i] for i in rest] + [-1])
    result = np.empty(rows.shape[:-1], DTYPES[dtype])
    for index in np.ndindex(*result.shape):
        result[index] = function(rows[index])
    return result


def name_of(axes):
    return "[" + ",".join(map(str, axes)) + "]"


for axes in [(0,), (1,), (2,), (0, 2), (0, 1, 2)]:
    for dtype in FLOATS:
        x = (rng.standard_normal((3, 4, 5)) * 3).astype(DTYPES[dtype])
        for kind, function in [("sum", fraction_sum), ("prod", fraction_product)]:
            result = reduced(x, axes, lambda v: function(v, dtype), dtype)
            one_op(f"{kind} {dtype} {axes}", "reduce", [x], result, ulp=1,
                   attributes=f" kind={kind} axes={name_of(axes)}")
        for kind, function in [("max", np.max), ("min", np.min)]:
            one_op(f"{kind} {dtype} {axes}", "reduce", [x], function(x, axis=axes),
                   attributes=f" kind={kind} axes={name_of(axes)}")
    x = rng.integers(0, 256, (3, 4, 5))
    for dtype in INTS:
        y = x.astype(DTYPES[dtype]) if dtype.startswith("u") else ((x - 128) * 16909320).astype(DTYPES[dtype])
        for kind, function in [("sum", np.sum), ("prod", np.prod), ("max", np.max), ("min", np.min)]:
            extra = {"dtype": DTYPES[dtype]} if kind in ("sum", "prod") else {}
            one_op(f"{kind} {dtype} {axes}", "reduce", [y], function(y, axis=axes, **extra),
                   attributes=f" kind={kind} axes={name_of(axes)}")
    for kind, function, bound in [("any", np.any, 0.1), ("all", np.all, 0.9)]:
        y = rng.random((3, 4, 5)) < bound
        one_op(f"{kind} bool {axes}", "reduce", [y], function(y, axis=axes),
               attributes=f" kind={kind} axes={name_of(axes)}")
for axes in [(1,), (0, 2)]:
    for dtype in SHORT:  # sums and products round to 16 bits once
        x = array_of(rng.standard_normal((2, 30, 2)) * 3, dtype)
        wide = np.asarray(x, np.float32)
        for kind, function in [("sum", fraction_sum), ("prod", fraction_product)]:
            result = reduced(wide, axes, lambda v: function(v, "f32"), "f32")
            one_op(f"{kind} {dtype} {axes}", "reduce", [x], array_of(result, dtype),
                   attributes=f" kind={kind} axes={name_of(axes)}")
        for kind, function in [("max", np.max), ("min", np.min)]:
            one_op(f"{kind} {dtype} {axes}", "reduce", [x], array_of(function(wide, axis=axes), dtype),
                   attributes=f" kind={kind} axes={name_of(axes)}")
for kind, function in [("argmax", np.argmax), ("argmin", np.argmin)]:
    for dtype in SHORT:
        y = array_of(rng.integers(0, 4, (3, 7)), dtype)
        one_op(f"{kind} {dtype}", "reduce", [y], function(np.asarray(y, np.float32), axis=1).astype(np.int64),
               attributes=f" kind={kind} axes=[1]")
    for axis in range(3):
        for dtype in FLOATS + INTS:
            y = rng.integers(0, 4, (3, 4, 5)).astype(DTYPES[dtype])
            if dtype in FLOATS:
                y[1, 2, 3], y[2, 2, 3], y[1, 3, 3], y[0, 0, 0], y[0, 0, 1] = nan, nan, nan, -inf, inf
            one_op(f"{kind} {dtype} {axis}", "reduce", [y], function(y, axis=axis).astype(np.int64),
                   attributes=f" kind={kind} axes=[{axis}]")
    y = np.array([-0.0, 0.0, -0.0], np.float32)
    one_op(f"{kind} of zeros", "reduce", [y], function(y).astype(np.int64), attributes=f" kind={kind} axes=[0]")
    y = np.zeros((0, 3), np.float32)
    one_op(f"{kind} nowhere", "reduce", [y], np.zeros(0, np.int64), attributes=f" kind={kind} axes=[1]")
y = np.array([[nan, 1, inf], [1, nan, -inf], [2, -0.0, 0.0], [-1, -0.0, -2]], np.float32)
for kind, expected in [("sum", [nan, nan, 2, -3]), ("prod", [nan, nan, -0.0, -0.0]), ("max", [nan, nan, 2, 0.0]),
                       ("min", [nan, nan, 0.0, -2])]:
    one_op(f"{kind} special", "reduce", [y], np.array(expected, np.float32), attributes=f" kind={kind} axes=[1]")
for kind, values in [("sum", (0, 0)), ("prod", (1, 1)), ("max", (-inf, -2**31)), ("min", (inf, 2**31 - 1))]:
    for dtype, value in [("f64", values[0]), ("i32", values[1])]:
        nothing = np.zeros((2, 0), DTYPES[dtype])
        one_op(f"{kind} {dtype} of nothing", "reduce", [nothing], np.full(2, value, DTYPES[dtype]),
               attributes=f" kind={kind} axes=[1]")
for kind, value in [("any", False), ("all", True)]:
    one_op(f"{kind} of nothing", "reduce", [np.zeros((2, 0), np.bool_)], np.full(2, value),
           attributes=f" kind={kind} axes=[1]")
y = rng.integers(-4, 4, (2, 1, 2, 1, 2, 1, 2, 3)).astype(np.float32)
one_op("sum at rank 8", "reduce", [y], y.sum(axis=(0, 2, 6)), attributes=" kind=sum axes=[0,2,6]")

# ---- top_k -----------------------------------------------------------------------------------------------------------

def top_k(x, k):
    """Of the last axis: NaN first, then descending; the lower index first where elements are equal."""
    rows = x.reshape(-1, x.shape[-1])
    order = [sorted(range(x.shape[-1]), key=lambda i: (row[i] == row[i], -row[i].item(), i))[:k] for row in rows]
    indices = np.array(order, np.int64).reshape(x.shape[:-1] + (k,))
    return [np.take_along_axis(x, indices, -1), indices]


for dtype in FLOATS + INTS:
    x = np.random.default_rng(7).integers(0, 5, (2, 3, 7)).astype(DTYPES[dtype])
    if dtype in FLOATS:
        x[0, 0, :4], x[1, 2, 3:] = [nan, inf, -inf, nan], [-0.0, 0.0, -0.0, 0.0]
    for k in [0, 1, 3, 7]:
        case(f"top_k {dtype} {k}", [x], [(f"top_k(%0) k={k} : {dtype}[2,3,{k}], i64[2,3,{k}]", 2)], top_k(x, k))
for dtype in SHORT:
    x = np.array([[nan, 1, -0.0, 0, 1, inf, -2], [3, 0.5, 3, -inf, nan, -3, 0.5]], np.float32)
    values, indices = top_k(x, 5)
    case(f"top_k {dtype}", [array_of(x, dtype)], [(f"top_k(%0) k=5 : {dtype}[2,5], i64[2,5]", 2)],
         [array_of(values, dtype), indices])
case("top_k of no rows", [np.zeros((0, 3), np.float32)], [("top_k(%0) k=2 : f32[0,2], i64[0,2]", 2)],
     [np.zeros((0, 2), np.float32), np.zeros((0, 2), np.int64)])

# ---- gather, scatter_add and cumsum ----------------------------------------------------------------------------------

x = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
for axis, index in [(0, np.int64([1, 0, 1])), (1, np.int32([[2, 0], [1, 1]])), (2, np.int64(3)), (1, np.zeros((0,), np.int32))]:
    one_op(f"gather {axis} {index.shape}", "gather", [x, index], np.take(x, index, axis), attributes=f" axis={axis}")
one_op("gather of bf16", "gather", [array_of(np.float32([1, 2, -3]), "bf16"), np.int32([2, 0])],
       array_of(np.float32([-3, 1]), "bf16"), attributes=" axis=0")
one_op("gather of rows without elements", "gather", [np.zeros((2, 0), np.float32), np.int32([1, 9])],
       np.zeros((2, 0), np.float32), attributes=" axis=0")


def added(operand, shape, index, updates, axis):
    """One update after the other."""
    result = np.array(np.broadcast_to(operand, shape))
    for before in np.ndindex(*shape[:axis]):
        for place in np.ndindex(*np.shape(index)):
            result[before + (index[place],)] += updates[before + place]
    return result


for dtype in FLOATS + INTS:
    numbers = np.random.default_rng(5)
    shape, index = (2, 3, 2), np.int32([[2, 0], [2, 2]])
    updates = (numbers.standard_normal((2, 2, 2, 2)) * 60).astype(DTYPES[dtype])
    for operand in [DTYPES[dtype](1), numbers.integers(0, 99, shape).astype(DTYPES[dtype])]:
        one_op(f"scatter_add {dtype} {operand.shape}", "scatter_add", [operand, index, updates],
               added(operand, shape, index, updates, 1), attributes=" axis=1 extent=3")
    y = (numbers.standard_normal((2, 5)) * 60).astype(DTYPES[dtype])
    sums = np.cumsum(y, 1, dtype=DTYPES[dtype])
    one_op(f"cumsum {dtype}", "cumsum", [y], sums, attributes=" axis=1 exclusive=false reverse=false")
    one_op(f"cumsum exclusive {dtype}", "cumsum", [y], np.concatenate([np.zeros_like(y[:, :1]), sums[:, :-1]], 1),
           attributes=" axis=1 exclusive=true reverse=false")
    one_op(f"cumsum reverse {dtype}", "cumsum", [y], np.cumsum(y[::-1], 0, dtype=DTYPES[dtype])[::-1],
           attributes=" axis=0 exclusive=false reverse=true")
for dtype in SHORT:
    y = array_of(np.random.default_rng(6).standard_normal((7, 2)), dtype)
    wide = np.asarray(y, np.float32)
    one_op(f"cumsum {dtype}", "cumsum", [y], array_of(np.cumsum(wide, 0), dtype),
           attributes=" axis=0 exclusive=false reverse=false")
    index = np.int64([1, 0, 1, 1, 0, 1, 1])
    one_op(f"scatter_add {dtype}", "scatter_add", [array_of(np.float32(3), dtype), index, y],
           array_of(added(np.float32(3), (2, 2), index, wide, 0), dtype), attributes=" axis=0 extent=2")


def updated(operand, update, index, axis):
    """The operand with a stretch replaced, from the index on, clamped."""
    result, count = operand.copy(), update.shape[axis]
    first = min(max(int(index), 0), operand.shape[axis] - count)
    result[(slice(None),) * axis + (slice(first, first + count),)] = update
    return result


for dtype in FLOATS + INTS + ["bool"]:
    x = (np.arange(24) % 7 - 3).reshape(2, 3, 4).astype(DTYPES[dtype])
    for axis, count, index in [(0, 1, np.int32(1)), (1, 2, np.int64(0)), (1, 2, np.int64(2)), (2, 3, np.int32(-9)),
                               (2, 4, np.int64(1)), (1, 0, np.int32(5))]:
        update = np.take(x, range(count), axis) + DTYPES[dtype](1)
        one_op(f"update_slice {dtype} {axis} {count} {index}", "update_slice", [x, update, index],
               updated(x, update, index, axis), attributes=f" axis={axis}")
one_op("cumsum begins with the first zero", "cumsum", [np.float32([-0.0, -0.0])], np.float32([-0.0, -0.0]),
       attributes=" axis=0 exclusive=false reverse=false")

# ---- dot -------------------------------------------------------------------------------------------------------------

for a_shape, b_shape in [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((2, 3, 4), (2, 4, 5)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
                         ((2, 1, 3, 2), (2, 1, 2, 1)), ((1, 2, 1, 2, 1, 1, 2, 3), (1, 2, 1, 2, 1, 1, 3, 2))]:
    for dtype in FLOATS:
        a = rng.integers(-9, 9, a_shape).astype(DTYPES[dtype])
        b = rng.integers(-9, 9, b_shape).astype(DTYPES[dtype])
        one_op(f"dot {dtype} {a_shape}", "dot", [a, b], np.matmul(a, b) + 0)
    for dtype in SHORT if len(a_shape) == 2 else []:
        a = array_of(rng.standard_normal(a_shape), dtype)
        b = array_of(rng.standard_normal(b_shape), dtype)
        result = np.matmul(np.asarray(a, np.longdouble), np.asarray(b, np.longdouble)).astype(np.float32)
        one_op(f"dot {dtype} {a_shape}", "dot", [a, b], array_of(result, dtype))
    for dtype in INTS:
        a = (rng.integers(0, 256, a_shape) * 19088743).astype(DTYPES[dtype])
        b = (rng.integers(0, 256, b_shape) * 19088743).astype(DTYPES[dtype])
        one_op(f"dot {dtype} {a_shape}", "dot", [a, b], np.matmul(a, b))
a = np.array([[inf, 1], [nan, 0], [0, -0.0]], np.float64)
b = np.array([[0, 1], [1, 2]], np.float64)
one_op("dot special", "dot", [a, b], np.array([[nan, inf], [nan, nan], [0, 0]]))

# ---- Movement --------------------------------------------------------------------------------------------------------

x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
for shape in [(24,), (4, 6), (1, 24, 1), (2, 3, 2, 2)]:
    one_op(f"reshape {shape}", "reshape", [x], x.reshape(shape))
one_op("reshape scalar", "reshape", [np.float32(3)], np.full((1,) * 8, 3, np.float32))
one_op("reshape empty", "reshape", [np.zeros((0, 3), np.uint8)], np.zeros((5, 0), np.uint8))
for perm in itertools.permutations(range(3)):
    one_op(f"transpose {perm}", "transpose", [x], x.transpose(perm), attributes=f" perm={name_of(perm)}")
y = np.arange(48, dtype=np.uint8).reshape(2, 1, 2, 3, 1, 2, 2, 1)
one_op("transpose rank 8", "transpose", [y], y.transpose(7, 2, 5, 0, 3, 1, 6, 4), attributes=" perm=[7,2,5,0,3,1,6,4]")
one_op("transpose scalar", "transpose", [np.int64(5)], np.int64(5), attributes=" perm=[]")
for source, target in [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 3, 1), (2, 3, 2)), ((1,), (0,)),
                       ((2,), (2,)), ((2, 1), (1, 2, 1, 2, 1, 1, 2, 3))]:
    y = np.arange(np.prod(source, dtype=int), dtype=np.float64).reshape(source)
    one_op(f"broadcast {source} {target}", "broadcast", [y], np.broadcast_to(y, target))
one_op("slice", "slice", [x], x[1:2, 0:3:2, 3::-2], attributes=" start=[1,0,3] step=[1,2,-2]")
one_op("slice flip", "slice", [x], x[::-1, ::-1, ::-1], attributes=" start=[1,2,3] step=[-1,-1,-1]")
one_op("slice nothing", "slice", [x], x[:, 2:2, :], attributes=" start=[0,2,0] step=[1,1,1]")
one_op("slice of nothing", "slice", [x[:, :0]], x[:, :0], attributes=" start=[0,-1,0] step=[1,-1,1]")
one_op("slice one", "slice", [x], x[1:, 1:2, 2:3], attributes=" start=[1,1,2] step=[100,-7,3]")
one_op("slice scalar", "slice", [np.float32(2)], np.float32(2), attributes=" start=[] step=[]")
for axes, size, step, dilation in [((0, 1, 2), (2, 2, 3), (1, 1, 1), (1, 1, 1)), ((2,), (2,), (2,), (1,)),
                                   ((2, 0), (2, 1), (1, 1), (3, 7)), ((1,), (3,), (9,), (1,)), ((), (), (), ())]:
    windows = np.lib.stride_tricks.sliding_window_view(x, [(n - 1) * d + 1 for n, d in zip(size, dilation)], axes)
    steps, dilations = [1] * x.ndim, [slice(None, None, d) for d in dilation]
    for axis, number in zip(axes, step):
        steps[axis] = number
    windows = windows[tuple([slice(None, None, number) for number in steps] + dilations)]
    fields = zip(("axes", "size", "step", "dilation"), (axes, size, step, dilation))
    one_op(f"window {axes} {size}", "window", [x], windows, attributes="".join(f" {k}={name_of(v)}" for k, v in fields))
for low, high in [((0, 0, 0), (0, 0, 0)), ((1, 0, 2), (0, 3, 1))]:
    one_op(f"pad {low} {high}", "pad", [x, np.int32(-1)], np.pad(x, list(zip(low, high)), constant_values=-1),
           attributes=f" low={name_of(low)} high={name_of(high)}")
one_op("pad nothing", "pad", [x[:, :0], np.int32(-1)], np.full((2, 3, 4), -1, np.int32),
       attributes=" low=[0,1,0] high=[0,2,0]")
one_op("pad scalar", "pad", [np.float32(2), np.float32(1)], np.float32(2), attributes=" low=[] high=[]")
for axis in range(3):
    parts = [x, np.take(x, [0], axis) + 100, np.take(x, [], axis), np.take(x, [1, 0], axis) + 200]
    one_op(f"concat {axis}", "concat", parts, np.concatenate(parts, axis), attributes=f" axis={axis}")
one_op("concat of one", "concat", [x], x, attributes=" axis=0")

# ---- Broadcasting and several nodes ----------------------------------------------------------------------------------

for a_shape, b_shape in [((), ()), ((), (3,)), ((2, 1, 3), (4, 1)), ((0, 1), (1, 2)),
                         ((1,) * 8, (2, 1, 1, 2, 1, 1, 1, 3))]:
    a = rng.integers(-9, 9, a_shape).astype(np.float32)
    b = rng.integers(-9, 9, b_shape).astype(np.float32)
    one_op(f"add {a_shape} {b_shape}", "add", [a, b], np.add(a, b))
c, p, q = np.array([[True], [False]]), np.arange(3, dtype=np.int64), np.int64(-1)
one_op("where of three shapes", "where", [c, p, q], np.where(c, p, q))
x = rng.integers(-9, 9, (3, 4)).astype(np.float64)
case("several outputs", [x], ["reduce(%0) kind=sum axes=[1] : f64[3]", "reshape(%1) : f64[3,1]",
                              "sub(%0, %2) : f64[3,4]", "transpose(%3) perm=[1,0] : f64[4,3]"],
     [x.sum(1, keepdims=True), x - x.sum(1, keepdims=True), (x - x.sum(1, keepdims=True)).T])

# ---- Regions ---------------------------------------------------------------------------------------------------------

x = np.array([1.5, -2, 0], np.float32)
for predicate in [False, True]:
    case(f"cond {predicate}", [np.bool_(predicate), x], [("""cond(%0; %1) : f32[3], f32[] {
    then(%0: f32[3]) {
      %1 = neg(%0) : f32[3]
      %2 = reduce(%0) kind=sum axes=[0] : f32[]
      return %1, %2
    }
    otherwise(%0: f32[3]) {
      %1 = constant value=7 : f32[]
      return %0, %1
    }
  }""", 2)], [-x, x.sum()] if predicate else [x, np.float32(7)])
for a, b in [(0, 0), (5, 0), (12, 18), (2**40, 6**20), (1134903170, 701408733)]:  # the last takes the most turns
    case(f"while_loop gcd {a} {b}", [np.int64(a), np.int64(b)], [("""while_loop(%0, %1) : i64[], i64[] {
    test(%0: i64[], %1: i64[]) {
      %2 = constant value=0 : i64[]
      %3 = not_equal(%1, %2) : bool[]
      return %3, %0, %1
    }
    body(%0: i64[], %1: i64[]) {
      %2 = floor_mod(%0, %1) : i64[]
      return %1, %2
    }
  }""", 2)], [np.int64(math.gcd(a, b)), np.int64(0)])

# ---- Functions of the host -------------------------------------------------------------------------------------------

case("host_call", [np.int64(3), np.bool_(True), x], ['host_call(%0, %1, %2) function=require("x is {}") : i64[]'], [np.int64(4)])

path = pathlib.Path(__file__).with_name("expected.txt")
path.write_text("\n".join(lines) + "\n")
print(f"{path.name}: {sum(line.startswith('case ') for line in lines)} cases, {path.stat().st_size} bytes")
