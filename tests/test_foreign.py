"""Arrays of other libraries are read where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import _devices, _foreign

KERNELS = np.arange(1.0, 19.0).reshape(2, 3, 3)
NET = ef.parse("conv3 * 2")


class OnGpu:
    """An array that says it is on a GPU, as CuPy's do."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


class Cupy(OnGpu):
    def get(self) -> Any:
        return self.values


def test_where_an_array_is() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert _foreign.on_gpu(Cupy(KERNELS))
    assert _foreign.on_gpu([Cupy(KERNELS)])
    for here in (KERNELS, KERNELS.tolist(), [KERNELS], torch.tensor(KERNELS), torch.tensor(KERNELS, requires_grad=True), "conv3", [], None):
        assert not _foreign.on_gpu(here)


class Jax(OnGpu):
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


@pytest.mark.parametrize(
    "weights", [Cupy(KERNELS), list(map(Cupy, KERNELS)), list(map(Jax, KERNELS))], ids=["CuPy", "CuPy, a list", "JAX, a list"]
)
def test_arrays_on_a_gpu_are_read(weights: Any) -> None:
    np.testing.assert_array_equal(ef.gradient(NET, weights).image, ef.gradient(NET, KERNELS).image)


def test_arrays_that_do_not_come_to_the_host_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^weights is an array of \S*test_foreign on a GPU that does not come to the host; copy it there$"):
        ef.gradient(NET, OnGpu(KERNELS))


def test_auto_goes_where_the_weights_are(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = object()
    monkeypatch.setattr(_devices, "_cuda", lambda: (gpu, ""))
    assert _devices.native("auto", weights_on_gpu=True) is gpu
    assert _devices.native("cuda") is gpu
    assert _devices.name_of(_devices.native("auto")) == "cpu"
    assert _devices.name_of(_devices.native("cpu", weights_on_gpu=True)) == "cpu"
    monkeypatch.setattr(_devices, "_cuda", lambda: (gpu, "no GPU today"))
    assert _devices.name_of(_devices.native("auto", weights_on_gpu=True)) == "cpu"
    with pytest.raises(ef.BackendUnavailable, match="no GPU today"):
        _devices.native("cuda")
