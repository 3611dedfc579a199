#!/usr/bin/env python3
"""Derives the polynomial coefficients of compiler/math/vector_math_*.h (needs mpmath).

Usage: minimax.py [--list] [NAME...]

Each FITS entry is a function, an interval, a list of powers, a weight and a precision in bits. A Remez exchange on a
dense grid finds the polynomial with the smallest maximum of |weight * error|. Its coefficients are rounded; where that
is better, they are rounded one by one instead, lowest power first, and the rest is fitted again (least squares) each
time.
Source of the exchange: E. Remes, "Sur un procede convergent d'approximations successives", 1934.
"""
import struct
import sys
from mpmath import mp, mpf
import mpmath as m

mp.prec = 240


def solve(f, w, powers, points):
    n = len(powers)
    a = mp.matrix(n + 1, n + 1)
    b = mp.matrix(n + 1, 1)
    for i, x in enumerate(points):
        for j, p in enumerate(powers):
            a[i, j] = x ** p
        a[i, n] = (-1) ** i / w(x)
        b[i] = f(x)
    s = mp.lu_solve(a, b)
    return [s[j] for j in range(n)], abs(s[n])


def remez(f, w, powers, lo, hi, values=None):
    n = len(powers)
    size = max(40 * (n + 1), 200)
    grid = [(lo + hi) / 2 - (hi - lo) / 2 * m.cos(m.pi * (i + mpf(1) / 2) / size) for i in range(size)]
    fx = values or [(f(x), w(x)) for x in grid]
    cache = {x: v for x, v in zip(grid, fx)}
    step = (size - 1) / mpf(n)
    points = [grid[int(i * step)] for i in range(n + 1)]
    worst = None
    for _ in range(30):
        c, e = solve(lambda x: cache[x][0], lambda x: cache[x][1], powers, points)
        error = [cache[x][1] * (sum(cj * x ** p for cj, p in zip(c, powers)) - cache[x][0]) for x in grid]
        worst = max(abs(v) for v in error)
        if worst <= e * mpf('1.0001') or n == 0:
            break
        runs, best = [], 0
        for i in range(size):
            if runs and (error[i] > 0) == (error[best] > 0):
                if abs(error[i]) > abs(error[best]):
                    best = i
                    runs[-1] = i
            else:
                best = i
                runs.append(i)
        while len(runs) > n + 1:
            runs.pop(0 if abs(error[runs[0]]) < abs(error[runs[-1]]) else -1)
        if len(runs) < n + 1:
            break
        points = [grid[i] for i in runs]
    return c, worst, grid, fx


def least_squares(powers, grid, values, weights):
    """The weighted least-squares fit; on Chebyshev nodes it lies close to the minimax one."""
    n = len(powers)
    rows = [[w * x ** p for p in powers] for x, w in zip(grid, weights)]
    a = mp.matrix(n, n)
    b = mp.matrix(n, 1)
    for i in range(n):
        for j in range(i, n):
            a[i, j] = a[j, i] = m.fsum(r[i] * r[j] for r in rows)
        b[i] = m.fsum(r[i] * w * v for r, w, v in zip(rows, weights, values))
    s = mp.lu_solve(a, b)
    return [s[j] for j in range(n)]


def rounded(x, bits):
    with mp.workprec(bits):
        return +x


def worst_error(c, powers, grid, fx):
    return max(abs(w * (sum(cj * x ** p for cj, p in zip(c, powers)) - v)) for x, (v, w) in zip(grid, fx))


def fit(f, lo, hi, powers, weight, bits):
    c, ideal, grid, fx = remez(f, weight, powers, mpf(lo), mpf(hi))
    plain = [rounded(v, bits) for v in c]
    refitted = []
    residual = [v for v, _ in fx]
    weights = [w for _, w in fx]
    for i, power in enumerate(powers):
        value = rounded(least_squares(powers[i:], grid, residual, weights)[0], bits)
        refitted.append(value)
        residual = [r - value * x ** power for r, x in zip(residual, grid)]
    best = min((plain, refitted), key=lambda c: worst_error(c, powers, grid, fx))
    return list(zip(powers, best)), ideal, worst_error(best, powers, grid, fx), c[0] - best[0]


LN2 = m.log(2)
R = LN2 / 2 * mpf('1.002')
SQ_LO, SQ_HI = 1 / m.sqrt(2) - 1 - mpf('1e-4'), m.sqrt(2) - 1 + mpf('1e-4')
PIO4 = m.pi / 4 * mpf('1.001')
one = lambda x: mpf(1)


def atanh_tail(z):
    """(log((1+s)/(1-s)) - 2s) / s^3 as a function of z = s^2."""
    s = m.sqrt(z)
    return 2 * (m.atanh(s) - s) / s ** 3 if z > mpf('1e-30') else mpf(2) / 3


def odd_tail(g):
    """(g(s) - s) / s^3 as a function of z = s^2, for an odd g with g'(0) = 1."""
    return lambda z: (g(m.sqrt(z)) - m.sqrt(z)) / m.sqrt(z) ** 3


Z_LOG = (m.sqrt(2) - 1) ** 2 / (m.sqrt(2) + 1) ** 2 * mpf('1.001')
FITS = {}


def add(name, f, lo, hi, powers, weight, bits):
    FITS[name] = (f, lo, hi, list(powers), lambda x: abs(weight(x)), bits)


for bits, tag, deg in ((24, 'f32', 6), (53, 'f64', 10), (53, 'f64_short', 5)):
    add('expm1_tail_' + tag, lambda r: (m.expm1(r) - r) / r ** 2, -R, R, range(deg), lambda r: r * r / m.expm1(r), bits)
for bits, tag, deg in ((24, 'f32', 7), (53, 'f64', 12), (53, 'f64_short', 7)):
    add('exp2_' + tag, lambda r: m.expm1(r * LN2) / r, -.501, .501, range(deg), lambda r: r * m.power(2, -r), bits)
for name, bits, deg in (('f32', 24, 5), ('f64', 53, 10)):
    add('exp_tail_' + name, lambda r: (m.expm1(r) - r) / r ** 2, -R, R, range(deg), lambda r: r * r * m.exp(-r), bits)
add('log_tail_f32', lambda x: (m.log1p(x) - x + x * x / 2) / x ** 3, SQ_LO, SQ_HI, range(8),
    lambda x: x ** 3 / m.log1p(x), 24)
add('log_tail_f64', atanh_tail, 0, Z_LOG, range(7), lambda z: z, 53)
add('log_pair_tail_f64', lambda z: (atanh_tail(z) - mpf(2) / 3) / z, mpf('1e-6'), Z_LOG, range(8), one, 53)
add('log_tail_f64_short', atanh_tail, 0, Z_LOG, range(4), lambda z: z, 53)
sin_tail = odd_tail(m.sin)
cos_tail = lambda z: (m.cos(m.sqrt(z)) - 1 + z / 2) / z ** 2
for bits, tag, ns, nc in ((24, 'f32', 3, 3), (53, 'f64', 6, 6)):
    add('sin_tail_' + tag, sin_tail, 0, PIO4 ** 2, range(ns), lambda z: z, bits)
    add('cos_tail_' + tag, cos_tail, 0, PIO4 ** 2, range(nc), lambda z: z * z, bits)
add('tan_tail_f32', odd_tail(m.tan), 0, PIO4 ** 2, range(7), lambda z: z, 24)
add('tan_tail_f64', odd_tail(m.tan), 0, PIO4 ** 2, range(14), lambda z: z, 53)
add('asin_tail_f32', odd_tail(m.asin), 0, .25, range(5), lambda z: z, 24)
add('asin_tail_f64', odd_tail(m.asin), 0, .25, range(12), lambda z: z, 53)
add('atan_tail_f32', odd_tail(m.atan), 0, .25, range(5), lambda z: z, 24)
add('atan_tail_f64_short', odd_tail(m.atan), 0, .25, range(7), lambda z: z, 53)
add('atan_tail_f64', odd_tail(m.atan), 0, .25, range(13), lambda z: z, 53)
add('sinh_tail_f32', odd_tail(m.sinh), 0, 1, range(4), lambda z: z, 24)
add('sinh_tail_f64', odd_tail(m.sinh), 0, 1, range(7), lambda z: z, 53)

# erf(x) = x + x P(x^2) for |x| < 1.
erf_small = lambda z: m.erf(m.sqrt(z)) / m.sqrt(z) - 1
add('erf_small_f64', erf_small, 0, 1, range(13), one, 53)


# erfc(a) = exp(-a^2) P(t) / (1 + 2a), t = (a - K) / (a + K):
# M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981).
def erfcx_of(k, t):
    a = k * (1 + t) / (1 - t)
    return m.exp(a * a) * m.erfc(a) * (1 + 2 * a)


def erfcx_end(k, a):
    return (mpf(a) - k) / (mpf(a) + k)


add('erfcx_f64_short', lambda t: erfcx_of(2.5, t), -1, erfcx_end(2.5, 11), range(12), one, 53)
add('erfcx_f64', lambda t: erfcx_of(4, t), -1, erfcx_end(4, 28), range(23), one, 53)


# 1 / Gamma(1 + t) = 1 + t (1 - t) S(t).
def reciprocal_gamma(t):
    if abs(t) < mpf('1e-40') or abs(1 - t) < mpf('1e-40'):
        t += mpf('1e-40')
    return (m.rgamma(1 + t) - 1) / (t * (1 - t))


add('rgamma_f64', reciprocal_gamma, -.5, 2, range(19), one, 53)
add('rgamma_f64_short', reciprocal_gamma, -.5, 1, range(9), one, 53)

# psi(x) = (x - root) R(x - 7/4), x from 1 to 5/2.
PSI_ROOT = m.findroot(m.digamma, mpf('1.4616321449683623'))
add('digamma_f64', lambda d: m.digamma(d + mpf('1.75')) / (d + mpf('1.75') - PSI_ROOT),
    mpf('-.75001'), mpf('.75001'), range(26), one, 53)

# erf_inv(x) = x F(w), w = -log(1 - x^2), in pieces of w and sqrt(w): M. Giles, Approximating the erfinv function, 2010.
def erf_inv_factor(w):
    x = m.sqrt(-m.expm1(-w))
    return m.erfinv(x) / x


central = lambda d: erf_inv_factor(d + mpf('3.125'))
add('erf_inv_central_f32', central, mpf('-3.124999'), mpf('3.125'), range(11), one, 53)
add('erf_inv_tail_f32', lambda d: erf_inv_factor((d + mpf('3.25')) ** 2), -.75, mpf('.85'), range(10), one, 53)
add('erf_inv_central_f64', central, mpf('-3.124999'), mpf('3.125'), range(25), one, 53)
add('erf_inv_tail_f64', lambda d: erf_inv_factor((d + mpf('3.25')) ** 2), -.75, .75, range(21), one, 53)
add('erf_inv_far_f64', lambda d: erf_inv_factor((d + 5) ** 2), -1, mpf('1.1'), range(20), one, 53)


def float_bits(x):
    return struct.unpack('<I', struct.pack('<f', float(x)))[0]


def float_of(bits):
    return mpf(struct.unpack('<f', struct.pack('<I', bits))[0])


def pieces(f, slope, scale, start, shift, end, degree):
    """The rows of internal::Pieces: centres, then coefficients, and the greatest relative error. In the first piece they are
    those of f(x) - slope * x. Behind it, centres are chosen where the constant is nearly a float."""
    scale, start, end = mpf(scale), mpf(start), mpf(end)
    first, last = float_bits(start) >> shift, float_bits(start + scale * end) >> shift
    rows, worst = {}, 0
    for i in range(first, last + 1):
        lo = (float_of(i << shift) - start) / scale
        hi = min(end, (float_of((i + 1) << shift) - start) / scale)
        if i == first:
            g = lambda x: f(x) / x - slope
            done, _, error, _ = fit(g, mpf('1e-9'), hi, range(degree), lambda x: x / f(x), 24)
            rows[i & 7] = [mpf(0), mpf(0)] + [v for _, v in done]
        else:
            middle = rounded((lo + hi) / 2, 24)
            g = lambda u: f(u + middle)
            c, _, _, _ = remez(g, lambda u: 1 / g(u), range(degree + 1), lo - middle, hi - middle)
            near = float_bits(middle)
            span = min(2000, int((hi - lo) / 8 / middle * 2 ** 23))
            centres = [float_of(near + t) for t in range(-span, span + 1)]
            lost = lambda x: abs(x - rounded(x, 24))
            centre = min(centres, key=lambda x: lost(sum(cj * (x - middle) ** j for j, cj in enumerate(c))))
            moved = [rounded(sum(c[q] * mp.binomial(q, j) * (centre - middle) ** (q - j) for q in range(j, degree + 1)), 24)
                     for j in range(degree + 1)]
            rows[i & 7] = [centre] + moved
            grid = [lo + (hi - lo) * t / 200 for t in range(201)]
            error = max(abs(sum(cj * (x - centre) ** j for j, cj in enumerate(moved)) / f(x) - 1) for x in grid)
        worst = max(worst, error)
    return [[rows[i][j] for i in range(8)] for j in range(degree + 2)], worst


PIECES = {
    'erf_pieces_f32': (m.erf, 1, '0.261999994516372680664', '1.1875', 20, '3.925', 6),
    'tanh_pieces_f32': (m.tanh, 0, '1', '0.75', 22, '9.2', 7),
}


def print_pieces(name):
    table, worst = pieces(*PIECES[name])
    print(f'// {name}: error 2^{m.nstr(m.log(worst, 2), 5)}')
    for row in table:
        print('{{' + ', '.join(m.nstr(v, 9, min_fixed=-1, max_fixed=1) + 'f' for v in row) + '}},')


def main():
    names = [a for a in sys.argv[1:] if a != '--list'] or list(FITS) + list(PIECES)
    if '--list' in sys.argv:
        print('\n'.join(list(FITS) + list(PIECES)))
        return
    for name in names:
        if name in PIECES:
            print_pieces(name)
            continue
        f, lo, hi, powers, weight, bits = FITS[name]
        done, ideal, final, lead = fit(f, lo, hi, powers, weight, bits)
        suffix = 'f' if bits == 24 else ''
        print(f'// {name}: error 2^{m.nstr(m.log(final, 2), 5)} (before rounding 2^{m.nstr(m.log(ideal, 2), 5)})')
        digits = 9 if bits == 24 else 17
        body = ', '.join(m.nstr(v, digits, min_fixed=-1, max_fixed=1) + suffix for _, v in done)
        print(f'{{{body}}}')
        print(f'// exact first coefficient minus the rounded one: {m.nstr(lead, 17)}')


if __name__ == '__main__':
    main()
