#!/usr/bin/env python3
"""Writes expected.txt: elements and cardinalities of tf.data's pipelines where their order is fixed. Needs tensorflow 2.21."""
import pathlib

import numpy as np
import tensorflow as tf

assert tf.__version__.startswith("2.21")
Dataset = tf.data.Dataset
lines = [f"# Written by make_expected.py with TensorFlow {tf.__version__}; do not edit."]


def text(value):
    if isinstance(value, tuple):
        return "(" + ",".join(text(part) for part in value) + ")"
    if isinstance(value, tf.data.Dataset):
        return "{" + ";".join(text(part) for part in value) + "}"
    array = np.asarray(value)
    if array.ndim == 0:
        return str(array.item())
    return "[" + ",".join(text(row) for row in array) + "]"


def case(name, dataset):
    lines.append(f"{name}|{dataset.cardinality().numpy()}|" + ";".join(text(element) for element in dataset))


def r(*bounds):
    return Dataset.range(*bounds)


ones = lambda n: tf.fill([n], n)

case("range", r(2, 11, 3))
case("range_down", r(5, -3, -2))
case("range_empty", r(0))
case("map", r(5).map(lambda x: x * x))
case("filter", r(10).filter(lambda x: x % 3 == 1))
case("take_while", r(10).take_while(lambda x: x < 4))
case("scan", r(1, 6).scan(tf.constant(10, tf.int64), lambda s, x: (s + x, s * x)))
case("enumerate", r(10, 13).enumerate(5))
case("batch", r(7).batch(3))
case("batch_drop", r(7).batch(3, drop_remainder=True))
case("batch_exact", r(6).batch(3))
case("unbatch", r(7).batch(3).unbatch())
case("rebatch", r(7).batch(3).rebatch(2))
case("rebatch_drop", r(7).batch(3).rebatch(2, drop_remainder=True))
for size, shift, stride, drop in [(3, 3, 1, False), (3, 1, 1, False), (3, 1, 2, False), (2, 3, 2, False), (3, 2, 1, True),
                                  (2, 5, 1, False), (3, 1, 2, True), (2, 1, 3, True), (10, 1, 1, True)]:
    case(f"window_{size}_{shift}_{stride}_{int(drop)}", r(7).window(size, shift, stride, drop))
case("padded_batch", r(1, 6).map(ones).padded_batch(2))
case("padded_batch_shape", r(1, 4).map(ones).padded_batch(2, padded_shapes=[4], padding_values=tf.constant(-1, tf.int64)))
case("padded_batch_drop", r(1, 4).map(ones).padded_batch(2, drop_remainder=True))
case("padded_batch_2d", r(1, 5).map(lambda n: tf.fill([n, 5 - n], n)).padded_batch(4, padding_values=tf.constant(9, tf.int64)))
case("flat_map", r(1, 5).flat_map(lambda n: Dataset.range(n)))
case("flat_map_empty", r(0, 4).flat_map(lambda n: Dataset.range(n % 2)))
for cycle, block in [(1, 1), (2, 1), (2, 3), (3, 2), (5, 1), (4, 4)]:
    case(f"interleave_{cycle}_{block}",
         r(1, 7).interleave(lambda n: Dataset.range(10 * n, 10 * n + n), cycle_length=cycle, block_length=block))
case("interleave_uneven",
     r(0, 6).interleave(lambda n: Dataset.range(10 * n, 10 * n + (n * 5) % 7), cycle_length=3, block_length=2))
case("zip", Dataset.zip((r(3), r(10, 15))))
case("concatenate", r(3).concatenate(r(7, 9)))
case("repeat", r(3).repeat(2))
case("repeat_none", r(3).repeat(0))
case("take", r(5).take(3))
case("take_more", r(5).take(9))
case("take_all", r(5).take(-1))
case("skip", r(5).skip(3))
case("skip_more", r(5).skip(9))
case("skip_all", r(5).skip(-1))
case("shard", r(10).shard(3, 1))
case("shard_short", r(4).shard(7, 5))
case("group_by_window",
     r(10).group_by_window(lambda x: x % 3, lambda key, window: window.batch(2), window_size=2))
case("group_by_window_sizes",
     r(12).group_by_window(lambda x: x % 3, lambda key, window: window.batch(10), window_size_func=lambda key: key + 1))
lengths = [0, 4, 1, 2, 8, 3, 3, 5, 7, 2, 1]
sequences = Dataset.from_tensor_slices(np.array(lengths, np.int64)).map(ones)
case("bucket", sequences.bucket_by_sequence_length(lambda x: tf.shape(x)[0], [3, 5], [2, 3, 2]))
case("bucket_drop", sequences.bucket_by_sequence_length(lambda x: tf.shape(x)[0], [3, 5], [2, 3, 2], drop_remainder=True))
case("bucket_boundary", sequences.bucket_by_sequence_length(lambda x: tf.shape(x)[0], [3, 10], [2, 3, 2],
                                                            pad_to_bucket_boundary=True))
choice = Dataset.from_tensor_slices(np.array([0, 1, 2, 0, 2, 1, 1, 1, 1, 0], np.int64))
case("choose", Dataset.choose_from_datasets([r(3), r(10, 14), r(20, 23)], choice))
case("choose_on", Dataset.choose_from_datasets([r(3), r(10, 12), r(20, 23)], choice, stop_on_empty_dataset=False))
case("choose_stop", Dataset.choose_from_datasets([r(3), r(10, 12), r(20, 23)], choice, stop_on_empty_dataset=True))
case("slices", Dataset.from_tensor_slices((np.arange(6).reshape(3, 2), np.arange(3))))
case("tensors", Dataset.from_tensors(np.arange(4)))

pathlib.Path(__file__).with_name("expected.txt").write_text("\n".join(lines) + "\n")
