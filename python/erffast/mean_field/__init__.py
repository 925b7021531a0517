"""Facts about wide networks that a chain of layers needs: what each layer multiplies the gradient's energy E g^2 by.

`moments` holds the facts about one activation, max-pool or normalisation; `walk` carries them through a whole stack, with
`state` and `repeats`; `blocks` knows chains of equal residual blocks.
A wide layer's inputs are taken as centred normal variables; ReLU, leaky ReLU and identity do not need that assumption
directly above a random convolution: there the gains are exact for any width.
"""

from __future__ import annotations

from .blocks import branch_mixture, post_activation_mixture, pre_activation_gains, reflected_walk
from .moments import (
    GateMoments,
    activation_covariance,
    activation_moments,
    batch_norm_gain,
    data_variance_share,
    max_gate_gain,
    max_moments,
)
from .walk import GainWalk, gains

__all__ = [
    "GainWalk",
    "GateMoments",
    "activation_covariance",
    "activation_moments",
    "batch_norm_gain",
    "branch_mixture",
    "data_variance_share",
    "gains",
    "max_gate_gain",
    "max_moments",
    "post_activation_mixture",
    "pre_activation_gains",
    "reflected_walk",
]
