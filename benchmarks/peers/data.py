#!/usr/bin/env python3
"""Times the cases of bench_data that end in 1024 in tf.data: data.py [THREADS]. Prints nanoseconds an element, the median of
several epochs consumed in batches of 1,024. Needs tensorflow 2.21."""
import os
import sys
import time

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
Dataset = tf.data.Dataset
COUNT = 200_000


def report(name, dataset, count):
    times = []
    for _ in range(3):
        before = time.perf_counter()
        for element in dataset:
            pass
        times.append((time.perf_counter() - before) / count * 1e9)
    print(f"{name:25} {sorted(times)[1]:10.1f}", flush=True)


def triple(x):
    return 3 * x + 1


rows = (np.zeros((COUNT // 4, 4), np.float32), np.zeros(COUNT // 4, np.float32))
report("map/1024", Dataset.range(COUNT).map(triple).batch(1024), COUNT)
report("map_parallel/1024", Dataset.range(COUNT).map(triple, num_parallel_calls=tf.data.AUTOTUNE).batch(1024), COUNT)
report("map_struct/1024", Dataset.from_tensor_slices(rows).map(lambda a, b: (b, a)).batch(1024), COUNT // 4)
report("shuffle/1024", Dataset.range(COUNT).shuffle(10_000, seed=1).batch(1024), COUNT)
report("shuffle_mapped/1024", Dataset.range(COUNT).map(triple).shuffle(10_000, seed=1).batch(1024), COUNT)
