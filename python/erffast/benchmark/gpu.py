"""What is usually written in torch for a GPU, on the same GPU: peers of the jobs with ``device="cuda"``.

Inputs begin and answers end in the host's memory, as ours do. Weights are scaled beforehand, so that the gradient's peak is near 1 and
no layer needs a look at its image: that would be a wait of the host for every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer, stacked
from .cases import Peer
from .loops import scaled_taps, torch_autograd, unscaled_answer
from .products import torch_image

Array = NDArray[np.float64]


def layer_peers(kernels: Array, dtype: str, log2_peak: float) -> Sequence[Peer]:
    """Layer by layer: a loop, the same loop recorded once as a CUDA graph, and automatic differentiation."""
    graph = _Graph(kernels, dtype, log2_peak)

    def backward() -> Answer:
        return torch_autograd(kernels, dtype, log2_peak, "cuda")

    return (
        Peer(f"torch loop {dtype} on the GPU", lambda: _loop(kernels, dtype, log2_peak), torch=True, slow=True, gpu=True),
        Peer(f"torch CUDA graph {dtype}", graph, torch=True, slow=True, gpu=True),
        Peer(f"torch autograd {dtype} on the GPU", backward, torch=True, slow=True, gpu=True),
    )


def product_peers(kernels: Array) -> Sequence[Peer]:
    """The fair one: the product of transfer functions in complex128 and cuFFT; kernels [draws, n, k, k]."""

    def images() -> Answer:
        return stacked([torch_image(one, "cuda") for one in kernels])

    return (Peer("torch complex128 product and irfft2 on the GPU", images, fair=True, torch=True, gpu=True),)


def _layers(taps: Any) -> Any:
    """Transposed convolutions of a growing image."""
    import torch
    from torch.nn import functional

    image = torch.ones((1, 1, 1, 1), dtype=taps.dtype, device=taps.device)
    with torch.no_grad():
        for kernel in taps:
            image = functional.conv_transpose2d(image, kernel[None, None])
    return image


def _loop(kernels: Array, dtype: str, log2_peak: float) -> Answer:
    taps, shift = scaled_taps(kernels, dtype, log2_peak, "cuda")
    return unscaled_answer(_layers(taps)[0, 0], shift, len(kernels))


class _Graph:
    """The loop as one launch. Recording it is not timed: it is done at the first call."""

    def __init__(self, kernels: Array, dtype: str, log2_peak: float) -> None:
        self._kernels, self._dtype, self._log2_peak = kernels, dtype, log2_peak
        self._recorded: tuple[Any, Any, Any, float] | None = None

    def __call__(self) -> Answer:
        if self._recorded is None:
            self._recorded = self._record()
        graph, taps, image, shift = self._recorded
        taps.copy_(scaled_taps(self._kernels, self._dtype, self._log2_peak, "cuda")[0])
        graph.replay()
        return unscaled_answer(image[0, 0], shift, len(self._kernels))

    def _record(self) -> tuple[Any, Any, Any, float]:
        import torch

        taps, shift = scaled_taps(self._kernels, self._dtype, self._log2_peak, "cuda")
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose their kernels before they are recorded
            _layers(taps)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            image = _layers(taps)
        return graph, taps, image, shift
