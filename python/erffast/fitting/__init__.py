"""Models fitted to the weights of an ERF: the Gaussian, and its Edgeworth correction.

A model's value at a pixel is its density at the pixel's centre, times one pixel: what theory means by "the image is close to a
Gaussian". Models of a product of profiles are products too, and every distance is then had without forming either.
"""

from __future__ import annotations

from .fits import Fit, fit, stacked
from .moments import edgeworth_log, gaussian_log

__all__ = ["Fit", "edgeworth_log", "fit", "gaussian_log", "stacked"]
