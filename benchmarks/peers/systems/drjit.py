"""Dr.Jit: frozen functions of its LLVM backend over flat arrays. It has elementwise ops, gathers, sums over blocks and loops; what needs
matrix products is unsupported."""

import glob
import os
from types import SimpleNamespace

import numpy as np

from systems.base import Built, System, Unsupported, as_list
from systems.definitions import Definitions


def make(threads):
    found = sorted(glob.glob("/usr/lib/llvm-19/lib/libLLVM.so*") + glob.glob("/usr/lib/x86_64-linux-gnu/libLLVM*.so*"))
    if found and "DRJIT_LIBLLVM_PATH" not in os.environ:
        os.environ["DRJIT_LIBLLVM_PATH"] = found[0]
    return DrJit(threads)


def namespace(dr, types):
    def sigmoid(x):
        return dr.rcp(1 + dr.exp(-x))

    return SimpleNamespace(
        abs=dr.abs, maximum=dr.maximum, minimum=dr.minimum, sqrt=dr.sqrt, exp=dr.exp, log=dr.log, log1p=lambda x: dr.log(1 + x),
        tanh=dr.tanh, erf=dr.erf, sigmoid=sigmoid, where=dr.select, to_int=lambda x: dr.select(x, types.Int(1), types.Int(0)))


class DrJitDefinitions:
    """Definitions over flat arrays: those of one element at a time are shared, the others are written with gathers."""

    SHARED = ("axpy", "chain3", "chain10", "gelu", "swish", "mish", "black_scholes", "dag", "add_one", "call", "power", "compile_chain")

    def __init__(self, dr, types):
        self.dr, self.types = dr, types
        self.shared = Definitions(namespace(dr, types))

    def make(self, case, details):
        if case.name in self.SHARED:
            return self.shared.make(case, details)
        method = getattr(self, case.name, None)
        if method is None:
            raise Unsupported("has no products of matrices and no fused row ops")
        return method(case, **details)

    def index(self, n):
        return self.dr.arange(self.types.UInt, n)

    def reduction(self, case, reduce_all, reduce_block):
        """Over everything or the last axis; other axes would be strided sums, for which it has no op."""
        if case.axis is None:
            return reduce_all
        if case.axis != len(case.shape) - 1:
            raise Unsupported("has sums over contiguous blocks only")
        return lambda x: reduce_block(x, case.shape[-1])

    def sum(self, case):
        return self.reduction(case, self.dr.sum, self.dr.block_sum)

    def mean(self, case):
        count = np.prod(case.shape) if case.axis is None else case.shape[-1]
        total = self.sum(case)
        return lambda x: total(x) * (1 / float(count))

    def max(self, case):
        dr = self.dr
        return self.reduction(case, dr.max, lambda x, size: dr.block_reduce(dr.ReduceOp.Max, x, size))

    def add_transposed(self, case):
        dr, n = self.dr, case.inputs[0][1][0]

        def add(a, b):
            i = self.index(n * n)
            row, column = i // n, i % n
            return a + dr.gather(type(b), b, column * n + row)
        return add

    def permute_0213(self, case):
        dr, (a, b, c, d) = self.dr, case.inputs[0][1]

        def permute(x):
            i = self.index(a * b * c * d)
            last, j, k, first = i % d, i // d % b, i // (d * b) % c, i // (d * b * c)
            return dr.gather(type(x), x, ((first * b + j) * c + k) * d + last)
        return permute

    def strided_slice(self, case):
        dr, step = self.dr, case.step
        rows, columns = (-(-n // step) for n in case.shape)

        def slices(x):
            i = self.index(rows * columns)
            return dr.gather(type(x), x, i // columns * (step * case.shape[1]) + i % columns * step) * 2
        return slices

    def roll_stencil(self, case):
        dr, n = self.dr, case.inputs[0][1][0]

        def stencil(x):
            index = self.index(n * n)
            row, column = index // n, index % n
            total = -8 * x
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    if i or j:
                        total += dr.gather(type(x), x, (row + (n + i)) % n * n + (column + (n + j)) % n)
            return total
        return stencil

    def rgb_to_grey(self, case):
        dr, (h, w, _) = self.dr, case.inputs[0][1]

        def grey(x):
            i = self.index(h * w) * 3
            r, g, b = (dr.gather(type(x), x, i + k) for k in range(3))
            return 0.299 * r + 0.587 * g + 0.114 * b
        return grey

    def bodies(self, x, n, width):
        """The coordinates of n points that stand one after the other."""
        i = self.index(n) * width
        return [self.dr.gather(type(x), x, i + k) for k in range(width)]

    def nbody(self, case):
        dr, types, n = self.dr, self.types, case.inputs[0][1][0]

        def nbody(x, mass):
            ox, oy, oz = self.bodies(x, n, 3)

            def turn(j, ax, ay, az):
                dx, dy, dz = (dr.gather(types.Float, x, j * 3 + k) for k in range(3))
                dx, dy, dz = dx - ox, dy - oy, dz - oz
                r2 = dx * dx + dy * dy + dz * dz + 0.01
                w = dr.gather(types.Float, mass, j) * dr.rcp(r2 * dr.sqrt(r2))
                return j + 1, dr.fma(w, dx, ax), dr.fma(w, dy, ay), dr.fma(w, dz, az)

            zero = dr.zeros(types.Float, n)
            _, *sums = dr.while_loop((types.UInt(0), zero, zero, zero), lambda j, *_: j < n, turn)
            return dr.ravel(types.Array3(*sums))
        return nbody

    def distance(self, x, y, row, column, width):
        dr, total = self.dr, 0
        for k in range(width):
            d = dr.gather(type(x), x, row * width + k) - dr.gather(type(y), y, column * width + k)
            total += d * d
        return total

    def rbf(self, case):
        dr, (m, width), n = self.dr, case.inputs[0][1], case.inputs[1][1][0]

        def rbf(x, y):
            i = self.index(m * n)
            return dr.exp(-0.5 * self.distance(x, y, i // n, i % n, width))
        return rbf

    def nearest(self, case):
        dr, types, (m, width), n = self.dr, self.types, case.inputs[0][1], case.inputs[1][1][0]

        def nearest(x, y):
            points = self.bodies(x, m, width)

            def turn(j, best, at):
                total = types.Float(0)
                for k in range(width):
                    d = points[k] - dr.gather(types.Float, y, j * width + k)
                    total += d * d
                closer = total < best
                return j + 1, dr.select(closer, total, best), dr.select(closer, j, at)

            start = types.UInt(0), dr.full(types.Float, np.inf, m), dr.zeros(types.UInt, m)
            return dr.while_loop(start, lambda j, *_: j < n, turn)[2]
        return nearest

    def heat(self, case):
        dr, n = self.dr, case.inputs[0][1][0]

        def heat(u):
            i = self.index(n * n)
            row, column = i // n, i % n
            inner = (row > 0) & (row < n - 1) & (column > 0) & (column < n - 1)
            for _ in range(case.steps):
                at = lambda offset: dr.gather(type(u), u, i + offset, inner)
                four = at(n) + dr.gather(type(u), u, i - n, inner) + at(1) + dr.gather(type(u), u, i - 1, inner)
                u = dr.select(inner, u + 0.1 * (four - 4 * u), u)
                dr.eval(u)
            return u
        return heat

    def mandelbrot_unrolled(self, case):
        def mandelbrot(cx, cy):
            x = y = cx * 0
            count = self.shared.xp.to_int(cx != cx)
            for _ in range(case.turns):
                x, y, count, _ = self.shared.mandelbrot_turn(cx, cy, x, y, count)
            return count
        return mandelbrot

    def mandelbrot_while(self, case):
        dr, types = self.dr, self.types

        def mandelbrot(cx, cy):
            going = lambda x, y, count: (count < case.turns) & (x * x + y * y <= 4)
            turn = lambda x, y, count: (x * x - y * y + cx, 2 * x * y + cy, count + 1)
            zero = dr.zeros(types.Float, case.n**2)
            return dr.while_loop((zero, zero, dr.zeros(types.Int, case.n**2)), going, turn)[2]
        return mandelbrot

    def scalar_loop(self, case):
        dr, types = self.dr, self.types

        def turn(i, x):
            x = x * types.UInt64(6364136223846793005) + types.UInt64(1442695040888963407)
            return i + 1, x ^ (x >> 33)
        return lambda x: types.Int64(dr.while_loop((types.UInt(0), types.UInt64(x)), lambda i, x: i < case.steps, turn)[1])


class DrJit(System):
    def __init__(self, threads):
        super().__init__(threads)
        import drjit as dr
        from drjit import llvm
        dr.set_thread_count(threads)
        self.dr, self.types, self.version = dr, llvm, dr.__version__
        dr.set_flag(dr.JitFlag.KernelFreezing, True)
        self.definitions = DrJitDefinitions(dr, SimpleNamespace(Float=llvm.Float, UInt=llvm.UInt, Int=llvm.Int, UInt64=llvm.UInt64,
                                                                Int64=llvm.Int64, Array3=llvm.Array3f))
        self.settings = (f"LLVM backend, @dr.freeze, set_thread_count({threads}), flat arrays, symbolic loops, DRJIT_LIBLLVM_PATH="
                         f"{os.environ.get('DRJIT_LIBLLVM_PATH', 'its own')}; dr.eval and dr.sync_thread wait")

    def put(self, value):
        kind = {"f4": self.types.Float, "f8": self.types.Float64, "i4": self.types.Int, "i8": self.types.Int64}[value.dtype.str[1:]]
        made = kind(value.reshape(-1))
        self.dr.eval(made)
        self.dr.sync_thread()
        return made

    def compile(self, function):
        dr = self.dr
        return dr.freeze(lambda *arguments: function(*arguments))

    def wait(self, result):
        self.dr.eval(result)
        self.dr.sync_thread()
        return result

    def build(self, case, inputs, details, reuse):
        if case.name == "newton":
            return self.build_newton(case, inputs, reuse)
        if case.name == "thousand_sizes":
            raise Unsupported("has no fused row ops")
        built = super().build(case, inputs, details, reuse)
        # Shapes are NumPy's alone.
        return Built(built.call, self.shaped(case), reset=built.reset)

    def build_newton(self, case, inputs, reuse):
        """The host asks after each turn."""
        if reuse:
            raise Unsupported("has no results that are used again")
        dr, x = self.dr, self.put(inputs[0])

        @dr.freeze
        def turn(x, r):
            new = 0.5 * (r + x / r)
            return new, dr.max(dr.abs(new - r) / new)

        def call():
            r = (x + 1) / 2
            while True:
                r, change = turn(x, r)
                if change[0] <= case.limit:
                    return self.wait(r)
        return Built(call, self.fetch)

    def shaped(self, case):
        def fetch(result):
            shapes = [shape for _, shape, *_ in case.inputs]
            values = self.fetch(result)
            return [value.reshape(result_shape(case, shapes, value.size)) for value in values]
        return fetch

    def fetch(self, result):
        return [np.array(value) for value in as_list(result)]

    def empty_call(self):
        f, x = self.compile(lambda x: x + 1), self.types.Float(1, 2)
        self.dr.eval(x)
        return lambda: self.wait(f(x))


def result_shape(case, shapes, size):
    """The shape of a result whose elements are in order."""
    if case.name == "scalar_loop":
        return ()
    if case.name in ("sum", "mean", "max"):
        return () if case.axis is None else case.shape[:-1]
    if case.name == "permute_0213":
        a, b, c, d = shapes[0]
        return a, c, b, d
    if case.name == "strided_slice":
        return tuple(-(-n // case.step) for n in case.shape)
    if case.name == "rgb_to_grey":
        return shapes[0][:2]
    if case.name == "rbf":
        return shapes[0][0], shapes[1][0]
    if case.name == "nearest":
        return (size,)
    return max(shapes, key=lambda shape: int(np.prod(shape)))
