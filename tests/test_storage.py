"""Saved results: nothing is lost, nothing is half-written, and other files are refused by name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erffast.geometry import receptive_field
from erffast.layers import Activation, AvgPool, Conv, Dropout, MaxPool, Norm, Scale, Stack
from erffast.result import ERF, STATE
from samples import pictured, result, uniform

rng = np.random.default_rng(9)
NET = Stack([Conv((3, 5), padding=((1, 0), (2, 1)), tap_variance=rng.random((3, 5)), name="stem"), Activation("relu")]) + (
    Stack([Conv(3, stride=2, dilation=2, padding="valid"), Norm("batch")]) * 3
    + Stack([MaxPool(2, ceil_mode=True), AvgPool(3, stride=1, count_include_pad=False), Dropout(0.1), Scale(1 / 3)])
)
RESULTS: dict[str, ERF] = {
    "image": pictured(rng.random((5, 7))),
    "float32": pictured(rng.random((5, 7)).astype(np.float32)),
    "signed draws": pictured(rng.standard_normal((3, 4, 6)), draws=True, reduction="signed", exponent=np.array([1, -90_000, 7])),
    "profiles": uniform(6),
    "profiles of draws": result([rng.random((3, 5)), rng.random((3, 8))], exponent=-158_399),
    "profiles in float32": result([rng.random(5)], dtype="float32"),
    "3-D": result([rng.random(3), rng.random(4), rng.random(5)]),
    "dead": pictured(np.zeros((2, 2))),
    "everything": pictured(
        rng.random((4, 5)),
        receptive_field=receptive_field(NET),
        origin=(-3, 2**40),
        unit=(3, 2),
        input_size=(11, 12),
        method="simulated",
        assumptions=("weights are independent", 'a "quoted" ümlaut'),
        border=0.1,
        lost=1 / 3,
        error=5e-324,
        lost_is_bound=False,
        error_is_bound=False,
        accuracy="peak",
        engine="spectral/band-limited",
        device="cuda",
        dead=2,
        nonfinite=1,
        stderr=rng.random((4, 5)),
        reach=[np.array([True, False, True]), np.ones(5, dtype=bool)],
    ),
}


@pytest.mark.parametrize("case", RESULTS)
def test_nothing_is_lost(case: str, tmp_path: Path) -> None:
    erf = RESULTS[case]
    erf.save(tmp_path / "file.erf")
    back = ERF.load(tmp_path / "file.erf")
    assert type(back) is ERF
    assert (back.separable, back.dtype, back.shape, back.draws) == (erf.separable, erf.dtype, erf.shape, erf.draws)
    assert type(back.exponent) is type(erf.exponent)
    np.testing.assert_array_equal(back.exponent, erf.exponent)
    for mine, theirs in zip(back._profiles or (), erf._profiles or (), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(back.image, erf.image)
    for name in STATE:
        mine, theirs = getattr(back, name), getattr(erf, name)
        assert type(mine) is type(theirs), name
        np.testing.assert_array_equal(mine, theirs, err_msg=name, strict=True) if name == "stderr" else _same(mine, theirs)
    for mine, theirs in zip(back._reach or (), erf._reach or (), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)
    assert back.receptive_field.net == erf.receptive_field.net
    assert back.receptive_field.layers == erf.receptive_field.layers
    assert repr(back) == repr(erf)


def _same(mine: Any, theirs: Any) -> None:
    assert mine == theirs


def test_names_of_layers_survive(tmp_path: Path) -> None:
    RESULTS["everything"].save(tmp_path / "a")
    assert ERF.load(tmp_path / "a").receptive_field.layers[0].name == "stem"


def test_deep_networks_stay_small(tmp_path: Path) -> None:
    erf = result([np.ones(3)] * 2, receptive_field=receptive_field(Stack([Conv(3)]) * 100_000))
    erf.save(tmp_path / "deep")
    assert (tmp_path / "deep").stat().st_size < 10_000
    assert ERF.load(tmp_path / "deep").receptive_field.size == (200_001,) * 2


def test_profiles_are_saved_without_their_image(tmp_path: Path) -> None:
    erf = result([np.ones(20_001)] * 2)
    erf.save(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size < 400_000
    assert ERF.load(tmp_path / "file").level_size() == 20_001


@pytest.mark.parametrize("name", ["plain", "with.npz", "with.other", "ümlaut und raum"])
@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_is_taken_as_it_is(name: str, kind: Any, tmp_path: Path) -> None:
    uniform(2).save(kind(tmp_path / name))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert ERF.load(kind(tmp_path / name)).shape == (5, 5)


def test_files_are_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    uniform(2).save(path)
    before = path.read_bytes()

    def broken(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(KeyboardInterrupt):
        uniform(3).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    monkeypatch.undo()
    uniform(3).save(path)
    assert ERF.load(path).shape == (7, 7)


def test_a_link_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    uniform(2).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert ERF.load(tmp_path / "file").shape == (5, 5)


def test_files_are_readable_as_other_new_files_are(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    uniform(2).save(tmp_path / "file")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        uniform(2).save(tmp_path / "nowhere" / "file")
    with pytest.raises(FileNotFoundError, match="nothing"):
        ERF.load(tmp_path / "nothing")


def rewritten(path: Path, **changes: Any) -> Path:
    """A copy of a saved file with entries of its JSON, or arrays, changed; None removes one."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(str(arrays["about"]))
    for name, value in changes.items():
        target = arrays if name in arrays else about
        target[name] = value
        if value is None:
            del target[name]
    if "about" in arrays:
        arrays["about"] = np.array(json.dumps(about))
    out = path.with_name("changed")
    with out.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return out


def test_newer_formats_are_refused(tmp_path: Path) -> None:
    uniform(2).save(tmp_path / "file")
    with pytest.raises(ValueError, match=r"changed was written by a newer version \(format 2, this version reads up to 1\)"):
        ERF.load(rewritten(tmp_path / "file", format=2))


DAMAGE = {
    "no profile": ({"profile_1": None}, "changed is damaged: .*profile_1"),
    "no origin": ({"origin": None}, "changed is damaged: 'origin'"),
    "an unknown layer": ({"receptive_field": {"size": [3, 3], "net": {"type": "os"}}}, "changed is damaged: .*unknown layer 'os'"),
    "no JSON": ({"about": np.array("{")}, "changed is damaged"),
    "another mark": ({"mark": "something else"}, "changed is not a file written by ERF.save"),
    "nothing about it": ({"about": None}, "changed is not a file written by ERF.save"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(case: str, tmp_path: Path) -> None:
    changes, message = DAMAGE[case]
    uniform(2).save(tmp_path / "file")
    with np.load(tmp_path / "file") as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "about" in changes:
        del arrays["about"]
        if changes["about"] is not None:
            arrays["about"] = changes["about"]
        with (tmp_path / "changed").open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    else:
        rewritten(tmp_path / "file", **changes)
    with pytest.raises(ValueError, match=message):
        ERF.load(tmp_path / "changed")


@pytest.mark.parametrize("content", [b"", b"some text", np.arange(3.0).tobytes()], ids=["empty", "text", "bytes"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"file is not a file written by ERF\.save"):
        ERF.load(tmp_path / "file")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", image=np.ones(3))
    with pytest.raises(ValueError, match=r"other\.npz is not a file written by ERF\.save"):
        ERF.load(tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("readme", "text")
    with pytest.raises(ValueError, match=r"plain\.zip is not a file written by ERF\.save"):
        ERF.load(tmp_path / "plain.zip")


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    pictured(np.random.default_rng(0).random((40, 40))).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="file is damaged"):
        ERF.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"file is not a file written by ERF\.save"):
        ERF.load(path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", about=np.array({"mark": "erffast ERF"}, dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        ERF.load(tmp_path / "file.npz")
