#!/usr/bin/env python3
"""Times the cases of bench_files in tf.data: files.py [THREADS]. Run bench_files once before, which makes the files,
and once after (this makes picture.jpg). Prints medians in milliseconds, as they pass and of the processor. Needs
tensorflow and pillow."""
import os
import sys
import tempfile
import time

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from PIL import Image

folder = os.environ.get("ETCH_BENCH_FILES", os.path.join(tempfile.gettempdir(), "etch_bench_files"))
os.chdir(folder)
if not os.path.exists("picture.jpg"):
    Image.open("picture.png").save("picture.jpg", quality=90)
options = tf.data.Options()
options.threading.private_threadpool_size = threads
options.threading.max_intra_op_parallelism = 1


def report(name, dataset, repeat=7):
    dataset = dataset.with_options(options)
    times = []
    for _ in range(repeat):
        before = time.perf_counter(), time.process_time()
        for element in dataset:
            pass
        times.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    wall, cpu = (sorted(column)[repeat // 2] * 1e3 for column in zip(*times))
    print(f"{name:35} {wall:10.2f} ms {cpu:10.2f} ms of the processor", flush=True)


for size in [100, 1000, 100000]:
    dataset = tf.data.TFRecordDataset(f"records_{size}.tfrecord")
    report(f"tfrecord/batches_of_1024/{size}", dataset.batch(1024))
columns = [tf.float32] * 4 + [tf.int32]
report("csv", tf.data.experimental.CsvDataset("rows.csv", columns, header=True).batch(1024))
report("png/512x512", tf.data.Dataset.from_tensor_slices(["picture.png"] * 32)
       .map(lambda path: tf.io.decode_png(tf.io.read_file(path), channels=3)))
report("jpeg/512x512", tf.data.Dataset.from_tensor_slices(["picture.jpg"] * 32)
       .map(lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")))
