"""Writes the files that tests/keras_file.h reads."""
import pathlib
import sys

import numpy as np


class File:
    def __init__(self, versions):
        self.lines = [f"# Written by {pathlib.Path(sys.argv[0]).name} with {versions}; do not edit."]

    def case(self, name, **arrays):
        self.lines.append(f"case {name}")
        for key, value in arrays.items():
            value = np.asarray(value)
            is_int = value.dtype.kind in "iub"
            values = [str(int(v)) if is_int else float(np.float32(v)).hex() for v in value.ravel()]
            extents = ",".join(map(str, value.shape))
            self.lines.append(" ".join([key, f"{'i64' if is_int else 'f32'}[{extents}]", *values]))

    def write(self, path):
        path.write_text("\n".join(self.lines) + "\n")
