"""The models that are trained, of torch's own layers; each is a module whose call is the loss."""


def model_of(torch, system, case, weights):
    """The module of a case with given weights."""
    name = {"compile_training": "train_perceptron"}.get(case.name, case.name)
    return {"train_perceptron": perceptron, "train_cnn": cnn, "train_transformer": transformer, "train_lstm": lstm}[name](
        torch, system, case, [system.put(value) for value in weights])


def linear(torch, w, b):
    layer = torch.nn.Linear(*w.shape)
    with torch.no_grad():
        layer.weight.copy_(w.T)
        layer.bias.copy_(b)
    return layer


def classifier(torch, layers):
    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, x, labels):
            return torch.nn.functional.cross_entropy(self.layers(x), labels)
    return Classifier()


def perceptron(torch, system, case, weights):
    layers = []
    for i in range(0, len(weights), 2):
        layers += [linear(torch, *weights[i:i + 2]), torch.nn.ReLU()]
    return classifier(torch, layers[:-1])


def cnn(torch, system, case, weights):
    w0, b0, w1, b1, w2, b2 = weights
    nn = torch.nn

    def conv(w, b):
        layer = nn.Conv2d(w.shape[2], w.shape[3], 3)
        with torch.no_grad():
            layer.weight.copy_(w.permute(3, 2, 0, 1))
            layer.bias.copy_(b)
        return layer

    # Torch flattens channels first: the rows of the last weight stand in that order.
    w2 = w2.reshape(12, 12, 64, 10).permute(2, 0, 1, 3).reshape(9216, 10)
    model = classifier(torch, [conv(w0, b0), nn.ReLU(), conv(w1, b1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), linear(torch, w2, b2)])
    return model.to(memory_format=torch.channels_last)


def transformer(torch, system, case, weights):
    g1, b1, wqkv, bqkv, wo, bo, g2, b2, w1, c1, w2, c2 = weights
    nn, F = torch.nn, torch.nn.functional
    n, t, d = case.batch, case.tokens, case.width

    def norm(gamma, beta):
        layer = nn.LayerNorm(d, 1e-3)
        with torch.no_grad():
            layer.weight.copy_(gamma)
            layer.bias.copy_(beta)
        return layer

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = norm(g1, b1), norm(g2, b2)
            self.qkv, self.out = linear(torch, wqkv, bqkv), linear(torch, wo, bo)
            self.wide, self.narrow = linear(torch, w1, c1), linear(torch, w2, c2)

        def forward(self, x):
            q, k, v = (m.view(n, t, 4, d // 4).transpose(1, 2) for m in self.qkv(self.first(x)).split(d, -1))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(n, t, d))
            return (x + self.narrow(F.gelu(self.wide(self.second(x))))).square().mean()
    return Block()


def lstm(torch, system, case, weights):
    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = system.lstm(case.width, *weights)

        def forward(self, x):
            return self.lstm(x)[1][0].square().mean()
    return Last()
