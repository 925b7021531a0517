"""The tolerances of the numerical tests: one table. Widening a bound is a change of its own, with a reason."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["gradient", "deep gradient", "repeats", "variance", "deep variance", "covariance", "account", "std"]


class Bound(NamedTuple):
    bound: float
    reason: str


# (kind, dtype, engine): "any" stands for every engine.
TABLE: dict[tuple[Kind, str, str], Bound] = {
    ("gradient", "float64", "any"): Bound(
        1e-12, "of the peak: 8 layers of at most 4 x 49 terms round to some 1e-14; amplification by signed kernels takes the rest"
    ),
    ("gradient", "float32", "direct"): Bound(
        1e-5, "of the peak: 8 layers round to some 1e-6; where more is expected the library computes in float64"
    ),
    ("gradient", "float32", "separable"): Bound(2e-7, "of the peak: profiles are float64, one rounding to float32 (6e-8) remains"),
    ("gradient", "float32", "spectral"): Bound(2e-7, "of the peak: computed in float64, one rounding to float32 (6e-8) remains"),
    ("deep gradient", "float64", "spectral"): Bound(
        1e-11, "of the peak, at 1000 signed layers: frequencies are rounded to some 1e-14 of themselves, periods are certified to 1e-12"
    ),
    ("repeats", "float64", "spectral"): Bound(
        1e-14, "of the peak, at 10,000 equal layers: the power is taken to a few roundings, whatever the exponent"
    ),
    ("variance", "float64", "any"): Bound(
        1e-12, "of each pixel: positive terms only, one rounding a tap and layer: 8 x 49 x 1.1e-16 = 4e-14"
    ),
    ("variance", "float32", "direct"): Bound(3e-5, "of each pixel: as above with 6e-8 a rounding"),
    ("variance", "float32", "separable"): Bound(2e-7, "of each pixel: profiles are float64, one rounding to float32 (6e-8) remains"),
    ("deep variance", "float64", "any"): Bound(1e-12, "of each pixel: at 1000 layers of 5 taps at most 5000 roundings of 1.1e-16, 6e-13"),
    ("covariance", "float64", "any"): Bound(1e-12, "of the peak: the oracle itself sums correlated terms in float64"),
    ("account", "float64", "any"): Bound(1e-13, "absolute: a share of 1, from sums of at most 1e5 positive terms"),
    ("std", "float64", "any"): Bound(1e-9, "relative: 1e-12 of the mass may be missing 7 standard deviations out"),
}


def tolerance(kind: Kind, dtype: str = "float64", engine: str = "any") -> float:
    """The bound for a kind of result; that of the engine where it has one of its own."""
    return (TABLE.get((kind, dtype, engine)) or TABLE[kind, dtype, "any"]).bound
