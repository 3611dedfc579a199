#!/usr/bin/env python3
"""Makes the .npy files of this folder (needs NumPy only): the weights of a small language model that was not trained, and what
greedy and beam decoding find with it.

    make_data.py
"""

import pathlib

import numpy as np

WORDS, UNITS, BEAMS, MOST, END = 12, 8, 3, 20, 0


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    random = np.random.default_rng(20260503)
    embedding = random.standard_normal((WORDS, UNITS)).astype(np.float32)
    recurrent = (0.6 * random.standard_normal((UNITS, UNITS))).astype(np.float32)
    head = (1.1 * random.standard_normal((UNITS, WORDS))).astype(np.float32)

    def step(token, h):
        h = np.tanh(embedding[token].astype(np.float64) + h @ recurrent)
        return log_softmax(h @ head), h

    def greedy(start):
        token, h, words, score = start, np.zeros(UNITS), [], 0.0
        while len(words) < MOST:
            log_p, h = step(token, h)
            token = int(np.argmax(log_p))
            score += log_p[token]
            words.append(token)
            if token == END:
                break
        return words, score

    def beam(start):
        beams = [(0.0, [], start, np.zeros(UNITS))]
        while len(beams[0][1]) < MOST and not all(b[2] == END and b[1] for b in beams):
            longer = []
            for score, words, token, h in beams:
                if words and token == END:
                    longer.append((score, words + [END], END, h))
                    continue
                log_p, after = step(token, h)
                longer += [(score + log_p[w], words + [w], w, after) for w in range(WORDS)]
            beams = sorted(longer, key=lambda b: -b[0])[:BEAMS]
        return beams[0][1], beams[0][0]

    def padded(words):
        return words + [END] * (MOST - len(words))

    starts = np.arange(1, WORDS)
    found = {name: [decode(int(s)) for s in starts] for name, decode in (("greedy", greedy), ("beam", beam))}
    folder = pathlib.Path(__file__).parent
    for name, array in (("embedding", embedding), ("recurrent", recurrent), ("head", head)):
        np.save(folder / f"{name}.npy", array)
    for name, results in found.items():
        np.save(folder / f"expected_{name}.npy", np.array([padded(words) for words, _ in results], np.int64))
        np.save(folder / f"expected_{name}_scores.npy", np.array([score for _, score in results], np.float32))
        print(name, [len(words) for words, _ in results], np.round([score for _, score in results], 2))


if __name__ == "__main__":
    main()
