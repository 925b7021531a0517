"""Images of residual networks in theory: mixtures of plain chains over the number of branches on the way (`mean_field.branch_mixture`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .. import analytic
from ..mean_field import branch_mixture, post_activation_mixture, pre_activation_gains
from ..result import ERF

Array = NDArray[np.float64]
BRANCH = 4 / 3  # std^2 of a branch of two 3-tap convolutions
STAGES = (3, 4, 6, 3)  # basic blocks, of the network with a theoretical field of 505
KINDS = ("plain chain", "unit branches", "batch norm, pre-activation", "batch norm, post-activation")


@lru_cache
def shares(kind: str, blocks: int) -> Array:
    """Of the energy, by number of branches taken, [blocks + 1]."""
    if kind == KINDS[0]:
        return np.asarray(np.eye(blocks + 1)[blocks])
    if kind == KINDS[1]:
        return branch_mixture([1.0] * blocks)
    return branch_mixture(pre_activation_gains(blocks)) if kind == KINDS[2] else post_activation_mixture(blocks)


def variance_of(taken: Array) -> float:
    """std^2 along one axis, in pixels of the blocks' map."""
    return float(taken @ np.arange(taken.size)) * BRANCH


def mixture(taken: Array, ndim: int) -> Array:
    """The image of blocks of two 3-tap convolutions, [4 L + 1] per axis: a sum of plain chains, each with its share."""
    chains = _chains(taken.size - 1)
    return _summed(taken, chains) if ndim == 2 else taken @ chains


def _chains(blocks: int) -> Array:
    """Profiles of 0, 2, 4, ... convolutions about one middle, [blocks + 1, 4 blocks + 1]."""
    return np.stack([np.pad(analytic.pmf(3, 2 * n), 2 * (blocks - n)) for n in range(blocks + 1)])


def _summed(shares: Array, profiles: Array) -> Array:
    """The sum of outer products of profiles with themselves."""
    return np.asarray(profiles.T @ (shares[:, None] * profiles))


def stage_shares(kind: str) -> list[Array]:
    """Of each of the four stages, without norms or with those of post-activation blocks."""
    if kind == KINDS[1]:
        return [branch_mixture([1.0] * blocks) for blocks in STAGES]
    return [post_activation_mixture(blocks, below=True, above=stage < len(STAGES) - 1) for stage, blocks in enumerate(STAGES)]


def staged_variance(stages: Sequence[Array]) -> float:
    """std^2 of a 3x3 stem and stages behind a 3x3 convolution of stride 2 each."""
    total = 2 / 3
    for number, taken in enumerate(stages):
        total += 4**number * (2 / 3 + 4 * variance_of(taken))
    return total


def staged_image(stages: Sequence[Array]) -> Array:
    """The image of the same: a path is a number of branches in each stage, and each path's image an outer product."""
    box = np.full(3, 1 / 3)
    paths = [(1.0, np.ones(1))]
    for taken in reversed(stages):
        chains = _chains(taken.size - 1)
        steps = list(zip(taken, chains, strict=True))
        paths = [(share * more, _strided(np.convolve(profile, chain), box)) for share, profile in paths for more, chain in steps]
    shares, profiles = zip(*paths, strict=True)
    return _summed(np.array(shares), np.stack([np.convolve(profile, box) for profile in profiles]))


def _strided(profile: Array, taps: Array) -> Array:
    """Back through a convolution of stride 2: samples set apart, then its taps."""
    apart = np.zeros(2 * profile.size - 1)
    apart[::2] = profile
    return np.convolve(apart, taps)


@lru_cache
def segmentation_image(kind: str) -> Array:
    """Of the network with a theoretical field of 505."""
    return staged_image(stage_shares(kind))


def pictured(image: Array) -> ERF:
    """An image as a result, for maps beside those of simulations."""
    return ERF.from_gradients(np.sqrt(image), axes="HW", origin=tuple(-(n // 2) for n in image.shape))
