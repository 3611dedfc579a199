#!/usr/bin/env python3
# Makes the files in tests/files/made with other tools (pip install tensorflow-cpu pillow numpy): run from anywhere.
import csv
import gzip
import os
import struct
import zlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from PIL import Image

made = os.path.join(os.path.dirname(os.path.abspath(__file__)), "made")
os.makedirs(made, exist_ok=True)
os.chdir(made)


# TFRecord: plain and packed, with an empty record and one beyond the reader's buffer of 256 KiB.
def large():
    return bytes(i * i % 251 for i in range(300000))


records = [b"first", b"", bytes(range(256)), b"last"]
with tf.io.TFRecordWriter("records.tfrecord") as writer:
    for record in records:
        writer.write(record)
with tf.io.TFRecordWriter("records.tfrecord.gz", tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
    for record in records + [large()]:
        writer.write(record)


# Examples.
def example(label, weight, name, scores, ids, pixels):
    f = tf.train.Feature
    return tf.train.Example(features=tf.train.Features(feature={
        "label": f(int64_list=tf.train.Int64List(value=[label])),
        "weight": f(float_list=tf.train.FloatList(value=[weight])),
        "name": f(bytes_list=tf.train.BytesList(value=[name])),
        "scores": f(float_list=tf.train.FloatList(value=scores)),
        "ids": f(int64_list=tf.train.Int64List(value=ids)),
        "pixels": f(float_list=tf.train.FloatList(value=pixels)),
        "tags": f(bytes_list=tf.train.BytesList(value=[b"a", b"", b"ccc"])),
        "unused": f(),
    })).SerializeToString(deterministic=True)


with tf.io.TFRecordWriter("examples.tfrecord") as writer:
    writer.write(example(3, 0.5, "café".encode(), [1.5, -2.25], [7, -8], [0, 1, 2, 3, 4, 5]))
    writer.write(example(-9223372036854775808, 1e-40, b"", [], [0, 9223372036854775807], [6, 7, 8, 9, 10, 11]))

# CSV: what Python's csv writes of quotes, delimiters and line ends within cells.
with open("quoted.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "text", "score"])
    writer.writerow([1, 'say "hi", twice', 0.5])
    writer.writerow([2, "two\nlines", -1e-3])
    writer.writerow([3, "cr\r\nlf", 1e10])
    writer.writerow([4, "", ""])
with open("semicolons.csv", "w", newline="") as file:
    writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["5", "x;y", "2"])

# .npy rows.
np.save("rows.npy", np.arange(24, dtype=np.float32).reshape(4, 3, 2))
np.save("fortran.npy", np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)))
np.save("scalar.npy", np.float64(3))


# idx, as its page describes it.
def idx(name, array, code):
    data = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.astype(array.dtype.newbyteorder(">")).tobytes()
    with open(name, "wb") as file:
        file.write(data)
    return data


values = np.array([[0, 1, 2], [3, 100, 127]])
for code, dtype in [(0x08, np.uint8), (0x09, np.int8), (0x0B, np.int16), (0x0C, np.int32), (0x0D, np.float32), (0x0E, np.float64)]:
    array = values.astype(dtype)
    if dtype != np.uint8:
        array = -array
    if array.dtype.itemsize > 1:
        array = array * dtype(257)
    data = idx(f"{np.dtype(dtype).name}.idx", array, code)
with open("uint8.idx.gz", "wb") as file:
    file.write(gzip.compress(open("uint8.idx", "rb").read(), mtime=0))

# Pictures with what PIL reads of them.
rng = np.random.default_rng(1)
height, width = 13, 18
y, x = np.mgrid[0:height, 0:width]
smooth = np.stack([x * 14, y * 19, (x + y) * 8], axis=-1).astype(np.uint8)
noise = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)


def picture(name, image, mode, **options):
    image.save(name, **options)
    np.save(name + ".npy", np.asarray(Image.open(name).convert(mode)).reshape(height, width, -1))


picture("rgb.png", Image.fromarray(noise[:, :, :3]), "RGB")
picture("rgba.png", Image.fromarray(noise), "RGBA")
picture("grey.png", Image.fromarray(noise[:, :, 0]), "L")
picture("grey_alpha.png", Image.fromarray(noise[:, :, :2], "LA"), "LA")
picture("bits.png", Image.fromarray(noise[:, :, 0] > 127), "L")
palette = Image.fromarray(smooth).quantize(16)
picture("palette.png", palette, "RGB")
palette.info["transparency"] = 3
palette.save("palette_alpha.png", transparency=3)
np.save("palette_alpha.png.npy", np.asarray(Image.open("palette_alpha.png").convert("RGBA")))
# PIL has no mode for 16 bits of colour, and keeps 16 bits of grey: 8 bits of each are v * 255 / 65535, rounded.
deep = rng.integers(0, 65536, (height, width), dtype=np.uint16)
Image.fromarray(deep).save("deep.png")
np.save("deep.png.npy", ((deep.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8).reshape(height, width, 1))
# The same picture in seven passes, which PIL reads and does not write.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced(pixels):
    rows = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for row in pixels[y0::dy, x0::dx]:
            if len(row):
                rows += b"\0" + row.tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


with open("interlaced.png", "wb") as file:
    file.write(interlaced(noise[:, :, :3]))
np.save("interlaced.png.npy", np.asarray(Image.open("interlaced.png").convert("RGB")))

picture("rgb.jpg", Image.fromarray(smooth), "RGB", quality=80)
picture("full.jpg", Image.fromarray(smooth), "RGB", quality=95, subsampling=0)
picture("grey.jpg", Image.fromarray(smooth[:, :, 0]), "L", quality=80)
picture("progressive.jpg", Image.fromarray(smooth), "RGB", quality=80, progressive=True)
Image.fromarray(noise, "CMYK").save("cmyk.jpg")
