#!/usr/bin/env python3
"""Writes npy/*.npy: files that etch must read (good_*) and must refuse (bad_*). The tests only read them."""
import os
import pathlib
import struct

import numpy as np

os.chdir(pathlib.Path(__file__).resolve().parent)

values = np.array([[1.5, -2.0, 3.25], [4.0, 5.5, -6.75]])
for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
             "bool"):
    array = np.abs(values) if name.startswith("uint") else values
    np.save(f"npy/good_{name}.npy", array.astype(name))
# bfloat16 as the package ml_dtypes saves it (`<V2`), and after a view as plain NumPy does (`|V2`).
upper_halves = (values.astype("<f4").view("<u4") >> 16).astype("<u2")  # the values are numbers of bfloat16
np.save("npy/good_void2.npy", upper_halves.view("V2"))
raw_void = open("npy/good_void2.npy", "rb").read()
open("npy/good_bfloat16.npy", "wb").write(raw_void.replace(b"'|V2'", b"'<V2'"))
np.save("npy/good_fortran.npy", np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 3, 4)))
np.save("npy/good_fortran_matrix.npy", np.asfortranarray(np.arange(35, dtype="i8").reshape(5, 7)))
np.save("npy/good_rank0.npy", np.array(2.5, dtype="f4"))
np.save("npy/good_empty.npy", np.zeros((3, 0, 2), dtype="i4"))
np.save("npy/good_vector.npy", np.array([7], dtype="i8"))
np.save("npy/good_rank8.npy", np.arange(6, dtype="f8").reshape(1, 1, 2, 1, 1, 3, 1, 1))
for version in ((2, 0), (3, 0)):
    with open(f"npy/good_version{version[0]}.npy", "wb") as file:
        np.lib.format.write_array(file, values.astype("f4"), version=version)


def raw(name, header, data=b"", magic=b"\x93NUMPY", version=b"\x01\x00", length=None):
    text = header.encode()
    with open(f"npy/bad_{name}.npy", "wb") as file:
        file.write(magic + version + struct.pack("<H", len(text) if length is None else length) + text + data)


def header(descr="'<f4'", order="False", shape="(2,)", tail=", }\n"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{tail}"


two = np.array([1, 2], dtype="f4").tobytes()
open("npy/bad_nothing.npy", "wb").close()
raw("magic", header(), two, magic=b"\x94NUMPY")
raw("version", header(), two, version=b"\x04\x00")
raw("short_header", header(), length=500)
raw("no_brace", header()[1:], two)
raw("unclosed", header(tail=","), two)
raw("garbage", header() + "garbage", two)
raw("missing_key", "{'descr': '<f4', 'shape': (2,), }", two)
raw("unknown_key", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", two)
raw("twice", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", two)
raw("order", header(order="Maybe"), two)
raw("short_data", header(), two[:-1])
raw("long_data", header(), two + b"x")
raw("big_endian", header(descr="'>f4'"), two)
raw("objects", header(descr="'|O'"), two)
raw("records", header(descr="[('a', '<f4')]"), two)
raw("complex", header(descr="'<c8'"), two)
raw("strings", header(descr="'<U2'"), two)
raw("negative", header(shape="(-2,)"), two)
raw("huge", header(shape="(4611686018427387904, 8)"), two)
raw("too_large", header(shape="(70368744177664,)"), two)
raw("overflow", header(shape="(99999999999999999999,)"), two)
raw("rank9", header(shape="(1, 1, 1, 1, 1, 1, 1, 1, 2)"), two)
raw("shape_text", header(shape="(a,)"), two)
raw("shape_list", header(shape="[2]"), two)
raw("wide", header(descr="'<f16'"), two)
raw("int128", header(descr="'<i16'"), two)
raw("void", header(descr="'|V4'"), two)
raw("time", header(descr="'<M8[s]'"), two)
raw("no_descr", header(descr="''"), two)
raw("empty_and_huge", header(shape="(0, 4611686018427387904)"))
raw("no_tuple", header(shape="(2)"), two)
raw("float_extent", header(shape="(2.0,)"), two)
raw("unprintable", "{'\x1b[31m" + "x" * 1000 + "': 1}")
raw("bool", header(descr="'|b1'"), b"\x01\x02")
