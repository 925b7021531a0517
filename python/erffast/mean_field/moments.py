"""Moments of activations, max-pools and normalisations on normal inputs (mean field of wide layers).

Everything is an expectation over normal variables: in closed form where one is known, else by Gauss-Legendre panels
placed where the activation bends. `q` is the second moment of the input, dimensionless throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _validate as check
from ..layers import ACTIVATIONS

Array: TypeAlias = NDArray[np.float64]

LEAKY_SLOPE = 0.01
SCALE_FREE = ("identity", "relu", "leaky_relu")  # phi(s x) = s phi(x) for s > 0: their gains do not depend on q

# Panel ends in units of the activation's own scale, about 1. Activations bend near 0 and have reached their straight
# asymptotes to 1e-19 at 45. With 40 nodes on a panel neither the poles of tanh at i pi / 2 nor a whole normal density of
# 18 standard deviations cost more than 1e-13.
_BENDS = (12.0, 45.0)
_NODES = 40
_REACH = 9.0  # standard deviations; the mass outside is 2e-19
# Below this variance over the data, in shares of q and absolutely, v' = v E phi'^2 to the same relative precision.
_NEARLY_EQUAL = 1.5e-8


class GateMoments(NamedTuple):
    """Moments of phi(M), M the largest of some independent N(0, q): E phi, E phi^2, E phi', E phi'^2."""

    mean: float
    second: float
    slope: float
    gain: float


def activation_moments(name: str, q: float = 1.0, *, slope: float = LEAKY_SLOPE) -> tuple[float, float]:
    """Second moments of an activation and of its derivative on a normal input.

    Parameters
    ----------
    name : str
        One of `erffast.layers.ACTIVATIONS`.
    q : float
        Second moment of the centred normal input, not negative.
    slope : float
        Slope of leaky_relu on the negative side.

    Returns
    -------
    (float, float)
        ``E phi(sqrt(q) z)^2`` (carries the forward signal) and ``E phi'(sqrt(q) z)^2`` (multiplies the gradient's energy).

    Notes
    -----
    ReLU and leaky ReLU: one half of the energy lies on each side. GELU: Stein's lemma reduces both to
    ``E Phi^2 = 1/4 + arcsin(q / (1 + q)) / (2 pi)`` and ``E (Phi')^2 = 1 / (2 pi sqrt(1 + 2 q))``; compare Tsuchida et
    al., "Avoiding kernel fixed points: computing with ELU and GELU infinite networks", 2021. tanh, sigmoid, SiLU: quadrature.
    """
    moments = max_moments(name, 1, q, slope=slope)
    return moments.second, moments.gain


def activation_covariance(name: str, q: float, rho: float, *, slope: float = LEAKY_SLOPE) -> float:
    """``E phi(u) phi(u')`` for centred normal u, u' of second moment `q` and correlation `rho` in [0, 1].

    ReLU: the arc-cosine kernel of order 1 (Cho & Saul, 2009), ``q (sin t + (pi - t) cos t) / (2 pi)``, t = arccos rho.
    """
    check.choice(name, "name", ACTIVATIONS)
    q, rho = _second_moment(q), check.real(rho, "rho")
    if not 0 <= rho <= 1:
        raise ValueError(f"rho must lie between 0 and 1, got {rho}")
    return activation_moments(name, q, slope=slope)[0] - data_spread(name, q, 1 - rho, slope=slope)


def data_spread(name: str, q: float, share: float, *, slope: float = LEAKY_SLOPE) -> float:
    """``E phi(u)^2 - E phi(u) phi(u')`` where the inputs differ by ``share = 1 - rho``, without cancellation.

    It is the variance over the data of a unit's output, if its input has variance ``share * q`` over the data.
    """
    if share == 0 or q == 0:
        return 0.0
    if name == "identity":
        return q * share
    if name in ("relu", "leaky_relu"):
        a = slope if name == "leaky_relu" else 0.0
        return q * (a * share + (1 - a) ** 2 / 2 * _relu_share(share))
    moments = activation_moments(name, q, slope=slope)
    if share < _NEARLY_EQUAL and (name == "gelu" or q * share < _NEARLY_EQUAL):
        return q * share * moments[1]
    if name == "gelu":
        return moments[0] - _gelu_covariance(q, q * (1 - share))
    return _spread_by_quadrature(name, q, share, slope)


def _relu_share(share: float) -> float:
    """1 - rho after a ReLU from 1 - rho before it: with t = arccos rho, ``(1 - cos t) - (sin t - t cos t) / pi``."""
    angle = 2 * math.asin(math.sqrt(share / 2))
    # sin t - t cos t cancels for small t; two terms of its series are exact to 1e-16 there
    bend = angle**3 / 3 - angle**5 / 30 if angle < 1e-3 else math.sin(angle) - angle * math.cos(angle)
    return share - bend / math.pi


def _gelu_covariance(q: float, c: float) -> float:
    """E gelu(u) gelu(u') by Stein's lemma, c the covariance of u and u' (as in Tsuchida et al., 2021)."""
    both = 0.25 + math.asin(c / (1 + q)) / (2 * math.pi)
    density = 1 / (2 * math.pi * math.sqrt((1 + q - c) * (1 + q + c)))
    return c * both + density * (q * q + c * c - 2 * q * c * c / (1 + q))


def max_moments(name: str, taps: int, q: float = 1.0, *, slope: float = LEAKY_SLOPE) -> GateMoments:
    """Moments of ``phi(M)`` where M is the largest of `taps` independent N(0, q): an activation and a max-pool as one gate.

    For a monotone activation the order of the two does not matter. The largest of T has the density ``T n(z) N(z)^(T-1)``.
    """
    check.choice(name, "name", ACTIVATIONS)
    taps, q = check.integer(taps, "taps", least=1), _second_moment(q)
    if name not in SCALE_FREE:
        return _smooth_moments(name, taps, q)
    unit = _scale_free_moments(name, taps, slope)
    return GateMoments(unit.mean * math.sqrt(q), unit.second * q, unit.slope, unit.gain)


def max_gate_gain(name: str, taps: int, q: float = 1.0, *, slope: float = LEAKY_SLOPE) -> float:
    """``E phi'(M)^2``, M the largest of `taps` independent N(0, q): the gain of an activation next to a max-pool.

    ReLU: exactly ``1 - 2^-taps``, the probability that not all inputs are negative; identity: 1. It takes the place of the
    activation's own gain, it does not multiply it.
    """
    return max_moments(name, taps, q, slope=slope).gain


def gate_spread(name: str, taps: int, q: float, share: float, *, slope: float = LEAKY_SLOPE) -> float:
    """Variance over the data of ``phi(M)``, as `data_spread` for a max over `taps` inputs.

    One tap: `data_spread`. More: an interpolation ``a r + b r^(3/2) + c r^2`` in r = share with the right slope for inputs
    that agree (``q E phi'^2``; the largest changes place with a probability of sqrt r, hence the power) and the right value
    and slope for independent ones (``Var phi(M)``, ``q (E phi')^2 / taps``). Within 1 % of simulations.
    """
    if taps == 1:
        return data_spread(name, q, share, slope=slope)
    moments = max_moments(name, taps, q, slope=slope)
    start = q * moments.gain
    value, end = moments.second - moments.mean**2 - start, q * moments.slope**2 / taps - start
    return share * (start + (4 * value - 2 * end) * math.sqrt(share) + (2 * end - 3 * value) * share)


def batch_norm_gain(name: str, *, slope: float = LEAKY_SLOPE) -> float:
    """Gain of E g^2 per layer of a plain net of convolution, batch norm and activation: ``E phi'^2 / Var phi`` at q = 1.

    ReLU: pi / (pi - 1). The convolutions' own gains cancel.
    """
    return activation_moments(name, 1.0, slope=slope)[1] / data_spread(name, 1.0, 1.0, slope=slope)


def data_variance_share(name: str, layers: int = 1, *, slope: float = LEAKY_SLOPE) -> float:
    """Share ``1 - rho`` of the second moment that is variance over the data, `layers` activations after a batch norm.

    Starts from rho = 0, q = 1, with unit-gain convolutions between the activations. ReLU: 1 - 1/pi = .6817, .506, .395.
    """
    q, share = 1.0, 1.0
    for _ in range(check.integer(layers, "layers", least=1)):
        second = activation_moments(name, q, slope=slope)[0]
        share = data_spread(name, q, share, slope=slope) / second
        # smooth activations without an offset are linear below 1e-100: nothing changes any more, nothing underflows
        q = 1.0 if name in SCALE_FREE else max(second, 1e-100)
    return share


# ---------------------------------------------------------------- quadrature


def _second_moment(q: float) -> float:
    q = check.real(q, "q")
    if q < 0:
        raise ValueError(f"q must not be negative, got {q}")
    return q


def _elementwise(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of `math` over arrays: NumPy has no error function, and importing SciPy for it would be slow."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(ufunc(x), dtype=np.float64)


_erf, _erfc = _elementwise(math.erf), _elementwise(math.erfc)


def _sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(x / 2)  # never overflows


def _normal_density(x: Array) -> Array:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _functions(name: str, slope: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """phi and phi' over arrays. An unbounded q never reaches here: `walk` clips it."""
    table: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
        "identity": (lambda x: x, np.ones_like),
        "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(np.float64)),
        "leaky_relu": (lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1.0, slope)),
        "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        "sigmoid": (_sigmoid, lambda x: (1 - np.tanh(x / 2) ** 2) / 4),
        "gelu": (lambda x: x * _cumulative(x), lambda x: _cumulative(x) + x * _normal_density(x)),
        "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))),
    }
    return table[name]


def _cumulative(x: Array) -> Array:
    return 0.5 * _erfc(-x / math.sqrt(2))


@cache
def _legendre(nodes: int) -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return x, w


def _normal_nodes(mean: Array, std: float, nodes: int = _NODES) -> tuple[Array, Array]:
    """Nodes and weights of E f(x), x ~ N(mean, std^2), broken where activations bend.

    mean: [m]; returns x and weights: [m, panels * nodes].
    """
    low, high = mean - _REACH * std, mean + _REACH * std
    reach = max(float(-low.min()), float(high.max()))
    bends = [b for b in _BENDS if b < reach]
    inner = np.array([-b for b in reversed(bends)] + [0.0] + bends)
    ends = np.concatenate([low[:, None], np.clip(inner, low[:, None], high[:, None]), high[:, None]], axis=1)
    half, middle = np.diff(ends, axis=1)[..., None] / 2, (ends[:, 1:] + ends[:, :-1])[..., None] / 2
    x, w = _legendre(nodes)
    at = middle + half * x
    weights = half * w * _normal_density((at - mean[:, None, None]) / std) / std
    return at.reshape(mean.size, -1), weights.reshape(mean.size, -1)


@cache
def _standard_nodes() -> tuple[Array, Array]:
    x, w = _normal_nodes(np.zeros(1), 1.0)
    return x[0], w[0]


def _max_nodes(taps: int, q: float) -> tuple[Array, Array]:
    """Nodes and weights of E f(M), M the largest of `taps` independent N(0, q)."""
    std = math.sqrt(q)
    if taps == 1 and _REACH * std <= _BENDS[0]:
        z, w = _standard_nodes()
        return std * z, w
    # the largest of many inputs has a narrow density: more nodes
    x, w = (a[0] for a in _normal_nodes(np.zeros(1), std, _NODES if taps == 1 else 4 * _NODES))
    return x, w if taps == 1 else w * taps * _cumulative(x / std) ** (taps - 1)


def _expectations(name: str, slope: float, nodes: tuple[Array, Array]) -> GateMoments:
    function, derivative = _functions(name, slope)
    x, w = nodes
    y, dy = function(x), derivative(x)
    return GateMoments(float(w @ y), float(w @ (y * y)), float(w @ dy), float(w @ (dy * dy)))


@lru_cache(maxsize=1024)
def _smooth_moments(name: str, taps: int, q: float) -> GateMoments:
    if q == 0:
        return _expectations(name, 0.0, (np.zeros(1), np.ones(1)))
    if name == "gelu" and taps == 1:
        both = 0.25 + math.asin(q / (1 + q)) / (2 * math.pi)
        density = 1 / (2 * math.pi * math.sqrt(1 + 2 * q))
        second = q * (both + 2 * q / (1 + q) * density)
        return GateMoments(q / math.sqrt(2 * math.pi * (1 + q)), second, 0.5, both + density * (2 * q / (1 + q) + q / (1 + 2 * q)))
    return _expectations(name, 0.0, _max_nodes(taps, q))


@lru_cache(maxsize=64)
def _scale_free_moments(name: str, taps: int, slope: float) -> GateMoments:
    """At q = 1. The gain is exact for any number of taps: the largest input is negative with probability 2^-taps."""
    low = {"identity": 1.0, "relu": 0.0, "leaky_relu": slope}[name]
    if taps == 1:
        return GateMoments((1 - low) / math.sqrt(2 * math.pi), (1 + low**2) / 2, (1 + low) / 2, (1 + low**2) / 2)
    closed = 2.0**-taps
    return _expectations(name, slope, _max_nodes(taps, 1.0))._replace(gain=1 - closed + low**2 * closed)


def _spread_by_quadrature(name: str, q: float, share: float, slope: float) -> float:
    """E over the part common to u and u' of the variance over the rest: no difference of large numbers is taken."""
    # a sigmoid's constant 1/2 would swamp its variance at small q
    function: Callable[[Array], Array] = (lambda x: np.tanh(x / 2) / 2) if name == "sigmoid" else _functions(name, slope)[0]
    common = q * (1 - share)
    outer: tuple[Any, Any] = (np.zeros((1, 1)), np.ones((1, 1)))
    if common > 1e-30 * q:
        outer = _normal_nodes(np.zeros(1), math.sqrt(common))
    x, w = _normal_nodes(outer[0][0], math.sqrt(q * share))
    y = function(x)
    mean = (w * y).sum(axis=1, keepdims=True)
    return float(outer[1][0] @ (w * (y - mean) ** 2).sum(axis=1))
