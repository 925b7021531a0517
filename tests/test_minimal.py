"""A dozen quick looks at an installed erffast: NumPy and pytest are all that is needed, and nothing of the source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import erffast as ef


def convolved(kernels: list[np.ndarray]) -> np.ndarray:
    """The full convolution of 2-D kernels, by definition."""
    image = np.ones((1, 1))
    for kernel in kernels:
        out = np.zeros((image.shape[0] + kernel.shape[0] - 1, image.shape[1] + kernel.shape[1] - 1))
        for (i, j), tap in np.ndenumerate(kernel):
            out[i : i + image.shape[0], j : j + image.shape[1]] += tap * image
        image = out
    return image


def test_version_and_build_are_known() -> None:
    assert ef.__version__ == ef.build_info()["version"]
    assert ef.available_devices()["cpu"] == "ready"
    assert "Luo" in ef.cite()


def test_every_public_name_is_there() -> None:
    missing = [name for name in ef.__all__ if getattr(ef, name, None) is None]
    assert not missing


def test_text_becomes_layers() -> None:
    net = ef.parse("conv3:p1 * 2, maxpool2, relu")
    assert net == ef.Stack([ef.Conv(3, padding=1), ef.Conv(3, padding=1), ef.MaxPool(2), ef.Activation("relu")])


def test_receptive_field_of_a_strided_stack() -> None:
    field = ef.receptive_field(ef.parse("conv3:p1 * 2, maxpool2, conv3:p1"))
    assert (field.size, field.jump, field.start) == ((10, 10), (2, 2), (-4, -4))


def test_variance_of_five_uniform_layers_is_a_product_of_trinomials() -> None:
    coefficients = np.array([1, 5, 15, 30, 45, 51, 45, 30, 15, 5, 1])
    erf = ef.variance(ef.parse("conv3 * 5"))
    np.testing.assert_allclose(np.asarray(erf), np.multiply.outer(coefficients, coefficients) / 3**10, rtol=1e-12)
    assert erf.std() == pytest.approx((np.sqrt(10 / 3),) * 2, rel=1e-9)


@pytest.mark.parametrize("engine", ["auto", "direct"])
def test_gradient_is_the_convolution_of_the_kernels(engine: str) -> None:
    weights = np.random.default_rng(1).random((4, 3, 3))
    erf = ef.gradient(ef.parse("conv3:p1 * 4"), weights, engine=engine, window="full")
    np.testing.assert_allclose(np.asarray(erf), convolved(list(weights)), rtol=1e-13)
    assert erf.origin == (-4, -4)


def test_a_map_cuts_the_field_and_says_what_is_lost() -> None:
    erf = ef.variance(ef.parse("conv3:p1 * 4"), input_size=6, unit=0)
    assert erf.origin == (0, 0)
    assert erf.shape == (5, 5)
    assert 0 < erf.border < 1
    assert np.asarray(erf).sum() == pytest.approx(1 - erf.border, rel=1e-12)


def test_deep_stack_is_scaled_and_measured() -> None:
    erf = ef.variance(ef.parse("conv3 * 10000"))
    assert 0.5 <= abs(erf.image).max() < 1
    assert erf.std() == pytest.approx((np.sqrt(20000 / 3),) * 2, rel=1e-9)


def test_threads_do_not_change_a_bit() -> None:
    weights = np.random.default_rng(2).standard_normal((30, 7, 7))
    one, two = (ef.gradient(ef.parse("conv7 * 30"), weights, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.image, two.image)


def test_mistakes_are_shown_with_their_position() -> None:
    with pytest.raises(ValueError, match=r"position 8[\s\S]*\^"):
        ef.parse("conv3, konv3")


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    erf = ef.variance(ef.parse("conv3 * 5"))
    erf.save(tmp_path / "five.npz")
    again = ef.ERF.load(tmp_path / "five.npz")
    np.testing.assert_array_equal(again.image, erf.image)
    assert repr(again) == repr(erf)


def test_analyze_prints_sizes_and_checks() -> None:
    text = repr(ef.analyze("conv3 * 20"))
    for word in ("41 x 41", "3.651", "std"):
        assert word in text


@pytest.mark.parametrize("command", ["script", "module"])
def test_command_line(command: str, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("erffast")
    start = [str(script)] if command == "script" else [sys.executable, "-m", "erffast"]
    if command == "script" and not script.exists():
        pytest.skip(f"no script {script}: installed elsewhere than beside the interpreter")
    done = subprocess.run([*start, "analyze", "conv3 * 20"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "41 x 41" in done.stdout
    wrong = subprocess.run([*start, "analyze", "konv3"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("erffast: ")
    assert "Traceback" not in wrong.stderr
