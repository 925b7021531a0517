"""The variance image is the mean of g^2 over random weights: a Monte Carlo with its standard error.

Draws of independent zero-mean kernels, the gradient of each by `gradient`, and the mean of its square against `variance`. The
identity holds at every depth and width. How fast the mean converges does not: products of random kernels are heavy-tailed, so
that in a deep narrow network the typical draw lies far below the mean, and the standard error itself comes out too small.
"""

import importlib.util
import itertools

import numpy as np

import erffast as ef

DRAWS = 2000
rng = np.random.default_rng(20161207)


def kernels(layers: int, channels: int) -> list[np.ndarray]:
    """One array [draws, out, in, 3, 3] per layer; one input and one output channel; C_out * Var w = 1/9 keeps the energy."""
    widths = [1] + [channels] * (layers - 1) + [1]
    return [rng.standard_normal((DRAWS, out, into, 3, 3)) / np.sqrt(9 * out) for into, out in itertools.pairwise(widths)]


print(f"{DRAWS} draws; z of a pixel = (mean of g^2 - variance) / standard error; the variance image sums to 1")
print("layers  channels  pixels  rms z  largest |z|    sum of the mean   median draw's sum")
for layers, channels in ((2, 1), (4, 1), (8, 1), (8, 4)):
    net = ef.parse("conv3") * layers
    exact = np.asarray(ef.variance(net, window="full"))
    squares = np.asarray(ef.gradient(net, kernels(layers, channels), window="full")) ** 2
    mean, error = squares.mean(axis=0), squares.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    z = (mean - exact) / error
    sums = squares.sum(axis=(1, 2))
    print(
        f"{layers:6d}  {channels:8d}  {exact.size:6d}  {np.sqrt((z**2).mean()):5.2f}  {np.abs(z).max():11.2f}"
        f"    {sums.mean():5.3f} +- {sums.std(ddof=1) / np.sqrt(DRAWS):5.3f}   {np.median(sums):17.3f}"
    )

if importlib.util.find_spec("matplotlib"):
    net = ef.parse("conv3") * 20
    first, second = (ef.gradient(net, rng.standard_normal((20, 3, 3)) / 3) for _ in range(2))
    ef.compare([first, second, ef.variance(net)], ["one draw", "another", "E[g^2]"]).savefig("gradient_vs_variance.png")
    print("wrote gradient_vs_variance.png")
