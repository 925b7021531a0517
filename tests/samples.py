"""Results to test measures on: uniform stacks in closed form, and the same values as profiles and as an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from erffast.geometry import ReceptiveField, receptive_field
from erffast.layers import Conv, Stack
from erffast.result import ERF


def coefficients(n: int, k: int = 3) -> list[int]:
    """Coefficients of (1 + z + ... + z^(k-1))^n, as integers."""
    out = [1]
    for _ in range(n):
        out = [sum(out[max(0, i - k + 1) : i + 1]) for i in range(len(out) + k - 1)]
    return out


def uniform(n: int, *, k: int = 3, ndim: int = 2, dense: bool = False) -> ERF:
    """The variance image of n uniform layers of k taps on the unbounded plane: exact integers, rounded once."""
    profile = np.array([c / k**n for c in coefficients(n, k)])
    return result([profile] * ndim, dense=dense, receptive_field=receptive_field(Stack([Conv(k)] * n, ndim=ndim)))


def result(profiles: list[Any], *, dense: bool = False, reduction: str = "square", **options: Any) -> ERF:
    """An ERF with these profiles ([length] or [draws, length] each), kept as they are or multiplied out by NumPy."""
    values: dict[str, Any] = {"image": multiplied(profiles), "exponent": 0} if dense else normalised(profiles)
    values["exponent"] = values["exponent"] + options.pop("exponent", 0)
    return placed(values, tuple(np.shape(p)[-1] for p in profiles), reduction=reduction, **options)


def pictured(image: Any, *, reduction: str = "square", draws: bool = False, **options: Any) -> ERF:
    """An ERF of an image."""
    return placed({"image": image}, image.shape[int(draws) :], reduction=reduction, **options)


def placed(values: dict[str, Any], shape: tuple[int, ...], **options: Any) -> ERF:
    """An ERF whose theoretical field is its window, unless `options` say otherwise."""
    field = options.pop("receptive_field", None) or field_of(shape, options.get("origin", (-3,) * len(shape)))
    given = {"origin": field.start, "method": "exact", "engine": "by hand", "unit": (0,) * len(shape), **values, **options}
    return ERF(receptive_field=field, **given)


def field_of(size: tuple[int, ...], start: tuple[int, ...]) -> ReceptiveField:
    centre = tuple(s + (n - 1) / 2 for s, n in zip(start, size, strict=True))
    return ReceptiveField(size=size, jump=(1,) * len(size), start=start, centre=centre)


def multiplied(profiles: list[Any]) -> Any:
    """The outer product, per draw."""
    if np.ndim(profiles[0]) == 2:
        return np.stack([multiplied([p[d] for p in profiles]) for d in range(len(profiles[0]))])
    image = np.asarray(profiles[0], dtype=np.float64)
    for p in profiles[1:]:
        image = np.multiply.outer(image, p)
    return image


def normalised(profiles: list[Any]) -> dict[str, Any]:
    """Profiles with their peaks in [0.5, 1) and the exponent that is left, as propagation hands them over."""
    exponent: Any = 0
    out = []
    for p in profiles:
        powers = np.frexp(np.abs(p).max(axis=-1))[1].astype(np.int64)
        out.append(np.ldexp(np.asarray(p, dtype=np.float64), -powers[..., None]))
        exponent = exponent + powers
    return {"profiles": out, "exponent": exponent}
