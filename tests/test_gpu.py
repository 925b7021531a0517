"""On a GPU: the short list of networks, beside the CPU. Where there is none, every test is a skip with the reason."""

from __future__ import annotations

import pytest

import erffast as ef
import gpu_cases

REASON = ef.available_devices()["cuda"]
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON != "ready", reason=f"no GPU: {REASON}")]
PARAMETERS = [pytest.param(name, marks=pytest.mark.smallest) if case.smallest else name for name, case in gpu_cases.CASES.items()]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_gpu_gives_what_the_cpu_gives(name: str) -> None:
    assert gpu_cases.wrong(name) == ""


@pytest.mark.smallest
def test_the_same_bits_every_time() -> None:
    net, weights = ef.parse("conv3 * 12"), gpu_cases.positive(12, 3, 3)
    first, second = (ef.gradient(net, weights, engine="direct", device="cuda") for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
