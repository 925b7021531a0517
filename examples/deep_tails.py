"""How faint a pixel can be and still be right: Fourier transforms, bands and tilted bands against exact integers.

Kernels of whole numbers laid out on a sheared lattice have no outer product, but their image is one on that lattice, so Python's
integers give every pixel exactly. A Fourier transform is right to a share of the peak: a pixel of 1e-20 of it is noise. Where
errors are to be relative to each pixel, erffast runs layer by layer, or, in deep stacks, tilts the layers towards each part of the window.
"""

import numpy as np

import erffast as ef

rng = np.random.default_rng(20161207)
N = 400
lines = rng.integers(20, 50, (2, N, 3))


def exact_line(kernels: np.ndarray) -> list[int]:
    """Coefficients of a 1-D chain [n, 3] in Python's integers."""
    image = [1]
    for kernel in kernels.tolist():
        grown = [0] * (len(image) + 2)
        for i, value in enumerate(image):
            for a, tap in enumerate(kernel):
                grown[i + a] += tap * value
        image = grown
    return image


def sheared(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The kernel that has rows[a] * columns[b] at (a + b, b)."""
    kernel = np.zeros((5, 3))
    for b in range(3):
        kernel[b : b + 3, b] = rows * columns[b]
    return kernel


kernels = np.array([sheared(r, c) for r, c in zip(*lines, strict=True)])
rows, columns = (exact_line(line) for line in lines)
net = ef.parse("conv5x3") * N


def by_transform() -> np.ndarray:
    """What is usually done: a product of transforms, each kernel of total 1, and one inverse transform. The whole support."""
    shape = (4 * N + 1, 2 * N + 1)
    y, x = (np.exp(-2j * np.pi * np.outer(f, np.arange(k))) for f, k in ((np.fft.fftfreq(shape[0]), 5), (np.fft.rfftfreq(shape[1]), 3)))
    product = 1.0 + 0j
    for kernel in kernels:
        product = product * (y @ (kernel / kernel.sum()) @ x.T)
    return np.fft.irfft2(product, s=shape)


transformed = by_transform()
peak = ef.gradient(net, kernels, accuracy="peak")
pixel = ef.gradient(net, kernels, engine="spectral", accuracy="pixel")
total = sum(rows) * sum(columns)
top = max(rows) * max(columns) / total
# a pixel of ef.gradient is in units of the kernels' taps: its share of the mass is that over the product of their totals
power = total.bit_length()
mass = total / 2**power


def share(erf: ef.ERF, y: int, x: int) -> float:
    """A pixel as a share of the mass; nan outside the window."""
    i, j = y - erf.origin[0], x - erf.origin[1]
    inside = 0 <= i < erf.shape[0] and 0 <= j < erf.shape[1]
    return float(np.ldexp(erf.image[i, j], erf.exponent - power)) / mass if inside else np.nan


print(f"{N} layers on a sheared lattice: relative errors of single pixels, from the mean to the edge of the window")
print("pixel / peak   transform       band     tilted   its bound")
corner = pixel.origin[0] + pixel.shape[0] // 4, pixel.origin[1] + pixel.shape[1] - 1
for step in np.linspace(0, 1, 6):
    y, x = (round(m + step * (o - m)) for m, o in zip(pixel.mean(), corner, strict=True))
    exact = rows[y - x] * columns[x] / total
    errors = [abs(value / exact - 1) for value in (transformed[y, x], share(peak, y, x), share(pixel, y, x))]
    print(f"{exact / top:12.1e}  {errors[0]:10.1e} {errors[1]:10.1e} {errors[2]:10.1e}  {pixel.error:10.1e}")
    assert errors[2] <= pixel.error < 1e-10
