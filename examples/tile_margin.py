"""How much overlap do tiles need? `halo` gives the margin for an output error, far below the theoretical field.

A large image is processed in tiles. Cutting the input at the tile's border changes outputs near it; a margin of half the
theoretical field avoids that exactly, the halo avoids it up to a stated relative error. Energy eps outside the margin means an
RMS error sqrt(eps), so an error of 1e-3 may leave out 1e-6 of the energy.
"""

import numpy as np

import erffast as ef

TILE = 256

net = ef.parse("conv3 * 40")
erf = ef.variance(net)
print(f"conv3 * 40: theoretical field {erf.receptive_field.size[0]} px, so 40 px of margin are exact")
print(f"   error  margin   pixels computed per pixel kept, tiles of {TILE}")
rows = [("exact", 40)] + [(f"{error:g}", max(erf.halo(error)[0])) for error in (1e-1, 10**-1.5, 1e-2, 1e-3, 1e-4)]
for name, margin in rows:
    print(f"{name:>8.6s}  {margin:6d}   {((TILE + 2 * margin) / TILE) ** 2:.3f}")

# Measured: random weights and white inputs, in one dimension. A linear network's output is <gradient, input>.
rng = np.random.default_rng(7)
layers, draws = 4, 10_000
net = ef.parse("conv7", ndim=1) * layers
expected = ef.variance(net, window="full")
gradients = np.asarray(ef.gradient(net, rng.standard_normal((draws, layers, 7)) / np.sqrt(7), window="full"))
inputs = rng.standard_normal(gradients.shape)
centre = gradients.shape[1] // 2
print(f"\nconv7 * {layers} in 1-D, {draws} draws: relative RMS error of the output")
print("   asked  margin  expected  measured +- standard error")
for error in (0.3, 0.1, 0.03):
    before, after = expected.halo(error)[0]
    cut = inputs.copy()
    cut[:, : centre - before] = 0
    cut[:, centre + after + 1 :] = 0
    output = (gradients * inputs).sum(axis=1)
    change = output - (gradients * cut).sum(axis=1)
    left_out = 1 - expected.marginal()[centre - before : centre + after + 1].sum()
    ratio = (change**2).mean() / (output**2).mean()
    spread = (change**2 - ratio * output**2).std() / np.sqrt(draws) / (output**2).mean()
    print(f"{error:8g}  {before:6d}  {np.sqrt(left_out):8.4f}  {np.sqrt(ratio):8.4f} +- {spread / (2 * np.sqrt(ratio)):.4f}")
