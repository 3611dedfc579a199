"""More loops for numba: layout, small products, broadcasts that are reduced, stencils and loops of groups 7, 10, 20, 21 and 23."""

from systems.numba_kernels import MAKERS, compiled, maker


@maker
def add_transposed(system, case):
    return [(case.inputs[0][1], "f4")], compiled(system, """
def kernel(a, b, out):
    n = a.shape[0]
    for block in prange((n + 31) // 32):
        for left in range(0, n, 32):
            for i in range(block * 32, min(block * 32 + 32, n)):
                for j in range(left, min(left + 32, n)):
                    out[i, j] = a[i, j] + b[j, i]
""")


@maker
def permute_0213(system, case):
    a, b, c, d = case.inputs[0][1]
    return [((a, c, b, d), "f4")], compiled(system, """
def kernel(x, out):
    for ab in prange(x.shape[0] * x.shape[2]):
        i, k = ab // x.shape[2], ab % x.shape[2]
        for j in range(x.shape[1]):
            for l in range(x.shape[3]):
                out[i, k, j, l] = x[i, j, k, l]
""")


@maker
def strided_slice(system, case):
    shape = tuple(-(-n // case.step) for n in case.shape)
    return [(shape, "f4")], compiled(system, """
def kernel(x, out):
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = x[i * step, j * step] * f32(2)
""", step=case.step)


@maker
def roll_stencil(system, case):
    return [(case.inputs[0][1], "f4")], compiled(system, """
def kernel(x, out):
    n, m = x.shape
    for i in prange(n):
        up, down = i - 1 if i else n - 1, i + 1 if i + 1 < n else 0
        a, b, c = x[up], x[i], x[down]
        for j in range(1, m - 1):
            out[i, j] = (a[j - 1] + a[j] + a[j + 1] + b[j - 1] + b[j + 1] + c[j - 1] + c[j] + c[j + 1]) - f32(8) * b[j]
        for j in (0, m - 1):
            l, r = j - 1 if j else m - 1, j + 1 if j + 1 < m else 0
            out[i, j] = (a[l] + a[j] + a[r] + b[l] + b[r] + c[l] + c[j] + c[r]) - f32(8) * b[j]
""")


@maker
def pad(system, case):
    n = case.inputs[0][1][0] + 32
    return [((n, n), "f4")], compiled(system, """
def kernel(x, out):
    n = x.shape[0]
    for i in prange(n + 32):
        if i < 16 or i >= n + 16:
            out[i, :] = f32(0)
        else:
            out[i, :16] = f32(0)
            out[i, 16:n + 16] = x[i - 16]
            out[i, n + 16:] = f32(0)
""")


@maker
def concat(system, case):
    n = case.inputs[0][1][0]
    body = "out[i] = a[i]\n        out[i + n] = b[i]" if case.axis == 0 else "out[i, :n] = a[i]\n        out[i, n:] = b[i]"
    return [((2 * n, n) if case.axis == 0 else (n, 2 * n), "f4")], compiled(system, f"""
def kernel(a, b, out):
    n = a.shape[0]
    for i in prange(n):
        {body}
""")


@maker
def rgb_to_grey(system, case):
    return [(case.inputs[0][1][:2], "f4")], compiled(system, """
def kernel(x, out):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = f32(0.299) * x[i, j, 0] + f32(0.587) * x[i, j, 1] + f32(0.114) * x[i, j, 2]
""")


@maker
def grey_to_rgb(system, case):
    return [((*case.inputs[0][1], 3), "f4")], compiled(system, """
def kernel(x, out):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j, 0] = x[i, j]
            out[i, j, 1] = x[i, j] * f32(0.9)
            out[i, j, 2] = x[i, j] * f32(0.8)
""")


@maker
def batch_matmul(system, case):
    shape = case.inputs[0][1]
    return [(shape, "f4")], compiled(system, """
def kernel(a, b, out):
    for p in prange(a.shape[0]):
        for i in range(n):
            for j in range(n):
                out[p, i, j] = f32(0)
            for k in range(n):
                x = a[p, i, k]
                for j in range(n):
                    out[p, i, j] += x * b[p, k, j]
""", n=shape[1])


@maker
def nbody(system, case):
    return [(case.inputs[0][1], "f4")], compiled(system, """
def kernel(x, mass, out):
    n = x.shape[0]
    xs, ys, zs = x[:, 0].copy(), x[:, 1].copy(), x[:, 2].copy()
    for i in prange(n):
        ax, ay, az = f32(0), f32(0), f32(0)
        for j in range(n):
            dx, dy, dz = xs[j] - xs[i], ys[j] - ys[i], zs[j] - zs[i]
            r2 = dx * dx + dy * dy + dz * dz + f32(0.01)
            w = mass[j] / (r2 * math.sqrt(r2))
            ax += w * dx
            ay += w * dy
            az += w * dz
        out[i, 0], out[i, 1], out[i, 2] = ax, ay, az
""")


@maker
def rbf(system, case):
    (m, width), (n, _) = case.inputs[0][1], case.inputs[1][1]
    return [((m, n), "f4")], compiled(system, """
def kernel(x, y, out):
    columns = y.T.copy()
    for i in prange(x.shape[0]):
        for j in range(columns.shape[1]):
            total = f32(0)
            for k in range(width):
                d = x[i, k] - columns[k, j]
                total += d * d
            out[i, j] = math.exp(f32(-0.5) * total)
""", width=width)


@maker
def nearest(system, case):
    (m, width) = case.inputs[0][1]
    return [((m,), "i8")], compiled(system, """
def kernel(x, y, out):
    columns = y.T.copy()
    n = columns.shape[1]
    for i in prange(x.shape[0]):
        distances = np.empty(n, np.float32)
        best = f32(np.inf)
        for j in range(n):
            total = f32(0)
            for k in range(width):
                d = x[i, k] - columns[k, j]
                total += d * d
            distances[j] = total
            best = min(best, total)
        for j in range(n):
            if distances[j] == best:
                out[i] = j
                break
""", width=width)


@maker
def heat(system, case):
    return [(case.inputs[0][1], "f4")], compiled(system, """
def kernel(u, out):
    n, m = u.shape
    a, b = u.copy(), u.copy()
    for step in range(steps):
        for i in prange(1, n - 1):
            for j in range(1, m - 1):
                b[i, j] = a[i, j] + f32(0.1) * (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1] - f32(4) * a[i, j])
        a, b = b, a
    out[:] = a
""", steps=case.steps)


def mandelbrot(system, case):
    return [(case.inputs[0][1], "i4")], compiled(system, """
def kernel(cx, cy, out):
    for i in prange(cx.shape[0]):
        for j in range(cx.shape[1]):
            x, y, count = f32(0), f32(0), 0
            while count < turns:
                xx, yy = x * x, y * y
                if xx + yy > f32(4):
                    break
                y = f32(2) * x * y + cy[i, j]
                x = xx - yy + cx[i, j]
                count += 1
            out[i, j] = count
""", turns=case.turns)


# A loop is how it is written for numba, unrolled or not.
MAKERS["mandelbrot_while"] = MAKERS["mandelbrot_unrolled"] = mandelbrot


@maker
def scalar_loop(system, case):
    kernel = compiled(system, """
def kernel(x):
    x = np.uint64(x)
    for _ in range(steps):
        x = x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        x ^= x >> np.uint64(33)
    return np.int64(x)
""", steps=case.steps)

    def call(x, out):
        out[()] = kernel(x[()])
    return [((), "i8")], call


@maker
def newton(system, case):
    return [(case.inputs[0][1], "f4")], compiled(system, """
def kernel(x, out):
    for i in prange(x.shape[0]):
        out[i] = (x[i] + f32(1)) / f32(2)
    change = f32(1)
    while change > limit:
        change = f32(0)
        for i in prange(x.shape[0]):
            r = f32(0.5) * (out[i] + x[i] / out[i])
            change = max(change, abs(r - out[i]) / r)
            out[i] = r
""", limit=case.limit)
