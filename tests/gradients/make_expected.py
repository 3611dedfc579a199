#!/usr/bin/env python3
"""Writes tests/gradients/expected.txt: graphs, inputs, cotangents and the gradients that TensorFlow gives for them.

Needs tensorflow; the file's first line names the version that wrote it. Run it from anywhere: the file is written
beside this script. Each case is

  case NAME order=N      the N-th derivative; every one but the first is of the sum of the one before
  graph(...) {...}       or `types TYPE...` of the inputs, where NAME is one of the public functions in expected_test.cc
  in VALUES...           one line per input, row-major; floats in hexadecimal
  weights VALUES...      one line per output of floats: its cotangent
  gradient VALUES...     one line per input; `gradient none` where there is none
"""
import os
import pathlib
import re

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

inf, nan = np.inf, np.nan
lines = [f"# Written by make_expected.py with TensorFlow {tf.__version__}; do not edit."]


def type_of(array):
    name = {"float64": "f64", "bool": "bool"}[array.dtype.name]
    return name + "[" + ",".join(map(str, array.shape)) + "]"


def text_of(value):
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    value = float(value)
    return "nan" if value != value else re.sub(r"\.?0*p", "p", value.hex())


def values(word, array):
    lines.append(" ".join([word] + [text_of(v) for v in np.asarray(array).reshape(-1)]))


def case(name, function, inputs, body, weights=None, order=1):
    """`body` are the nodes after the inputs, of which the last one is returned, or None for a public function."""
    inputs = [np.asarray(x) for x in inputs]
    variables = [tf.constant(x) for x in inputs]

    def derivative(n):
        if n == 0:
            return [function(*variables)]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            before = derivative(n - 1)
        seeds = [weights] if n == 1 else None
        gradients = tape.gradient(before, variables, output_gradients=seeds)
        return [None if g is None else tf.convert_to_tensor(g) for g in gradients]  # that of gather comes in slices

    result = function(*variables)
    weights = tf.ones_like(result) if weights is None else tf.constant(weights, tf.float64)
    gradients = derivative(order)
    lines.append(f"case {name} order={order}")
    if body is None:
        lines.append(" ".join(["types"] + [type_of(x) for x in inputs]))
    else:
        lines.append("graph(" + ", ".join(f"%{i}: {type_of(x)}" for i, x in enumerate(inputs)) + ") {")
        first = len(inputs)
        for i, node in enumerate(body):
            lines.append(f"  %{first + i} = {node}")
        lines.append(f"  return %{first + len(body) - 1}")
        lines.append("}")
    for x in inputs:
        values("in", x)
    values("weights", weights)
    for gradient in gradients:
        if gradient is None:
            lines.append("gradient none")
        else:
            values("gradient", gradient)


def one_op(name, op, function, inputs, **options):
    inputs = [np.asarray(x) for x in inputs]
    shape = np.broadcast_shapes(*[x.shape for x in inputs])
    operands = ", ".join(f"%{i}" for i in range(len(inputs)))
    case(name, function, inputs, [f"{op}({operands}) : {type_of(np.zeros(shape))}"], **options)


# ---- Rows ------------------------------------------------------------------------------------------------------------

UNARY = np.array([0.0, -0.0, inf, -inf, nan, 1, -1, 0.5, -0.5, 0.9, -2.5, 3, 30, -30, 800, -800, 1e-300, 1e-10, 1e10])
m = tf.math
for op, function in {"neg": m.negative, "abs": m.abs, "sqrt": m.sqrt, "rsqrt": m.rsqrt, "exp": m.exp, "expm1": m.expm1,
                     "log": m.log, "log1p": m.log1p, "sigmoid": m.sigmoid, "softplus": m.softplus, "sin": m.sin,
                     "cos": m.cos, "tan": m.tan, "asin": m.asin, "acos": m.acos, "atan": m.atan, "sinh": m.sinh,
                     "cosh": m.cosh, "tanh": m.tanh, "asinh": m.asinh, "acosh": m.acosh, "atanh": m.atanh, "erf": m.erf,
                     "erfc": m.erfc, "erf_inv": m.erfinv, "floor": m.floor, "ceil": m.ceil, "round": m.round}.items():
    one_op(op, op, function, [UNARY], weights=np.linspace(-2, 2, len(UNARY)))
# TensorFlow's digamma is NaN at 0 and at the negative integers, where ours has its poles.
one_op("lgamma", "lgamma", m.lgamma, [np.array([inf, nan, 1, 0.5, -0.5, 0.9, -2.5, 3, 30, 800, 1e-10, 1e10])])
one_op("digamma", "digamma", m.digamma, [np.array([inf, nan, 0, -1, -7, 1, 0.5, -0.5, 0.9, -2.5, 2, 3, 7.3, 8, 30, -1e10 - 0.5,
                                                  1e-200, 1e-10, 1e10])])
for op, function in {"sqrt": m.sqrt, "rsqrt": m.rsqrt}.items():
    one_op(op + " of zeros with cotangent 0", op, function, [np.array([0.0, 0.0, 4.0])],
           weights=np.array([0.0, -0.0, 0.0]))

NUMBERS = np.array([0.0, -0.0, inf, -inf, nan, 1, -1, 0.5, 2, -2.5, 3])
PAIRS = [NUMBERS[:, None] + np.zeros((1, len(NUMBERS))), NUMBERS[None, :] + np.zeros((len(NUMBERS), 1))]
WEIGHTS = np.linspace(-2, 3, PAIRS[0].size).reshape(PAIRS[0].shape)
for op, function in {"add": m.add, "sub": m.subtract, "mul": m.multiply, "div": m.divide, "min": m.minimum,
                     "max": m.maximum, "pow": m.pow, "floor_mod": m.floormod, "floor_div": m.floordiv,
                     "atan2": m.atan2, "multiply_no_nan": m.multiply_no_nan}.items():
    one_op(op, op, function, PAIRS, weights=WEIGHTS)
    one_op(op + " of a column and a row", op, function, [np.array([[0.5], [2], [3]]), np.array([1.5, -2, 0.25, 7])],
           weights=np.arange(12.0).reshape(3, 4) - 3)
one_op("where", "where", tf.where,
       [np.array([True, False, True]), np.array([1.0, nan, inf]), np.array([nan, 2.0, 3.0])])

# ---- Structural ops --------------------------------------------------------------------------------------------------

A = np.array([[1.0, 3, 3, -2], [0, 5, 0, 7], [4, 4, 4, 4]])
G = np.array([1.0, -2, 3])
for kind, function in {"sum": tf.reduce_sum, "prod": tf.reduce_prod, "max": tf.reduce_max,
                       "min": tf.reduce_min}.items():
    case(f"reduce {kind}", lambda x: function(x, 1), [A], [f"reduce(%0) kind={kind} axes=[1] : f64[3]"], weights=G)
    case(f"reduce {kind} of all", lambda x: function(x), [A], [f"reduce(%0) kind={kind} axes=[0,1] : f64[]"])
    case(f"reduce {kind} with nan and inf", lambda x: function(x, 1), [np.array([[1, nan], [inf, inf], [-inf, 2]])],
         [f"reduce(%0) kind={kind} axes=[1] : f64[3]"], weights=G)
case("dot", tf.matmul, [A, A.T[:, :2] + 1], ["dot(%0, %1) : f64[3,2]"], weights=np.arange(6.0).reshape(3, 2))
case("slice", lambda x: x[2:0:-1, 0:4:2], [A], ["slice(%0) start=[2,0] step=[-1,2] : f64[2,2]"],
     weights=np.array([[1.0, 2], [3, 4]]))
case("pad", lambda x: tf.pad(x, [[1, 0], [2, 1]]), [A],
     ["constant value=0 : f64[]", "pad(%0, %1) low=[1,2] high=[0,1] : f64[4,7]"], weights=np.arange(28.0).reshape(4, 7))
case("top_k", lambda x: tf.math.top_k(x, 2).values, [np.array([[1.0, 3, -3, 2], [5, 4, 7, 0]])],
     ["top_k(%0) k=2 : f64[2,2], i64[2,2]"], weights=np.array([[1.0, 2], [3, 4]]))
lines[:] = [line.replace("%1 = top_k", "%1, %2 = top_k") for line in lines]
# Patches that overlap; TensorFlow has them of pictures [batch, rows, columns, channels].
case("window", lambda x: tf.reshape(tf.image.extract_patches(tf.reshape(x, [1, 3, 4, 1]), [1, 2, 2, 1], [1, 1, 2, 1],
                                                             [1, 1, 1, 1], "VALID"), [2, 2, 2, 2]), [A],
     ["window(%0) axes=[0,1] size=[2,2] step=[1,2] dilation=[1,1] : f64[2,2,2,2]"],
     weights=np.arange(16.0).reshape(2, 2, 2, 2))

# ---- Composites, to the third derivative -----------------------------------------------------------------------------

X = np.array([0.0, 0.5, -1.25, 2, -3])
for order in (1, 2, 3):
    case("tanh times exp", lambda x: tf.tanh(x) * tf.exp(x), [X],
         ["tanh(%0) : f64[5]", "exp(%0) : f64[5]", "mul(%1, %2) : f64[5]"], order=order)
    case("x to the power 5", lambda x: x ** 5.0, [X], ["constant value=5 : f64[]", "pow(%0, %1) : f64[5]"], order=order)
    case("sqrt", tf.sqrt, [np.array([0.25, 4.0])], ["sqrt(%0) : f64[2]"], order=order)
    case("sigmoid of softplus", lambda x: tf.sigmoid(tf.math.softplus(x)), [X],
         ["softplus(%0) : f64[5]", "sigmoid(%1) : f64[5]"], order=order)
    case("erf of sin", lambda x: tf.math.erf(tf.sin(x)), [X], ["sin(%0) : f64[5]", "erf(%1) : f64[5]"], order=order)

logits, labels = np.array([[1.0, -2, 0.5], [3, 3, -1]]), np.array([[0.0, 1, 0], [0.5, 0.25, 0.25]])
case("softmax cross-entropy", lambda x, y: tf.nn.softmax_cross_entropy_with_logits(y, x), [logits, labels],
     ["reduce(%0) kind=max axes=[1] : f64[2]", "reshape(%2) : f64[2,1]", "sub(%0, %3) : f64[2,3]", "exp(%4) : f64[2,3]",
      "reduce(%5) kind=sum axes=[1] : f64[2]", "log(%6) : f64[2]", "reshape(%7) : f64[2,1]", "sub(%8, %4) : f64[2,3]",
      "mul(%1, %9) : f64[2,3]", "reduce(%10) kind=sum axes=[1] : f64[2]"], weights=np.array([1.0, -2]))


def layer_norm(x):
    centred = x - tf.reduce_mean(x, 1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(centred * centred, 1, keepdims=True) + 0.001)


case("layer_norm", layer_norm, [A], [
    "reduce(%0) kind=sum axes=[1] : f64[3]", "constant value=4 : f64[]", "div(%1, %2) : f64[3]",
    "reshape(%3) : f64[3,1]", "sub(%0, %4) : f64[3,4]", "mul(%5, %5) : f64[3,4]",
    "reduce(%6) kind=sum axes=[1] : f64[3]",
    "div(%7, %2) : f64[3]", "constant value=0.001 : f64[]", "add(%8, %9) : f64[3]", "rsqrt(%10) : f64[3]",
    "reshape(%11) : f64[3,1]", "mul(%5, %12) : f64[3,4]"], weights=np.arange(12.0).reshape(3, 4) - 5)
case("a square root that where masks", lambda x: tf.where(x > 0, tf.sqrt(x), 0), [np.array([0.0, 4, 9])],
     ["constant value=0 : f64[]", "greater(%0, %1) : bool[3]", "sqrt(%0) : f64[3]", "where(%2, %3, %1) : f64[3]"])

# ---- Public functions that are composed of others --------------------------------------------------------------------

Z = np.array([0.0, -0.0, 0.5, -0.75, 2, -3, 6, 7, 800, -800, inf, -inf])


def gelu(x):
    """TensorFlow's has constants of f32 in f64."""
    return 0.5 * x * (1 + tf.math.erf(x * np.sqrt(0.5)))


for name, function, x in [
        ("relu", tf.nn.relu, Z), ("relu6", tf.nn.relu6, Z), ("leaky_relu", lambda x: tf.nn.leaky_relu(x, 0.25), Z),
        ("elu", tf.nn.elu, Z), ("selu", tf.nn.selu, Z), ("gelu", gelu, Z[:9]),
        ("silu", tf.nn.silu, Z[:10]), ("softsign", tf.nn.softsign, Z[:10]),
        ("hard_sigmoid", tf.keras.activations.hard_sigmoid, Z),
        ("square", tf.square, Z), ("reciprocal", tf.math.reciprocal, Z),
        ("clip", lambda x: tf.clip_by_value(x, -1, 1), np.array([0.0, -1, 1, 2, -3, nan])),
        ("softmax", tf.nn.softmax, A), ("log_softmax", tf.nn.log_softmax, A),
        ("logsumexp", lambda x: tf.reduce_logsumexp(x, 1), A), ("norm", lambda x: tf.norm(x, axis=1), A),
        ("mean", lambda x: tf.reduce_mean(x, 1), A), ("variance", lambda x: tf.math.reduce_variance(x, 1), A),
        ("stddev", lambda x: tf.math.reduce_std(x, 1), A[:2])]:
    case(name, function, [x], None, weights=np.linspace(0.5, 3, function(tf.constant(x)).numpy().size).reshape(
        function(tf.constant(x)).shape))


def attention(x):
    """With a causal mask."""
    scores = tf.matmul(x, x, transpose_b=True) / np.sqrt(x.shape[1])
    seen = np.tril(np.ones((x.shape[0], x.shape[0]), bool))
    return tf.matmul(tf.nn.softmax(tf.where(seen, scores, tf.constant(-1e9, tf.float64))), x)


B = np.array([[3.0, -1, 2, 0.5], [-2, 7, 1, 4], [0.25, 5, -3, 6]])
for name, function in {
        "gather": lambda x: tf.gather(x, [2, 0, 2]), "gather along axis 1": lambda x: tf.gather(x, [[3, 1], [1, 1]], axis=1),
        "scatter_add": lambda x: tf.math.unsorted_segment_sum(x, [1, 0, 1], 2),
        "cumsum": lambda x: tf.cumsum(x, 1), "cumsum exclusive": lambda x: tf.cumsum(x, 0, exclusive=True, reverse=True),
        "sort": tf.sort, "scaled_dot_product_attention": attention}.items():
    result = function(tf.constant(B)).numpy()
    case(name, function, [B], None, weights=np.linspace(0.5, 3, result.size).reshape(result.shape))
case("einsum", lambda a, b: tf.einsum("ij,kj->ki", a, b), [B, B[:2] + 1], None, weights=np.arange(6.0).reshape(2, 3))
case("tensordot", lambda a, b: tf.tensordot(a, b, [[0], [1]]), [B, B.T[:2]], None, weights=np.arange(8.0).reshape(4, 2))
for name, function in {"divide_no_nan": m.divide_no_nan, "multiply_no_nan": m.multiply_no_nan, "xlogy": m.xlogy,
                       "xlog1py": m.xlog1py, "xdivy": m.xdivy, "squared_difference": m.squared_difference}.items():
    case(name, function, [np.array([0.0, 0, 0, 2, 3, -1]), np.array([0.0, 2, -0.5, 0, 0.5, 4])], None,
         weights=np.linspace(0.5, 3, 6))

(pathlib.Path(__file__).parent / "expected.txt").write_text("\n".join(lines) + "\n")
