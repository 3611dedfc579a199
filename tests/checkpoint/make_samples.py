#!/usr/bin/env python3
"""Writes the files in samples/ as Python's package safetensors does, and what stands in them. Needs safetensors and numpy."""
import pathlib

import numpy as np
import safetensors
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent / "samples"
here.mkdir(exist_ok=True)

tensors = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 4, "scalar": np.array(-7, np.int64),
           "empty": np.zeros((0, 5), np.float64), "flags": np.array([True, False, True]),
           "half": np.array([0.5, -2], np.float16), "bytes": np.array([0, 255, 7], np.uint8),
           "name/with \u00e4 and [0]": np.array([[1, -1]], np.int8), "u16": np.array([65535], np.uint16),
           "i16": np.array([-32768], np.int16), "i32": np.array([[[2**31 - 1]]], np.int32),
           "u32": np.array([2**32 - 1], np.uint32), "u64": np.array([2**64 - 1], np.uint64),
           "f64": np.array([np.nan, np.inf, -0.0])}
save_file(tensors, here / "python.safetensors", metadata={"format": "np", "author": "a script"})
(here / "python_no_metadata.safetensors").unlink(missing_ok=True)
save_file({"x": np.array([1.5, 2.5], np.float32)}, here / "python_no_metadata.safetensors")
# A dtype that NumPy does not have, and one that no tensor of Etch has.
for name, dtype, data in (("bf16", "bfloat16", [0x80, 0x3f, 0x40, 0xc0]), ("f8", "float8_e4m3fn", [1, 2])):
    held = np.array(data, np.uint8)
    spec = safetensors.TensorSpec(dtype=dtype, shape=[2], data_ptr=held.ctypes.data, data_len=held.size)
    safetensors.serialize_file({"x": spec}, str(here / f"python_{name}.safetensors"), None)
for path in here.iterdir():
    path.chmod(0o644)
