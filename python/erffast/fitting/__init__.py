"""Models fitted to the weights of an ERF: which function is it, and by how much not?

A model's value at a pixel is its density at the pixel's centre, times one pixel: what theory means by "the image is close to a
Gaussian". Models of a product of profiles are products too, where their axes are independent, and every distance is then had without
forming either; elliptical ones are fitted and compared on the box that holds all but 1e-13 of the mass on either side.

What is least is the Kullback-Leibler divergence of the model from the mass, sum of p log(p/q): the likelihood with the mass as weights is
greatest. The Gaussian has the mean and covariance of the mass, which is that. Two models are fitted otherwise: an Edgeworth series has
the mass's cumulants, and a raised cosine the least total variation, for its divergence is infinite as soon as any mass lies beyond it.

Values at centres are not integrals over pixels. Where a model is wide they sum to 1 all the same. Where it has a cusp, or is as narrow as a
pixel, they do not: their excess over 1 counts as divergence, and parameters of an image drawn from a cusped model are found again to some
parts in a thousand, not to rounding.

`cross_validated` judges models by draws they have not seen.
"""

from __future__ import annotations

from .fits import Fit, fit, stacked
from .moments import edgeworth_log, gaussian_log
from .validation import CrossValidation, cross_validated

__all__ = ["CrossValidation", "Fit", "cross_validated", "edgeworth_log", "fit", "gaussian_log", "stacked"]
