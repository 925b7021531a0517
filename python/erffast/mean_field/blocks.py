"""Chains of equal residual blocks: which share of the gradient's energy takes how many branches.

With a fresh random convolution in every branch, E g^2 of a block is that of its identity plus that of its branch, whose gain is alpha. A
chain of blocks is then a mixture over the number of branches on the way, and its image the mixture of plain chains of as many branches.

Batch norm makes alpha fall with depth: what enters a block grows from block to block, and its norm divides by that. With the ReLU inside
the branches (pre-activation, He et al. 2016b) blocks are independent. With a ReLU behind each sum (post-activation, He et al. 2016a) what a
channel carries is a random walk reflected at zero, x <- max(x + z, 0) with z normal of variance 1, and gates on the identity path are open
more often than half, and together: the energy is carried as a function of where the walk stands.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _validate as check
from .moments import _cumulative, _legendre, _normal_density, data_variance_share

Array = NDArray[np.float64]
NODES = 16  # Gauss-Legendre nodes on each unit of the walk: its moments to 1e-13
FAR = 8.0  # standard deviations of the walk that are looked at


def branch_mixture(gains: ArrayLike) -> Array:
    """Shares of the energy that take 0, 1, ... of the branches: coefficients of ``prod (1 + alpha z) / (1 + alpha)``.

    Parameters
    ----------
    gains : array_like [L]
        alpha of each of L blocks, the gain of its branch over that of its identity; not negative.

    Returns
    -------
    float64 array [L + 1], sum 1; equal gains make a binomial distribution with q = alpha / (1 + alpha)
    """
    alphas = np.asarray(gains, dtype=np.float64).ravel().tolist()
    if any(not 0 <= alpha < math.inf for alpha in alphas):
        raise ValueError(f"gains must not be negative, nor infinite, got {gains!r}")
    shares = np.ones(1)
    for alpha in alphas:
        shares = np.convolve(shares, [1 / (1 + alpha), alpha / (1 + alpha)])
    return shares


def pre_activation_gains(blocks: int, *, variance: float = 2.0, last: float = 2.0) -> Array:
    """alpha of the blocks x + conv(relu(norm(conv(relu(norm(x)))))), by batch norm.

    Parameters
    ----------
    blocks : int
        L.
    variance : float
        Over the data, of what enters the first block.
    last : float
        sigma_2^2, the weight variance of a branch's last convolution times its fan-in: 2 of the scheme "he".

    Returns
    -------
    float64 array [L]
        ``alpha_l = (last / 2) / (kappa s_l)``, ``s_{l+1} = s_l + last kappa / 2`` with kappa = 1 - 1 / pi; about 2.152 / l far on, so that
        std^2 grows as the logarithm of L only.
    """
    kappa = data_variance_share("relu")
    entering = variance + last * kappa / 2 * np.arange(check.integer(blocks, "blocks", least=0))
    return np.asarray(last / 2 / (kappa * entering))


class Walk(NamedTuple):
    """max(sum of normals, 0), reflected at zero in each step: its law on the nodes of a quadrature, and the atom at zero."""

    nodes: Array  # [n], positive
    weights: Array  # [n], of the quadrature
    density: Array  # [n]
    atom: float

    def mean(self, values: Array) -> Array:
        """Expectation over the part above zero of `values` [n, ...]."""
        return np.asarray((self.density * self.weights) @ values)

    @property
    def variance(self) -> float:
        return float(self.mean(self.nodes**2) - self.mean(self.nodes) ** 2)


def reflected_walk(steps: int) -> list[Walk]:
    """The laws after 1, 2, ..., `steps` steps from zero."""
    steps = check.integer(steps, "steps", least=1)
    nodes, weights = _half_line(FAR * math.sqrt(steps + 1))
    near, forth = _normal_density(nodes), _normal_density(nodes[:, None] - nodes)
    laws = [Walk(nodes, weights, near, 0.5)]
    for _ in range(steps - 1):
        before = laws[-1]
        density = before.atom * near + forth @ (before.density * weights)
        laws.append(Walk(nodes, weights, density, before.atom * 0.5 + float(before.mean(_cumulative(-nodes)))))
    return laws


def post_activation_mixture(blocks: int, *, below: bool = False, above: bool = False) -> Array:
    """Shares of the energy that take 0, 1, ... branches of relu(x + norm(conv(relu(norm(conv(x)))))), by batch norm, in wide networks.

    Parameters
    ----------
    blocks : int
        L; what enters the first is the ReLU of a normal variable.
    below, above : bool
        Whether the gates of that ReLU, and of the one behind the last sum, count in: where a layer is below, or above.

    Returns
    -------
    float64 array [L + 1], sum 1

    Notes
    -----
    With u_l the sum before a ReLU, e_l(u) = E[g^2 | u_l = u], x_l = max(u_l, 0), and F the branch as a kernel,
    ``a_l(x) = E_z e_{l+1}(x + z) + beta_l F E_u e_{l+1}(u)``, ``e_l(u) = 1(u > 0) a_l(u)``: the identity goes on from where the walk
    stands, the branch mixes the channels. Its gain is beta_l = 1 / (kappa Var x_l), kappa = 1 - 1 / pi. Expectations by Gauss-Legendre.
    """
    blocks = check.integer(blocks, "blocks", least=0)
    if blocks == 0:
        return np.ones(1)
    *laws, top = reflected_walk(blocks + 1)
    near, forth = _normal_density(top.nodes), _normal_density(top.nodes[:, None] - top.nodes)
    seen = _above_all(top, np.eye(1, blocks + 1), above)
    for law in reversed(laws[1:]):
        _, positive = _block(law, seen)
        weighted = law.weights[:, None] * positive
        seen = _Seen(near @ weighted, forth @ weighted, law.mean(positive))
    at_zero, positive = _block(laws[0], seen)
    total = laws[0].mean(positive) + (0.0 if below else laws[0].atom * at_zero)
    return np.asarray(total / total.sum())


class _Seen(NamedTuple):
    """Energies e(u) at a sum u as seen from below, by number of branches."""

    from_zero: Array  # [L + 1], E_z e(z)
    from_nodes: Array  # [n, L + 1], E_z e(x + z)
    mean: Array  # [L + 1], E_u e(u)


def _above_all(top: Walk, one: Array, gated: bool) -> _Seen:
    """At the last sum, where all energy has taken no branch; behind its ReLU, or before it."""
    if gated:
        return _Seen(0.5 * one[0], _cumulative(top.nodes)[:, None] * one, (1 - top.atom) * one[0])
    return _Seen(one[0], np.repeat(one, top.nodes.size, axis=0), one[0])


def _block(law: Walk, seen: _Seen) -> tuple[Array, Array]:
    """a(0) and a(nodes) below a block."""
    branch = np.roll(seen.mean, 1) / (data_variance_share("relu") * law.variance)
    return seen.from_zero + branch, seen.from_nodes + branch


def _half_line(end: float) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on [0, end], in panels of one unit."""
    x, w = _legendre(NODES)
    middles = np.arange(0.5, end, 1.0)
    nodes = (middles[:, None] + 0.5 * x).ravel()
    return nodes, np.tile(0.5 * w, middles.size)
