"""The models that are trained, in terms of an array module: losses as functions of a list of parameters, and both optimizers.
Those of torch are in systems/torch.py, with its own layers."""

import math

LEARNING_RATE = {"sgd": 0.01, "adam": 0.001}
EPSILON = 1e-7


class Models:
    """`xp` is what Definitions takes, with conv_valid, max_pool, gelu_erf, attend and scan_lstm."""

    def __init__(self, xp):
        self.xp = xp

    def loss(self, case):
        """loss(parameters, *data) of a case."""
        return getattr(self, "loss_of_" + {"compile_training": "train_perceptron"}.get(case.name, case.name))(case)

    def cross_entropy(self, logits, labels):
        xp = self.xp
        return -xp.mean(xp.pick(xp.log_softmax(logits), labels), None)

    def loss_of_train_perceptron(self, case):
        def loss(weights, x, labels):
            for i in range(0, len(weights) - 2, 2):
                x = self.xp.relu(x @ weights[i] + weights[i + 1])
            return self.cross_entropy(x @ weights[-2] + weights[-1], labels)
        return loss

    def loss_of_train_cnn(self, case):
        xp = self.xp

        def loss(weights, x, labels):
            w0, b0, w1, b1, w2, b2 = weights
            x = xp.relu(xp.conv_valid(x, w0) + b0)
            x = xp.max_pool(xp.relu(xp.conv_valid(x, w1) + b1))
            return self.cross_entropy(xp.reshape(x, (case.batch, -1)) @ w2 + b2, labels)
        return loss

    def normal(self, x, gamma, beta):
        xp = self.xp
        centred = x - xp.mean(x, -1, keepdims=True)
        return centred / xp.sqrt(xp.mean(centred * centred, -1, keepdims=True) + 1e-3) * gamma + beta

    def loss_of_train_transformer(self, case):
        xp = self.xp
        n, t, d, heads = case.batch, case.tokens, case.width, 4

        def loss(weights, x):
            g1, b1, wqkv, bqkv, wo, bo, g2, b2, w1, c1, w2, c2 = weights
            qkv = xp.reshape(self.normal(x, g1, b1) @ wqkv + bqkv, (n, t, 3, heads, d // heads))
            q, k, v = (xp.transpose(qkv[:, :, i], (0, 2, 1, 3)) for i in range(3))
            s = q @ xp.transpose(k, (0, 1, 3, 2)) * (1 / math.sqrt(d // heads))
            a = xp.softmax(xp.where(xp.lower_triangle(t, t), s, -1e9)) @ v
            x = x + xp.reshape(xp.transpose(a, (0, 2, 1, 3)), (n, t, d)) @ wo + bo
            x = x + xp.gelu_erf(self.normal(x, g2, b2) @ w1 + c1) @ w2 + c2
            return xp.mean(x * x, None)
        return loss

    def loss_of_train_lstm(self, case):
        def loss(weights, x):
            h = self.xp.scan_lstm(x, *weights)
            return self.xp.mean(h * h, None)
        return loss


def sgd(weights, gradients):
    """The next weights."""
    return [w - LEARNING_RATE["sgd"] * g for w, g in zip(weights, gradients)]


def adam(xp, weights, moments, gradients):
    """The next weights and moments; moments are (first of each, second of each, steps so far)."""
    first, second, t = moments
    t = t + 1
    first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients)]
    second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients)]
    rate = LEARNING_RATE["adam"] * xp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    weights = [w - rate * m / (xp.sqrt(v) + EPSILON) for w, m, v in zip(weights, first, second)]
    return weights, (first, second, t)


def widened(arrays, width):
    """The inputs of compile_training with so many units in its first hidden layer; what is in them does not matter."""
    import numpy as np
    x, labels, w0, b0, w1, *rest = arrays
    return [x, labels, np.resize(w0, (w0.shape[0], width)), np.resize(b0, width), np.resize(w1, (width, w1.shape[1])), *rest]
