"""Fifteen 3 x 3 layers: dense, with three of them strided by 2, with three of them dilated by 2, 4 and 8.

Luo et al. 2016 compare these three networks by pictures; here they are as numbers. The paper does not say which layers stride;
this example spreads them. The variance of each layer, J^2 d^2 (k^2 - 1)/12 per axis, adds: dilation 2, 4, 8 gives
12 * 2/3 + (4 + 16 + 64) * 2/3 = 64, a standard deviation of exactly 8.
"""

import importlib.util

import erffast as ef
from erffast import analytic

NETWORKS = {
    "dense": "conv3 * 15",
    "strided": "(conv3 * 4, conv3/2) * 3",
    "dilated": "conv3 * 12, conv3:d2, conv3:d4, conv3:d8",
}

print("          field    std  level size  excess kurtosis  off the Gaussian  centre/peak")
results = {}
for name, text in NETWORKS.items():
    net = ef.parse(text)
    erf = results[name] = ef.variance(net)
    kurtosis = analytic.cumulants(net, axis=0).excess_kurtosis
    # max_deviation: the largest distance to the fitted 2-D Gaussian in any pixel, as a share of the peak
    off = erf.fit(["gaussian"])[0].max_deviation
    print(
        f"{name:8s}  {erf.receptive_field.size[0]:5d}  {erf.std()[0]:5.3f}  {erf.level_size():10.2f}  {kurtosis:15.3f}"
        f"  {off:15.1%}   {analytic.comb(net, axis=0):10.3f}"
    )

# Why the dilated one looks square: its profile is nearly flat, and the image is the product of two of them.
profile = results["dilated"].marginal(0)
middle = len(profile) // 2
print("\ndilated, share of the peak at 0, 4, 8, 12, 16, 20 px:", *(f"{profile[middle + d] / profile.max():.2f}" for d in range(0, 21, 4)))

# Strides too early leave a comb: neighbouring pixels are reached through very different numbers of paths.
print("\nthree strides, then 12 layers: centre/peak per axis", f"{analytic.comb(ef.parse('conv3/2 * 3, conv3 * 12'), axis=0):.3f}")
print("four layers before each stride:", f"{analytic.comb(ef.parse(NETWORKS['strided']), axis=0):.3f}")

if importlib.util.find_spec("matplotlib"):
    ef.compare(list(results.values()), list(results)).savefig("subsampling_and_dilation.png")
    print("\nwrote subsampling_and_dilation.png")
