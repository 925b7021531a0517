"""Skip connections: `Residual`, a layer made of layers. Users find it in `erffast.layers`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ._stack import Layer, Stack, _set

SHOWN = 80  # characters of a block in a message


@dataclass(frozen=True, repr=False, eq=False, init=False)
class Residual(Layer):
    """A block with a skip connection: what its body and its shortcut make of one map, added.

    Parameters
    ----------
    body : Layer or iterable of Layer
        At least one layer; kept as a `Stack`.
    shortcut : Layer or iterable of Layer, optional
        None, or no layer at all, is the identity.
    name : str, optional
        A label for tables and for the ``layer=`` option; not part of the layer's value.

    Notes
    -----
    The network that takes the block fixes the number of axes of what is inside, as it does for any layer, whatever stacks it was
    made of; a `Stack` counts the block as one layer. Body and shortcut must have the same stride, and on a map make maps of the
    same size: ValueError from `receptive_field`, and from whoever asks for the size of a map.

    Examples
    --------
    >>> import erffast as ef
    >>> block = ef.Residual([ef.Conv(3, padding=1), ef.Activation("relu"), ef.Conv(3, padding=1)])
    >>> str(block)
    'residual(conv3:p1, relu, conv3:p1)'
    >>> ef.receptive_field(block * 8).size
    (33, 33)
    """

    body: Stack
    shortcut: Stack | None = None
    name: str | None = field(default=None, compare=False)

    def __init__(self, body: Layer | Iterable[Layer], shortcut: Layer | Iterable[Layer] | None = None, *, name: str | None = None) -> None:
        inner = _stacked(body, "body")
        if not len(inner):
            raise ValueError('body is empty: a block needs at least one layer, were it Activation("identity")')
        beside = None if shortcut is None else _stacked(shortcut, "shortcut")
        _set(self, body=inner, shortcut=beside or None, name=name)

    @property
    def branches(self) -> tuple[Stack, ...]:
        """The body, and the shortcut if it is not the identity."""
        return (self.body,) if self.shortcut is None else (self.body, self.shortcut)

    @property
    def shown(self) -> str:
        """The label, cut to the length of a message."""
        return self.label if len(self.label) <= SHOWN else f"{self.label[: SHOWN - 4].rstrip()} ..."

    def check_ndim(self, ndim: int) -> None:
        for branch in self.branches:
            branch.check_ndim(ndim)

    def with_axes(self, ndim: int) -> Residual:
        if all(branch.ndim == ndim for branch in self.branches):
            return self
        return Residual(*(branch.with_axes(ndim) for branch in self.branches), name=self.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Residual):
            return NotImplemented
        mine, its = self.branches, other.branches
        return len(mine) == len(its) and all(map(Stack.same_layers, mine, its))

    def __hash__(self) -> int:
        return hash((Residual, *(branch.fingerprint() for branch in self.branches)))

    def __str__(self) -> str:
        return f"residual({' | '.join(map(str, self.branches))})"


def _stacked(layers: Layer | Iterable[Layer], name: str) -> Stack:
    """Layers as a `Stack`, of two axes where they fit."""
    if isinstance(layers, Stack):
        return layers
    if isinstance(layers, str) or not isinstance(layers, Layer | Iterable):
        hint = f"; use erffast.parse({layers!r})" if isinstance(layers, str) else ""
        raise TypeError(f"{name} must be a Layer or an iterable of layers, got {layers!r}{hint}")
    items = [layers] if isinstance(layers, Layer) else list(layers)
    try:
        return Stack(items)
    except ValueError as exc:
        for ndim in (1, 3):
            try:
                return Stack(items, ndim=ndim)
            except ValueError:
                continue
        raise ValueError(f"{name}: {exc}") from None
