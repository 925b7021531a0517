"""E g^2 of wide tanh networks for given inputs: gains that differ from place to place.

In a wide layer the inputs of an activation are normal, and their second moment q depends on the place: on the brightness of the input
around it, and on how many taps of the windows below hang over a zero-padded border. So it is carried forward as a map, and the gains
E phi'(sqrt(q) z)^2 multiply the image on its way back (the mean field of Poole et al. 2016, "Exponential expressivity in deep neural
networks through transient chaos", without its assumption that all places are alike).

The first layer is not wide: it has one input channel, and a weight on a bright pixel is large where its activation is far out. Of the
nine weights w and the activation's input h = sum w x, E[w_a^2 | h] = (1 + r_a (h^2 / q - 1)) / 9 with r_a = x_a^2 / sum x^2, so that
bright pixels lose more than their surroundings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TABLE = 400  # roots of q that moments are computed at; linear in between is right to 1e-5
REACH, STEP = 9.0, 0.01  # of the sum that an integral over the normal density is taken as


def tanh_image(inputs: Array, layers: int, unit: tuple[int, int], *, padding: int = 0) -> Array:
    """E g^2 of one unit of 3x3 convolutions with tanh between any two, for each of the inputs.

    Parameters
    ----------
    inputs : float64 [n, rows, columns]
        One channel each.
    layers : int
        Convolutions, at least 2, of weights with variance 1 / fan_in ("lecun"), infinitely many channels between them.
    unit : (int, int)
        Of the last map.
    padding : {0, 1}
        Zeros around the map of every layer.

    Returns
    -------
    float64 [n, rows, columns]
        True values: without tanh, and away from borders, the sum over each would be 1.
    """
    moments = _Moments(float(np.abs(inputs).max(initial=0)))
    squares = np.square(inputs)
    first = _means(squares, padding)
    seconds = [first]
    for _ in range(layers - 2):
        seconds.append(_means(moments.second(seconds[-1]), padding))
    image = np.zeros((len(inputs), *_means(seconds[-1], padding).shape[1:]))
    image[:, unit[0], unit[1]] = 1.0
    for second in reversed(seconds):
        below = _spread(image, padding)
        image = moments.gain(second) * below
    bent = below * moments.bend(first) / np.maximum(9 * first, np.finfo(np.float64).tiny)
    return _spread(image, padding) + squares * _spread(bent, padding)


class _Moments:
    """Moments of tanh(sqrt(q) z), z standard normal, by tables up to the largest root of q."""

    def __init__(self, most: float) -> None:
        z = np.arange(-REACH, REACH + STEP / 2, STEP)
        density = np.exp(-z * z / 2) * (STEP / np.sqrt(2 * np.pi))  # analytic integrands: sums converge beyond all powers of the step
        self._root = np.linspace(0, max(most, 1.0), TABLE)
        value = np.square(np.tanh(np.multiply.outer(self._root, z)))
        slope = np.square(1 - value)
        self._second, self._gain, self._bend = value @ density, slope @ density, slope @ (density * (z * z - 1))

    def second(self, q: Array) -> Array:
        """E phi^2."""
        return np.asarray(np.interp(np.sqrt(q), self._root, self._second))

    def gain(self, q: Array) -> Array:
        """E phi'^2."""
        return np.asarray(np.interp(np.sqrt(q), self._root, self._gain))

    def bend(self, q: Array) -> Array:
        """E phi'^2 (z^2 - 1): how much less passes a weight that decides on the activation's input."""
        return np.asarray(np.interp(np.sqrt(q), self._root, self._bend))


def _means(maps: Array, padding: int) -> Array:
    """The mean of every 3x3 window, zeros beyond a padded border counted: forward by a convolution, [n, rows, columns]."""
    return _sums(np.pad(maps, ((0, 0), (padding, padding), (padding, padding))))


def _spread(image: Array, padding: int) -> Array:
    """The transpose of `_means`: back by a convolution."""
    beyond = 2 - padding
    return _sums(np.pad(image, ((0, 0), (beyond, beyond), (beyond, beyond))))


def _sums(padded: Array) -> Array:
    lines = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    return np.asarray((lines[:, :, :-2] + lines[:, :, 1:-1] + lines[:, :, 2:]) / 3)
