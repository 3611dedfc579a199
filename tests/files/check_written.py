#!/usr/bin/env python3
# Reads the files that Etch wrote (tests/files/written) with TensorFlow and PIL and writes what they hold to read_back.txt.
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))
os.chdir(os.path.join(here, "written"))
lines = []


def values(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else None


for name, compression in [("examples.tfrecord", ""), ("examples.tfrecord.gz", "GZIP")]:
    for record in tf.data.TFRecordDataset(name, compression_type=compression):
        data = record.numpy()
        if len(data) > 1000:
            lines.append(f"{name}: {len(data)} bytes of {set(data)}")
            continue
        example = tf.train.Example.FromString(data)
        features = {key: values(feature) for key, feature in sorted(example.features.feature.items())}
        lines.append(f"{name}: {features}")
for name in ["grey", "grey_alpha", "rgb", "rgba"]:
    image = Image.open(name + ".png")
    same = np.array_equal(np.asarray(image).reshape(13, 18, -1), np.load(f"../made/{name}.png.npy"))
    lines.append(f"{name}.png: {image.mode} {image.size}, {'the pixels of' if same else 'NOT THE PIXELS OF'} made/{name}.png.npy")
with open("read_back.txt", "w") as file:
    file.write("\n".join(lines) + "\n")
