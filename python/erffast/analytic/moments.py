"""Moments: cumulants of independent steps add, and that is all there is to the size of a chain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .. import _validate as check
from ..layers import Layer, Stack
from .chain import as_stack, axis_of, jump_of, offset, steps


@dataclass(frozen=True)
class Cumulants:
    """The first four cumulants of a distribution along one axis, in powers of input pixels. Independent ones add."""

    mean: float = 0.0
    variance: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    def __add__(self, other: Cumulants) -> Cumulants:
        return Cumulants(self.mean + other.mean, self.variance + other.variance, self.third + other.third, self.fourth + other.fourth)

    def scaled(self, spacing: float) -> Cumulants:
        """Of the same distribution on taps `spacing` pixels apart."""
        return Cumulants(self.mean * spacing, self.variance * spacing**2, self.third * spacing**3, self.fourth * spacing**4)

    def repeated(self, times: float) -> Cumulants:
        """Of the sum of `times` independent copies."""
        return Cumulants(self.mean * times, self.variance * times, self.third * times, self.fourth * times)

    @property
    def std(self) -> float:
        """Standard deviation in input pixels."""
        return math.sqrt(self.variance)

    @property
    def skewness(self) -> float:
        """kappa3 / std^3; 0 for a single point, and for one so nearly so that the power underflows."""
        cube = self.variance**1.5
        return self.third / cube if cube else 0.0

    @property
    def excess_kurtosis(self) -> float:
        """kappa4 / std^4; 0 for a single point, and for one so nearly so that the power underflows."""
        square = self.variance**2
        return self.fourth / square if square else 0.0


def tap_cumulants(weights: ArrayLike) -> Cumulants:
    """Cumulants of taps 0, 1, 2, ... with these relative weights, [k]: not negative, not all zero."""
    w = check.real_array(weights, "weights").astype(np.float64)
    if w.ndim != 1 or (w < 0).any() or not w.any():
        raise ValueError(f"weights must be one axis of non-negative numbers, not all zero, got {weights!r}")
    w = w / w.sum()
    at = np.arange(w.size)
    mean = float(w @ at)
    second, third, fourth = (float(w @ (at - mean) ** p) for p in (2, 3, 4))
    return Cumulants(mean, second, third, fourth - 3 * second**2)


def uniform_cumulants(kernel: int) -> Cumulants:
    """Of k equal taps: variance (k^2 - 1) / 12, fourth cumulant -(k^4 - 1) / 120."""
    kernel = check.integer(kernel, "kernel", least=1)
    return Cumulants((kernel - 1) / 2, (kernel**2 - 1) / 12, 0.0, -(kernel**4 - 1) / 120)


def cumulants(net: Layer, *, axis: int | None = None, unit: int | Sequence[int] = 0) -> Cumulants | tuple[Cumulants, ...]:
    """Cumulants of the variance image of a chain on the unbounded plane, exact, without forming it.

    Parameters
    ----------
    net : Layer
        A `Stack`, or a single layer. Convolutions with any tap variances, strides and dilations, pools; other layers have
        no extent.
    axis : int, optional
        One axis; None: all of them.
    unit : int or tuple of int
        The output unit; the mean is in input coordinates.

    Returns
    -------
    Cumulants, or a tuple of them
        ``std^2 = sum_l J_l^2 d_l^2 var_l`` with J the jump below layer l and d its dilation, uniform taps having
        ``var = (k^2 - 1) / 12``; the higher ones alike (sums of independent steps; Luo et al., NIPS 2016, for equal layers).
    """
    stack = as_stack(net)
    units = check.per_axis(check.integers(unit, "unit"), stack.ndim, "unit")
    if axis is None:
        return tuple(_along(stack, a, units[a]) for a in range(stack.ndim))
    axis = axis_of(stack, axis)
    return _along(stack, axis, units[axis])


def _along(net: Stack, axis: int, unit: int) -> Cumulants:
    total = Cumulants(mean=float(offset(net, axis) + jump_of(net, axis) * unit))
    for step in steps(net, axis):
        total += tap_cumulants(step.weights).scaled(step.spacing).repeated(step.times)
    return total


def std_of_layers(kernels: Sequence[int], *, strides: Sequence[int] | None = None, dilations: Sequence[int] | None = None) -> float:
    """``sqrt(sum J^2 d^2 (k^2 - 1) / 12)`` for uniform layers given as plain numbers, one axis, input first; input pixels."""
    strides, dilations = strides or [1] * len(kernels), dilations or [1] * len(kernels)
    if not len(kernels) == len(strides) == len(dilations):
        raise ValueError(f"kernels, strides and dilations must be equally long, got {len(kernels)}, {len(strides)} and {len(dilations)}")
    total, jump = 0.0, 1
    for k, s, d in zip(kernels, strides, dilations, strict=True):
        total += (jump * d) ** 2 * (k**2 - 1) / 12
        jump *= s
    return math.sqrt(total)


def growth(kernel: int, n: int) -> float:
    """Std of n uniform layers: ``sqrt(n (k^2 - 1) / 12)`` input pixels (Luo et al., NIPS 2016); linear in k only for large k."""
    return math.sqrt(check.integer(n, "n", least=0) * (check.integer(kernel, "kernel", least=1) ** 2 - 1) / 12)


def field_size(kernel: int, n: int) -> int:
    """Side of the theoretical field of n layers: ``n (k - 1) + 1`` input pixels."""
    return check.integer(n, "n", least=0) * (check.integer(kernel, "kernel", least=1) - 1) + 1


def ratio(kernel: int, n: int) -> float:
    """Std over the side of the theoretical field; falls as ``sqrt((k + 1) / (12 (k - 1) n))`` (Luo et al., NIPS 2016: 1 / sqrt n)."""
    return growth(kernel, n) / field_size(kernel, n)


def residual_variance(
    blocks: int, *, branch_variance: float, branch_gain: float = 1.0, identity_gain: float = 1.0, jump: int = 1, distance: float = 0.0
) -> float:
    """std^2 of a chain of residual blocks, in input pixels squared.

    Parameters
    ----------
    blocks : int
        Number L of blocks.
    branch_variance : float
        sigma_F^2 of the branch, in pixels of the block's own map: ``(k^2 - 1) / 12`` for each of its uniform convolutions.
    branch_gain, identity_gain : float
        alpha and beta: what branch and identity multiply E g^2 by.
    jump : int
        Input pixels between neighbouring units of the block's map.
    distance : float
        Delta between the centres of branch and identity, in pixels of that map.

    Notes
    -----
    A block is the kernel ``(beta delta + alpha u_F) / (alpha + beta)``: with q = alpha / (alpha + beta) each adds
    ``J^2 [q sigma_F^2 + q (1 - q) Delta^2]``, the variance of a mixture; over the blocks a binomial mixture of path lengths.
    """
    blocks = check.integer(blocks, "blocks", least=0)
    if branch_gain < 0 or identity_gain < 0 or branch_gain + identity_gain <= 0:
        raise ValueError(f"branch_gain and identity_gain must not be negative nor both zero, got {branch_gain} and {identity_gain}")
    q = branch_gain / (branch_gain + identity_gain)
    return blocks * jump**2 * (q * branch_variance + q * (1 - q) * distance**2)


def gaussian_level_size(std: float, *, level: float = 0.0455, ndim: int = 2) -> float:
    """Size of a Gaussian above `level` of its peak: ndim-th root of the volume, in input pixels.

    The contour's radius is ``std sqrt(2 ln(1 / level))``. In 2-D at .0455: radius 2.486 std, size 4.406 std, 95.45 % of the mass.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    ball = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}
    if ndim not in ball:
        raise ValueError(f"ndim must be 1, 2 or 3, got {ndim!r}")
    return float(std * math.sqrt(-2 * math.log(level)) * ball[ndim] ** (1 / ndim))
