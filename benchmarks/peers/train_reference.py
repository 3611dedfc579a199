#!/usr/bin/env python3
"""The losses of training steps in f64, by JAX: train_reference.py WORKLOAD SIZES_JSON RESULT.npy INPUT.npy... writes the losses of
`checked_calls` steps from the parameters among the inputs."""

import json
import sys

import numpy as np


def main():
    name, sizes, result, *paths = sys.argv[1:]
    import systems
    import workloads
    case = workloads.make_case(name, json.loads(sizes))
    inputs = [np.load(path) for path in paths]
    inputs = [value.astype(np.float64) if value.dtype == np.float32 else value for value in inputs]
    built = systems.make("jax", 1).build(case, inputs, case.details(), False)
    losses = []
    for _ in range(case.checked_calls):
        losses += built.fetch(built.call())
    assert all(loss.dtype == np.float64 for loss in losses)
    np.save(result, np.array(losses))


if __name__ == "__main__":
    main()
