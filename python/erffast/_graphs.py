"""What only works for chains refuses networks with skip connections, in one place and by name."""

from __future__ import annotations

from .layers import Residual, Stack


def chain_of(net: Stack, asked: str) -> Stack:
    """`net`, if it is a chain of layers. `asked`: what walks it, for the message.

    Raises
    ------
    NotImplementedError
        There is a skip connection; the first one is named with its place.
    """
    found = _first_block(net)
    if found is None:
        return net
    index, block = found
    raise NotImplementedError(
        f"layer {index} ({block.shown}): {asked} of skip connections comes with graphs, in a later version; receptive_field() takes them"
    )


def _first_block(net: Stack) -> tuple[int, Residual] | None:
    """The first residual block and its index, as ``layer=`` counts."""
    index = 0
    for part, count in net.parts:
        if isinstance(part, Residual):
            return index, part
        if isinstance(part, Stack):
            inner = _first_block(part)
            if inner is not None:
                return index + inner[0], inner[1]
            index += len(part) * count
        else:
            index += count
    return None
