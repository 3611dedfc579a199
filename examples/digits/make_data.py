#!/usr/bin/env python3
"""Makes or checks the .npy files of this folder (needs NumPy only; README.md says where digits.csv.gz comes from).

    make_data.py digits.csv.gz [FOLDER]   trains the perceptron and writes the files
    make_data.py --training digits.csv.gz [FOLDER]   writes the images that it was trained on, for those who train themselves
    make_data.py --check [FOLDER]         checks that the files in FOLDER are complete and agree with one another
"""

import gzip
import pathlib
import sys

import numpy as np

SEED = 20240229
TRAIN, TEST = 1297, 500
LAYERS = (64, 64, 32, 10)
EPOCHS, BATCH = 80, 32
RATE, DECAY, BETA1, BETA2, EPSILON = 2e-3, 1e-4, 0.9, 0.999, 1e-8
WANTED_ACCURACY = 0.96


def read_digits(path):
    """Returns images [1797, 64] scaled to 0..1 and labels [1797]; a line holds 64 pixels of 0..16, then the digit."""
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float64)
    if table.shape != (TRAIN + TEST, 65) or table[:, :64].min() < 0 or table[:, :64].max() > 16:
        raise ValueError(f"{path}: not the 1797 digits of 8x8 pixels that were expected")
    return (table[:, :64] / 16).astype(np.float32), table[:, 64].astype(np.int32)


def forward(images, weights, biases):
    """Returns the input of each layer, and the logits last."""
    values = [images]
    for layer, (w, b) in enumerate(zip(weights, biases)):
        x = values[-1] @ w + b
        values.append(x if layer == len(weights) - 1 else np.maximum(x, 0))
    return values


def gradients(images, labels, weights, biases):
    """Returns the gradients of the mean cross-entropy, in the order weights, biases."""
    values = forward(images, weights, biases)
    odds = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    d = odds / odds.sum(axis=1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    d /= len(labels)
    dw, db = [None] * len(weights), [None] * len(weights)
    for layer in reversed(range(len(weights))):
        dw[layer] = values[layer].T @ d + DECAY * weights[layer]
        db[layer] = d.sum(axis=0)
        d = (d @ weights[layer].T) * (values[layer] > 0)
    return dw + db


def train(images, labels, rng):
    """Trains with Adam (Kingma and Ba, 2015, algorithm 1) in float64; returns weights and biases as float32."""
    weights = [rng.normal(0, np.sqrt(2 / n), (n, m)) for n, m in zip(LAYERS, LAYERS[1:])]
    biases = [np.zeros(m) for m in LAYERS[1:]]
    parameters = weights + biases
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for begin in range(0, len(order), BATCH):
            step += 1
            rows = order[begin:begin + BATCH]
            for p, m, v, g in zip(parameters, first, second, gradients(images[rows], labels[rows], weights, biases)):
                m += (1 - BETA1) * (g - m)
                v += (1 - BETA2) * (g * g - v)
                p -= RATE * (m / (1 - BETA1**step)) / (np.sqrt(v / (1 - BETA2**step)) + EPSILON)
    return [w.astype(np.float32) for w in weights], [b.astype(np.float32) for b in biases]


def logits_of(images, weights, biases):
    """Computes in float64 from the float32 files and rounds once, so that the result serves as a reference."""
    wide = [[array.astype(np.float64) for array in arrays] for arrays in (weights, biases)]
    return forward(images.astype(np.float64), *wide)[-1].astype(np.float32)


def accuracy(logits, labels):
    return float((logits.argmax(axis=1) == labels).mean())


def shuffled(source):
    """Returns images, labels, the generator and which images are for training and for the test."""
    images, labels = read_digits(source)
    rng = np.random.Generator(np.random.PCG64(SEED))
    order = rng.permutation(len(images))
    return images, labels, rng, order[:TRAIN], order[TRAIN:]


def make_training(source, folder):
    images, labels, _, training, _ = shuffled(source)
    np.save(folder / "train_images.npy", np.ascontiguousarray(images[training] * 16).astype(np.uint8))
    np.save(folder / "train_labels.npy", labels[training].astype(np.uint8))


def make(source, folder):
    images, labels, rng, training, test = shuffled(source)
    weights, biases = train(images[training].astype(np.float64), labels[training], rng)

    logits = logits_of(images[test], weights, biases)
    files = {"images": images[test], "labels": labels[test], "expected_logits": logits}
    for layer, (w, b) in enumerate(zip(weights, biases), start=1):
        files[f"w{layer}"], files[f"b{layer}"] = w, b
    reached = accuracy(logits, labels[test])
    if reached < WANTED_ACCURACY:
        raise ValueError(f"test accuracy {reached:.3f} is below {WANTED_ACCURACY}; nothing was written")
    for name, array in files.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array))


def load(folder, name, dtype, shape):
    array = np.load(folder / f"{name}.npy", allow_pickle=False)
    if array.dtype != np.dtype(dtype) or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{name}.npy is {array.dtype}{array.shape}, not {dtype}{shape} in C order")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}.npy holds a value that is not finite")
    return array


def check(folder):
    images = load(folder, "images", "<f4", (TEST, LAYERS[0]))
    labels = load(folder, "labels", "<i4", (TEST,))
    expected = load(folder, "expected_logits", "<f4", (TEST, LAYERS[-1]))
    weights = [load(folder, f"w{i}", "<f4", LAYERS[i - 1:i + 1]) for i in range(1, len(LAYERS))]
    biases = [load(folder, f"b{i}", "<f4", (LAYERS[i],)) for i in range(1, len(LAYERS))]
    if images.min() < 0 or images.max() != 1:
        raise ValueError("images.npy is not scaled to 0..1")
    if set(labels.tolist()) != set(range(LAYERS[-1])):
        raise ValueError("labels.npy does not hold each of the ten digits")
    if not np.allclose(logits_of(images, weights, biases), expected, rtol=1e-6, atol=1e-6):
        raise ValueError("expected_logits.npy does not follow from the images and weights")
    reached = accuracy(expected, labels)
    if reached < WANTED_ACCURACY:
        raise ValueError(f"test accuracy {reached:.3f} is below {WANTED_ACCURACY}")
    training = load(folder, "train_images", "|u1", (TRAIN, LAYERS[0]))
    if training.max() != 16 or set(load(folder, "train_labels", "|u1", (TRAIN,)).tolist()) != set(range(LAYERS[-1])):
        raise ValueError("train_images.npy and train_labels.npy do not hold digits of 0..16")
    print(f"{folder}: 11 files agree, test accuracy {reached:.3f}")


def main(arguments):
    only_training = arguments[:1] == ["--training"]
    arguments = arguments[1:] if only_training else arguments
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    folder = pathlib.Path(arguments[1]) if len(arguments) == 2 else pathlib.Path(__file__).resolve().parent
    try:
        if only_training:
            make_training(arguments[0], folder)
        elif arguments[0] != "--check":
            make(arguments[0], folder)
            make_training(arguments[0], folder)
        check(folder)
    except (OSError, ValueError) as error:
        sys.exit(f"make_data.py: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
