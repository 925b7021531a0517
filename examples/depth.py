"""How the effective field grows with depth: size as sqrt(n), share of the theoretical field as 1/sqrt(n).

Uniform 3 x 3 layers. Each has variance (9 - 1)/12 = 2/3 per axis and variances add, so std = sqrt(2n/3), while the theoretical
field grows linearly: 2n + 1. Slopes over finite depths differ a little from +-1/2, and depend on which size is meant.
"""

import importlib.util
import math

import numpy as np

import erffast as ef

DEPTHS = (5, 10, 20, 40, 1000)

print("    n  field      std  std/sqrt(n)  level size  of the root    ratio  ratio*sqrt(n)")
results = {}
for n in DEPTHS:
    erf = results[n] = ef.variance(ef.parse("conv3") * n)
    print(
        f"{n:5d}  {erf.receptive_field.size[0]:5d}  {erf.std()[0]:7.4f}  {erf.std()[0] / math.sqrt(n):11.6f}  {erf.level_size():10.2f}"
        f"  {erf.amplitude().level_size():11.2f}  {erf.ratio():7.4f}  {erf.ratio() * math.sqrt(n):13.4f}"
    )


def slope(values: list[float], depths: tuple[int, ...]) -> float:
    """Of the line through (log n, log value), by least squares."""
    return float(np.polyfit(np.log(depths), np.log(values), 1)[0])


print("\nslopes over n = 5, 10, 20, 40  size   ratio   (size - ratio = slope of the field)")
few = DEPTHS[:4]
for name, view in (("power E[g^2]", lambda erf: erf), ("amplitude, its root", lambda erf: erf.amplitude())):
    sizes = [view(results[n]).level_size() for n in few]
    shares = [view(results[n]).ratio() for n in few]
    print(f"{name:28s} {slope(sizes, few):6.3f}  {slope(shares, few):6.3f}   {slope(sizes, few) - slope(shares, few):.3f}")

deep = ef.variance(ef.parse("conv3") * 100_000)
print(f"\n100,000 layers: std {deep.std()[0]:.6f}, sqrt(2n/3) = {math.sqrt(2e5 / 3):.6f}; 1/ratio = {1 / deep.ratio():.1f}")

if importlib.util.find_spec("matplotlib"):
    ef.compare([results[n] for n in few], [f"{n} layers" for n in few]).savefig("depth.png")
    print("wrote depth.png")
