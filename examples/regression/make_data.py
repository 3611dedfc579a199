#!/usr/bin/env python3
"""Makes table.npy of this folder (needs NumPy only; README.md says where the two files come from).

    make_data.py diabetes_data_raw.csv.gz diabetes_target.csv.gz
"""

import gzip
import pathlib
import sys

import numpy as np

SEED = 20240229


def read(path, delimiter):
    with gzip.open(path, "rt") as lines:
        return np.loadtxt(lines, delimiter=delimiter, dtype=np.float64)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table = np.column_stack([read(sys.argv[1], None), read(sys.argv[2], None)])
    if table.shape != (442, 11) or np.isnan(table).any():
        sys.exit(f"{sys.argv[1]}: not the 442 patients with 10 values that were expected")
    np.random.default_rng(SEED).shuffle(table)
    np.save(pathlib.Path(__file__).with_name("table.npy"), table.astype(np.float32))


if __name__ == "__main__":
    main()
