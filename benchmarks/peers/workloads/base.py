"""What all workloads share: their registry, their inputs and how results are compared."""

import numpy as np

WORKLOADS = {}

NORMAL = ("normal", 0.0, 1.0)


def uniform(low, high):
    return ("uniform", low, high)


def below(limit):
    """Whole numbers from 0 on."""
    return ("below", limit)


def workload(cls):
    name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).lstrip("_")
    cls.name = cls.__dict__.get("name", name)
    WORKLOADS[cls.name] = cls
    return cls


def make_inputs(case, rng):
    """Fresh arrays for a workload, in the order of `inputs`."""
    arrays = []
    for _, shape, dtype, distribution in case.inputs:
        kind, *p = distribution
        if kind == "normal":
            value = rng.standard_normal(shape) * p[1] + p[0]
        elif kind == "uniform":
            value = rng.uniform(p[0], p[1], shape)
        elif kind == "below":
            value = rng.integers(0, p[0], shape)
        else:
            value = np.full(shape, p[0])
        arrays.append(np.array(value, DTYPES[dtype], order="C").reshape(shape))
    return arrays


DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}
WIDTH = {"f32": 4, "f64": 8, "i32": 4, "i64": 8}


def size_of(shape, dtype="f32"):
    return int(np.prod(shape, dtype=np.int64)) * WIDTH[dtype]


class Workload:
    """Defaults: f32, no arithmetic worth counting, results within 1e-5 of the reference's largest element."""

    flops = 0
    tolerance = 1e-5
    # How often a fresh system is called before its results are compared: more than once where it holds state.
    checked_calls = 1

    # What is timed is a first call: trace, compilation and run.
    is_compile = False
    # Whether each round of such a workload wants a process of its own.
    fresh_process = False
    result_bytes = 0

    @property
    def read_bytes(self):
        return sum(size_of(shape, dtype) for _, shape, dtype, _ in self.inputs)

    @property
    def bytes(self):
        return self.read_bytes + self.result_bytes

    def details(self, seed=0):
        """What is drawn from a seed and decides what is computed; systems get it beside the sizes."""
        return {}

    def error(self, results, expected, inputs):
        """The largest difference, relative to the result's largest element."""
        if len(results) != len(expected):
            raise ValueError(f"{len(results)} results where {len(expected)} are expected")
        return max(relative_error(got, want) for got, want in zip(results, expected))


def relative_error(got, want):
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise ValueError(f"the result's shape is {got.shape}, that of the reference {want.shape}")
    largest = float(np.abs(want).max())
    difference = 0.0
    # By pieces: results may be as large as the memory allows.
    got, want = got.reshape(-1), want.reshape(-1)
    for begin in range(0, got.size, 1 << 24):
        piece = slice(begin, begin + (1 << 24))
        step = float(np.abs(got[piece].astype(np.float64) - want[piece]).max())
        difference = step if step != step else max(difference, step)
    return difference / largest if largest > 0 else difference


LAYERS = (784, 512, 512, 10)


def layer_inputs(sizes):
    inputs = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        inputs += [(f"w{i}", (a, b), "f32", ("normal", 0.0, a**-0.5)), (f"b{i}", (b,), "f32", ("normal", 0.0, 0.1))]
    return inputs


def lstm_inputs(batch, times, width):
    weight = ("normal", 0.0, width**-0.5)
    return [("x", (batch, times, width), "f32", NORMAL), ("kernel", (width, 4 * width), "f32", weight),
            ("recurrent", (width, 4 * width), "f32", weight), ("bias", (4 * width,), "f32", ("normal", 0.0, 0.1))]
