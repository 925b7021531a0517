"""Arrays of other libraries: which device they are on, and their numbers on the host.

Weights are some ten numbers a layer, and every exponent of a run is chosen from them on the host: they are copied there, from a GPU
too, once and on the stream that their library works on. Images, which are millions, stay where they are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ON_GPU = (2, 13)  # kDLCUDA and kDLCUDAManaged of DLPack


def on_gpu(value: Any) -> bool:
    """Whether an array, or the first of a list of arrays, is in an NVIDIA GPU's memory."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        value = value[0]
    try:
        return value.__dlpack_device__()[0] in ON_GPU
    except (AttributeError, TypeError, ValueError, RuntimeError, BufferError):  # no DLPack, or of a kind that it does not know
        return False


def on_host(value: Any, name: str) -> Any:
    """An array of torch or CuPy as NumPy's; anything else as it is."""
    if hasattr(value, "detach"):
        try:
            return value.detach().cpu().numpy()
        except TypeError:  # bfloat16 and its like
            raise TypeError(f"{name} must be float32 or float64 (integers are converted), got dtype {value.dtype}") from None
    if not on_gpu(value) or isinstance(value, Sequence):
        return value
    if hasattr(value, "get"):  # CuPy
        return value.get()
    if hasattr(value, "__array__"):  # JAX and others, which copy when NumPy asks
        return value
    raise TypeError(f"{name} is an array of {type(value).__module__} on a GPU that does not come to the host; copy it there")
