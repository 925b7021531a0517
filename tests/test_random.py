"""Random numbers by counting: known answers of Philox4x32-10, its definition, and normals against their formula in many digits."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import mpmath
import numpy as np
import pytest

from erffast import _core
from instruction_sets import SETS

# Salmon, Moraes, Dror and Shaw publish these with Random123: counter, key, answer.
KNOWN = [
    ((0,) * 4, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN, ids=["zeros", "ones", "digits of pi"])
def test_philox_gives_the_published_answers(counter: tuple[int, ...], key: int, answer: tuple[int, ...]) -> None:
    assert tuple(_core.philox(counter, key)) == answer


def defined(seed: int, draw: int, layer: int, purpose: int, n: int) -> list[tuple[int, int]]:
    """For each of n elements its 52 bits, and those of the other element of its pair, by Python's integers."""
    bits = []
    for pair in range((n + 1) // 2):
        c = [pair % 2**32, layer, draw, purpose << 24 | pair >> 32]
        k = [seed % 2**32, seed >> 32]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [b >> 32 ^ c[1] ^ k[0], b % 2**32, a >> 32 ^ c[3] ^ k[1], a % 2**32]
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        bits.append(((c[1] << 32 | c[0]) >> 12, (c[3] << 32 | c[2]) >> 12))
    return bits


@pytest.mark.parametrize(("purpose", "number"), [("weight", 0), ("input", 1), ("mask", 2)])
def test_a_number_is_a_function_of_seed_draw_layer_and_element(purpose: str, number: int) -> None:
    seed, draw, layer = 2**63 + 12345, 2**31 + 7, 99_999
    found = _core.uniforms(seed, draw, layer, purpose, 9)
    wanted = [(b + 0.5) / 2**52 for pair in defined(seed, draw, layer, number, 9) for b in pair][:9]
    assert found.tolist() == wanted  # exact: 52 bits and a half
    assert _core.uniforms(seed, draw, layer, purpose, 4).tolist() == wanted[:4]


def test_normals_are_those_of_box_and_muller_to_two_units_in_the_last_place() -> None:
    n = 4000
    found = _core.normals(5, 6, 7, "weight", n)
    worst = 0.0
    with mpmath.workdps(40):
        for index, (a, b) in enumerate(defined(5, 6, 7, 0, n)):
            u, v = ((mpmath.mpf(x) + 0.5) / 2**52 for x in (a, b))
            radius = mpmath.sqrt(-2 * mpmath.log(u))
            for j, true in enumerate((radius * mpmath.cospi(2 * v), radius * mpmath.sinpi(2 * v))):
                value = float(found[2 * index + j]) if 2 * index + j < n else float(true)
                worst = max(worst, float(abs(value - true)) / math.ulp(float(true)))
    assert worst < 3  # 2 for the radius and the angle together, and the rounding of their product


PLACES = [(0, 1_000_000), (1, 999_999), (3, 17), (2**32 - 5, 33), *((7, n) for n in range(19))]  # first pair, numbers


@pytest.mark.parametrize("make", [_core.normals, _core.uniforms], ids=["normals", "uniforms"])
def test_rows_are_the_numbers_that_are_defined_one_by_one(make: Any) -> None:
    """Bit for bit: vectors of any width, what is left over at their end, and counters whose upper half changes."""
    for pair, n in PLACES:
        row, defined_row = (make(2**64 - 3, 2**32 - 2, 8, "input", n, pair=pair, one_by_one=one) for one in (False, True))
        assert len(row) == n
        assert np.array_equal(row, defined_row)


NUMBERS = """
import hashlib, json, erffast as ef
from erffast import _core
rows = [make(5, 6, 7, "weight", 100_001, pair=9) for make in (_core.normals, _core.uniforms)]
print(json.dumps([ef.build_info()["instruction_set"], [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]]))
"""


@pytest.mark.parametrize("name", SETS)
def test_numbers_are_the_same_with_every_instruction_set(name: str, run_python: Any) -> None:
    done = run_python(NUMBERS, fails=True, ERFFAST_CPU_ISA=name)
    if f"ERFFAST_CPU_ISA={name} is not supported by this machine" in done.stderr:
        pytest.skip(f"this machine has no {name}")
    assert done.returncode == 0, done.stderr
    rows = [make(5, 6, 7, "weight", 100_001, pair=9, one_by_one=True) for make in (_core.normals, _core.uniforms)]
    assert json.loads(done.stdout) == [name, [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]]


def test_normals_have_the_moments_of_normals() -> None:
    n = 2_000_000
    z = _core.normals(1, 2, 3, "input", n)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
        assert abs((z**power).mean() - moment) < 5 * math.sqrt(variance / n)
    neighbours = (z[0::2] * z[1::2]).mean(), (z[:-2] * z[2:]).mean()
    assert max(map(abs, neighbours)) < 5 / math.sqrt(n / 2)
    tail = (np.abs(z) > 3).mean()
    assert abs(tail - math.erfc(3 / math.sqrt(2))) < 5 * math.sqrt(tail / n)


def test_streams_do_not_share_numbers() -> None:
    base = (3, 4, 5, "weight")
    others = [(2, 4, 5, "weight"), (3, 5, 5, "weight"), (3, 4, 6, "weight"), (3, 4, 5, "input"), (3 + 2**32, 4, 5, "weight")]
    first = _core.normals(*base, 1000)
    for other in others:
        assert abs(np.corrcoef(first, _core.normals(*other, 1000))[0, 1]) < 5 / math.sqrt(1000)
