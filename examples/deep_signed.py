"""The gradient of deep stacks of signed kernels: loops in floating point against exact integers, and what erffast returns.

Kernels of small whole numbers, so that Python's integers give the image without any rounding. A loop over the layers, as any
framework runs it, loses digits with depth: each layer's rounding is multiplied by what later layers amplify most. erffast
multiplies transfer functions instead, and says how right it is.
"""

import importlib.util

import numpy as np

import erffast as ef

rng = np.random.default_rng(20161207)


def exact_chain(kernels: np.ndarray) -> np.ndarray:
    """The image of a 1-D chain [n, 3] in Python's integers, as shares of its largest value, rounded once."""
    image = np.array([1], dtype=object)
    for kernel in kernels[::-1]:
        grown = np.zeros(len(image) + 2, dtype=object)
        for a, tap in enumerate(kernel.tolist()):
            grown[a : a + len(image)] += tap * image
        image = grown
    peak = max(abs(value) for value in image)
    return np.array([value / peak for value in image])


def loop(kernels: np.ndarray, dtype: type) -> np.ndarray:
    """The same layer by layer in floating point, brought back to a peak of 1 after each layer."""
    image = np.ones(1, dtype=dtype)
    for kernel in kernels[::-1]:
        image = np.convolve(image, kernel.astype(dtype))
        image /= np.abs(image).max()
    return image


def error(image: np.ndarray, exact: np.ndarray) -> float:
    """Largest error of any pixel as a share of the peak."""
    return float(np.abs(image / np.abs(image).max() - exact).max())


print("1-D stacks of 3 taps, whole numbers from -9 to 9; errors of the worst pixel / peak against exact integers")
print("layers  field   float32 loop   float64 loop        erffast   it reports  engine")
for n in (10, 30, 100, 300, 1000):
    kernels = rng.integers(-9, 10, (n, 3))
    exact = exact_chain(kernels)
    erf = ef.gradient(ef.parse("conv3", ndim=1) * n, kernels.astype(float), window="full")
    errors = [error(loop(kernels, dtype), exact) for dtype in (np.float32, np.float64)] + [error(erf.image, exact)]
    print(f"{n:6d}  {len(exact):5d}  " + "  ".join(f"{e:13.1e}" for e in errors) + f"  {erf.error:11.1e}  {erf.engine}")
    assert errors[2] <= erf.error < 1e-12

print()
print("2-D: one draw of normal 3 x 3 kernels, peak and size of the squared gradient")
weights = rng.standard_normal((1000, 3, 3)) / 3
results = []
for n in (30, 300, 1000):
    erf = ef.gradient(ef.parse("conv3") * n, weights[:n], period="full")
    results.append(erf)
    std = " x ".join(f"{s:5.2f}" for s in erf.std())
    print(f"{n:6d} layers  field {erf.receptive_field.size[0]:4d}  peak 10**{erf.log10_peak():.1f}  std {std}")

if importlib.util.find_spec("matplotlib"):
    ef.compare(results, ["30 layers", "300 layers", "1000 layers"]).savefig("deep_signed.png")
    print("wrote deep_signed.png")
