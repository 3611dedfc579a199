"""The rows of the comparison: which workloads run at which sizes.

The list is frozen: it was written before the kernels were tuned, and it changes only when a workload is added. Sizes inside of
`Draw` are drawn anew from the seed of each run, so that nothing can be tuned to a list; about a quarter of the rows are such.
What a workload computes, its inputs, bytes and arithmetic stand in workloads/.
"""

import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Draw:
    """A whole number from low to high, uniform in its logarithm, rounded to a multiple."""

    low: int
    high: int
    multiple: int = 1

    def value(self, rng):
        drawn = round(self.low * (self.high / self.low) ** rng.random())
        return max(self.low, drawn // self.multiple * self.multiple)


@dataclass(frozen=True)
class Row:
    group: int
    workload: str
    sizes: dict = field(default_factory=dict)
    drawn: bool = False

    @property
    def name(self):
        parts = [f"{key}={_text(value)}" for key, value in self.sizes.items() if key not in ("seed", "drawn")]
        return "/".join([self.workload, *parts])


def _text(value):
    return "x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


GROUPS = {
    1: "Chains of elementwise ops",
    2: "Activations and Black-Scholes",
    3: "Random graphs of elementwise ops",
    4: "Reductions",
    5: "Softmax",
    6: "Normalisation",
    7: "Layout",
    8: "Square matrix products",
    9: "Skinny matrix products",
    10: "Batched matrix products",
    11: "Products with what follows",
    12: "Convolutions",
    13: "Attention",
    14: "Inference of a perceptron",
    15: "Training steps",
    16: "Calls",
    17: "The example of tf.function",
    18: "Compile latency",
    19: "A thousand sizes",
    20: "Broadcast, then reduce",
    21: "Stencils and Mandelbrot's set",
    22: "Large results",
    23: "Loops",
}


def _list():
    def row(group, workload, **sizes):
        drawn = any(isinstance(v, Draw) or (isinstance(v, tuple) and any(isinstance(w, Draw) for w in v)) for v in sizes.values())
        return Row(group, workload, sizes, drawn)

    rows = []
    add = lambda *a, **k: rows.append(row(*a, **k))

    for workload in ("axpy", "chain3", "chain10"):
        for n in (2**10, 2**16, 2**20, 2**24) + ((2**26,) if workload == "axpy" else ()):
            add(1, workload, n=n)
        add(1, workload, n=Draw(3_000, 3_000_000))
        add(1, workload, n=Draw(5_000_000, 20_000_000))
    for workload in ("gelu", "swish", "mish", "black_scholes"):
        for n in (2**16, 2**22):
            add(2, workload, n=n)
        add(2, workload, n=Draw(20_000, 3_000_000))
    add(3, "dag", n=2**20, seed=1)
    add(3, "dag", n=2**16, seed=2)
    add(3, "dag", n=Draw(50_000, 2_000_000), seed=Draw(3, 1_000_000))
    add(3, "dag", n=Draw(50_000, 2_000_000), seed=Draw(3, 1_000_000))

    for op in ("sum", "max", "argmax", "mean", "variance"):
        for shape in ((4096, 4096), (64, 2**18), (2**18, 64)):
            for axis in (0, 1, "all"):
                add(4, op, shape=shape, axis=axis)
        for axis in (0, 1, 2):
            add(4, op, shape=(128, 128, 128), axis=axis)
        for axis in (0, 1):
            add(4, op, shape=(Draw(200, 5000), Draw(200, 5000)), axis=axis)

    for columns in (32, 128, 512, 4096, 32768):
        add(5, "softmax", shape=(4096, columns))
        add(5, "log_softmax_nll", shape=(4096, columns))
    for low, high in ((20, 300), (300, 5000)):
        add(5, "softmax", shape=(Draw(1000, 6000), Draw(low, high)))
        add(5, "log_softmax_nll", shape=(Draw(1000, 6000), Draw(low, high)))
    for workload in ("layer_norm", "rms_norm"):
        for columns in (256, 768, 4096):
            add(6, workload, shape=(2048, columns))
        add(6, workload, shape=(Draw(500, 4000), Draw(200, 3000)))

    add(7, "add_transposed", n=4096)
    add(7, "add_transposed", n=Draw(500, 3000))
    add(7, "permute_0213", shape=(32, 128, 16, 64))
    add(7, "permute_0213", shape=(Draw(8, 40), Draw(50, 200), Draw(4, 32), Draw(32, 128)))
    for step in (2, 3):
        add(7, "strided_slice", shape=(4096, 4096), step=step)
    add(7, "strided_slice", shape=(Draw(500, 3000), Draw(500, 3000)), step=2)
    add(7, "roll_stencil", n=2048)
    add(7, "roll_stencil", n=Draw(300, 2500))
    add(7, "pad", n=2048)
    add(7, "pad", n=Draw(300, 3000))
    for axis in (0, 1):
        add(7, "concat", n=2048, axis=axis)
    add(7, "concat", n=Draw(300, 3000), axis=1)
    for workload in ("rgb_to_grey", "grey_to_rgb"):
        add(7, workload, shape=(1080, 1920))
        add(7, workload, shape=(Draw(300, 2000), Draw(300, 2000)))

    for dtype in ("f32", "f64"):
        for n in (16, 32, 64, 128, 256, 512, 1024, 2048):
            add(8, "matmul", m=n, k=n, n=n, dtype=dtype)
    for _ in range(3):
        add(8, "matmul", m=Draw(50, 1500), k=Draw(50, 1500), n=Draw(50, 1500), dtype="f32")
    add(8, "matmul", m=Draw(50, 1500), k=Draw(50, 1500), n=Draw(50, 1500), dtype="f64")
    add(8, "matmul", m=Draw(16, 128), k=Draw(16, 128), n=Draw(16, 128), dtype="f32")
    add(8, "matmul", m=Draw(16, 128), k=Draw(16, 128), n=Draw(16, 128), dtype="f64")
    for m in (1, 4, 16):
        add(9, "matmul", m=m, k=4096, n=4096, dtype="f32")
        add(9, "matmul", m=4096, k=4096, n=m, dtype="f32")
    for k in (4, 16):
        add(9, "matmul", m=2048, k=k, n=2048, dtype="f32")
    add(9, "matmul", m=Draw(1, 16), k=Draw(500, 5000), n=Draw(500, 5000), dtype="f32")
    add(9, "matmul", m=Draw(500, 3000), k=Draw(4, 16), n=Draw(500, 3000), dtype="f32")
    for n in (4, 8, 16, 32):
        add(10, "batch_matmul", batch=10_000, n=n)
    add(10, "batch_matmul", batch=Draw(1_000, 10_000), n=Draw(5, 48))

    add(11, "product_bias_gelu", m=512, k=768, n=3072)
    add(11, "product_bias_gelu_residual_norm", m=512, k=3072, n=768)
    add(11, "product_bias_gelu", m=Draw(100, 1000), k=Draw(200, 1500), n=Draw(200, 3000))
    add(11, "product_bias_gelu_residual_norm", m=Draw(100, 1000), k=Draw(200, 1500), n=Draw(200, 1500))

    # ResNet-50: the first layer, 3x3 and 1x1 of its stages; MobileNet: depthwise and pointwise.
    conv = lambda h, ci, co, k, stride=1, groups=1, batch=1: add(
        12, "conv", batch=batch, h=h, ci=ci, co=co, k=k, stride=stride, groups=groups)
    conv(224, 3, 64, 7, 2)
    conv(56, 64, 64, 3)
    conv(56, 64, 256, 1)
    conv(28, 128, 128, 3)
    conv(14, 256, 256, 3)
    conv(7, 512, 512, 3)
    conv(112, 32, 32, 3, 1, 32)
    conv(112, 32, 64, 1)
    conv(14, 512, 512, 3, 1, 512)
    conv(14, 512, 512, 1)
    conv(28, 128, 128, 3, batch=8)
    conv(Draw(14, 60), Draw(32, 128, 16), Draw(32, 128, 16), 3)
    conv(Draw(14, 60), Draw(32, 256, 16), Draw(32, 256, 16), 1)

    for causal in (False, True):
        for tokens in (128, 1024):
            add(13, "attention", heads=8, queries=tokens, keys=tokens, width=64, causal=causal)
    add(13, "attention", heads=8, queries=1, keys=1024, width=64, causal=False)
    add(13, "attention", heads=Draw(4, 16), queries=Draw(100, 1200), keys=Draw(100, 1200), width=64, causal=False)
    add(13, "attention", heads=Draw(4, 16), queries=1, keys=Draw(200, 4000), width=64, causal=False)

    for batch in (1, 8, 32, 256):
        add(14, "perceptron", batch=batch)
    add(14, "perceptron", batch=Draw(2, 300))
    add(14, "perceptron", batch=Draw(2, 30))

    for optimizer in ("sgd", "adam"):
        for batch in (32, 256):
            add(15, "train_perceptron", batch=batch, optimizer=optimizer)
        add(15, "train_cnn", batch=64, optimizer=optimizer)
        add(15, "train_transformer", batch=8, tokens=64, width=128, optimizer=optimizer)
        add(15, "train_lstm", batch=32, times=64, width=64, optimizer=optimizer)
    add(15, "train_perceptron", batch=Draw(20, 300), optimizer="adam")
    add(15, "train_transformer", batch=Draw(4, 16), tokens=Draw(30, 120), width=128, optimizer="adam")
    add(15, "train_lstm", batch=Draw(10, 60), times=Draw(20, 80), width=Draw(40, 120), optimizer="sgd")

    for arguments in (1, 4, 20):
        for n in (0, 1, 8):
            add(16, "call", arguments=arguments, n=n)
    add(17, "power", n=10, exponent=100, dtype="f32")
    add(17, "power", n=10, exponent=100, dtype="i32")
    for ops in (1, 10, 100, 1_000, 10_000):
        add(18, "compile_chain", ops=ops)
    add(18, "compile_product")
    add(18, "compile_training")
    add(19, "thousand_sizes", count=1000)

    add(20, "nbody", n=4096)
    add(20, "rbf", m=4096, n=4096, width=3)
    add(20, "nearest", m=4096, n=4096, width=3)
    add(20, "nbody", n=Draw(500, 5000))
    add(20, "rbf", m=Draw(500, 5000), n=Draw(500, 5000), width=Draw(2, 8))
    add(20, "nearest", m=Draw(500, 5000), n=Draw(500, 5000), width=Draw(2, 8))

    add(21, "heat", n=1024, steps=10)
    add(21, "heat", n=Draw(300, 1500), steps=10)
    add(21, "mandelbrot_unrolled", n=1000, turns=100)
    add(21, "mandelbrot_unrolled", n=Draw(200, 800), turns=50)
    for megabytes in (64, 256, 512):
        add(22, "add_one", megabytes=megabytes)
    add(22, "add_one", megabytes=Draw(64, 400))

    add(23, "scalar_loop", steps=2**22)
    add(23, "newton", n=2**16, tolerance=1e-6)
    add(23, "mandelbrot_while", n=1000, turns=100)
    add(23, "lstm_over_time", batch=32, times=64, width=64)
    add(23, "newton", n=Draw(10_000, 200_000), tolerance=1e-6)
    add(23, "mandelbrot_while", n=Draw(200, 800), turns=200)
    add(23, "lstm_over_time", batch=Draw(10, 60), times=Draw(20, 80), width=Draw(40, 120))
    return tuple(rows)


ROWS = _list()


def rows_of_run(seed):
    """The rows with drawn sizes in the places of `Draw`."""
    rng = random.Random(seed)
    draw = lambda value: value.value(rng) if isinstance(value, Draw) else value
    made = []
    for row in ROWS:
        sizes = {key: tuple(map(draw, value)) if isinstance(value, tuple) else draw(value) for key, value in row.sizes.items()}
        made.append(Row(row.group, row.workload, sizes, row.drawn))
    return made
