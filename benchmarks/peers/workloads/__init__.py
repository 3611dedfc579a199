"""What each workload of rows.py computes: its inputs, its definition in NumPy (the reference, in f64), bytes and arithmetic.

A workload is a class whose constructor takes the row's sizes. `inputs` lists (name, shape, dtype, distribution); `reference`
takes the inputs as f64 (integers stay integers) and returns the list of results; `bytes` are those that have to be read and
written once, `flops` the additions and multiplications of products (0 where memory or transcendentals bound it).
Systems look workloads up by the same names.
"""

import inspect

from . import elementwise, layout, loops, products, programs, reductions
from .base import LAYERS, WORKLOADS, Workload, make_inputs
from .elementwise import chain10

__all__ = ["LAYERS", "WORKLOADS", "Workload", "chain10", "make_case", "make_inputs"]


def make_case(workload, sizes):
    """The workload of a row; sizes that it does not take are details, which stand beside them in the protocol."""
    made = WORKLOADS[workload]
    known = inspect.signature(made.__init__).parameters
    return made(**{name: value for name, value in sizes.items() if name in known})
