"""numba: loops as its users write them, with prange over the outer one; fastmath, so that reductions and roots become vectors."""

import numpy as np

from systems.base import Built, System, Unsupported

OF_BLAS = ("attention", "perceptron", "product_bias_gelu", "product_bias_gelu_residual_norm", "matmul", "compile_product", "lstm_over_time")
NOT_FOR_LOOPS = {"conv": "a convolution by hand is no peer", **dict.fromkeys(OF_BLAS, "would call NumPy's BLAS")}


def make(threads):
    return Numba(threads)


class Numba(System):
    def __init__(self, threads):
        super().__init__(threads)
        import numba
        self.version = numba.__version__
        self.settings = (f"njit(fastmath=True, error_model='numpy', boundscheck=False, parallel={threads > 1}), "
                         f"NUMBA_NUM_THREADS={threads}, loops written out, results allocated by np.empty in each call; "
                         "its llvmlite from PyPI has no SVML")
        numba.set_num_threads(threads)
        self.jit = numba.njit(fastmath=True, error_model="numpy", boundscheck=False, parallel=threads > 1)

    def build(self, case, inputs, details, reuse):
        from systems import numba_kernels, numba_loops  # noqa: F401
        if case.name.startswith("train_") or case.name == "compile_training":
            raise Unsupported("has no gradients")
        if case.name in NOT_FOR_LOOPS:
            raise Unsupported(NOT_FOR_LOOPS[case.name])
        maker = numba_kernels.MAKERS.get(case.name)
        if maker is None:
            raise Unsupported("no definition")
        shapes, kernel = maker(self, case, **details)
        if case.name == "thousand_sizes":
            return self.build_sizes(case, lambda x: self.allocating([(x.shape, "f4")], kernel)(x)[0], inputs[0])
        if reuse:
            out = [np.empty(shape, dtype) for shape, dtype in shapes]

            def call():
                kernel(*inputs, *out)
                return out
            return Built(call, self.fetch)
        function = self.allocating(shapes, kernel)
        return Built(lambda: function(*inputs), self.fetch)

    def allocating(self, shapes, kernel):
        """Allocates results, which the kernel writes."""
        def call(*inputs):
            out = [np.empty(shape, dtype) for shape, dtype in shapes]
            kernel(*inputs, *out)
            return out
        return call

    def put(self, value):
        return value

    def empty_call(self):
        from numba import njit
        f, x = njit(lambda x: x + 1), np.ones(1, np.float32)
        return lambda: f(x)
