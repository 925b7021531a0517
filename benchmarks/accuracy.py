"""How right each way to a gradient image is, against depth: ``python benchmarks/accuracy.py``.

Stacks of n signed 3 x 3 kernels, normal numbers of standard deviation 1/3 (which keeps the mean energy of a gradient), one
channel, no padding. Each seed's stack of n layers begins the one of more layers. Every image is compared at all of its pixels with
the product of the transfer functions and one inverse transform in long double (`tests/deep_oracles.py`, NumPy alone); that truth is
itself compared with exact integers, at the greatest depth, for kernels that are no outer products. A second measurement: stacks of
non-negative kernels, whose pixels are compared one by one, far into the tails.

Writes benchmarks/results/accuracy.json, docs/images/accuracy.png and the table of docs/accuracy.md.
Some twenty minutes on two cores; ``--quick`` (one minute, to the folder given by ``--out``) stops at 200 layers.
torch is needed for the loops of the framework, and a long double wider than a double for the truth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).resolve().parent)]

import deep_oracles as oracles  # noqa: E402
import erffast as ef  # noqa: E402
from erffast import _backend, _fft, execution  # noqa: E402
from erffast.lowering import lower_gradient  # noqa: E402

Array = NDArray[np.float64]
Image = tuple[NDArray[Any], int]  # pixels, and the power of two they are times

DEPTHS = {  # layers: seeds
    "full": {**dict.fromkeys((5, 10, 20, 40, 70, 100, 150, 200, 300), 8), **dict.fromkeys((400, 500, 700, 1000), 5)},
    "quick": {5: 3, 10: 3, 20: 3, 50: 3, 100: 2, 200: 2},
}
AUTOGRAD_DEPTH = 400  # beyond, its float32 gradients are below the least normal number everywhere
SEAM = 2e-17  # of the peak: a fifth of the rounding of a double, and what long double keeps
TAILS = {"layers": 100, "seeds": 4, "faintest": 1e-30}


# ------------------------------------------------------------------------------------------------ ways to the image


def torch_loop(weights: Array) -> list[Image]:
    """Layer by layer in float32, from the output to the input; each image brought back to a peak near 1 by a power of two.

    All stacks [stacks, n, 3, 3] at once, one a channel: in this layout torch takes a thirtieth of the time.
    """
    import torch

    taps = torch.from_numpy(weights).float().flip(2, 3)
    images = torch.ones(1, len(weights), 1, 1)
    exponents = np.zeros(len(weights), dtype=int)
    for layer in reversed(range(taps.shape[1])):
        images = images.contiguous(memory_format=torch.channels_last)
        images = torch.nn.functional.conv2d(images, taps[:, layer, None], padding=2, groups=len(weights))
        shifts = torch.frexp(images.abs().amax(dim=(2, 3), keepdim=True))[1]
        images = torch.ldexp(images, -shifts)
        exponents += shifts.flatten().numpy()
    return [(image.numpy(), int(e)) for image, e in zip(images[0], exponents, strict=True)]


def torch_autograd(weights: Array) -> list[Image | None]:
    """Automatic differentiation in float32, all stacks at once; None where a gradient has left the range of float32."""
    import torch

    stacks, n = weights.shape[:2]
    seen = torch.zeros(1, stacks, 2 * n + 1, 2 * n + 1).contiguous(memory_format=torch.channels_last).requires_grad_()
    out = seen
    for layer in range(n):
        out = torch.nn.functional.conv2d(out, torch.from_numpy(weights[:, layer, None]).float(), groups=stacks)
    out.sum().backward()
    assert seen.grad is not None
    images = seen.grad[0].numpy()
    normal = np.isfinite(images).all(axis=(1, 2)) & (np.abs(images).max(axis=(1, 2)) >= np.finfo(np.float32).tiny)
    return [(image, 0) if ok else None for image, ok in zip(images, normal, strict=True)]


def numpy_loop(weights: Array) -> Image:
    """Layer by layer in NumPy's float64."""
    image, exponent = np.ones((1, 1)), 0
    for kernel in weights[::-1]:
        image = grown(image, kernel)
        shift = int(np.frexp(np.abs(image).max())[1])
        image *= 2.0**-shift
        exponent += shift
    return image, exponent


def grown(image: NDArray[Any], kernel: Array) -> NDArray[Any]:
    """One backward step by its definition: out[i + a] += kernel[a] image[i]."""
    height, width = image.shape
    out = np.zeros((height + 2, width + 2), dtype=image.dtype)
    product = np.empty_like(image)
    for (a, b), tap in np.ndenumerate(kernel):
        np.multiply(image, image.dtype.type(tap), out=product)
        out[a : a + height, b : b + width] += product
    return out


def direct(weights: Array, dtype: str) -> Image:
    """The direct engine in one arithmetic, whatever `gradient` would choose."""
    chain = lower_gradient(network(len(weights)), weights)
    resources = execution.Resources(threads=1, memory=_backend.memory_limit(), meter=None, remedy="")
    (outcome,) = execution.run_direct(chain, dtype=dtype, trim=0.0, resources=resources)
    shift = int(np.frexp(outcome.peaks[0])[1])
    return outcome.write(chain.box, np.ldexp(1.0, [-shift]))[0], int(outcome.exponents[0]) + shift


def spectral(weights: Array) -> tuple[Image, float]:
    """The spectral engine as `gradient` runs it, and the error it reports."""
    erf = ef.gradient(network(len(weights)), weights, engine="spectral", threads=1)
    return (erf.image, int(np.asarray(erf.exponent))), erf.error


def network(n: int) -> ef.Stack:
    return ef.parse("conv3") * n


# ------------------------------------------------------------------------------------------------ truth


class Truth:
    """The image on a period that holds it, in long double.

    Parameters
    ----------
    kernels : sequence of arrays [k, k]
    period : int
        Of both axes; what lies outside is below `seam` of the peak.
    """

    def __init__(self, kernels: Array, period: int) -> None:
        self.period = period
        full = [len(kernels) * (k - 1) + 1 for k in kernels.shape[1:]]
        self.sides = tuple(min(period, n) for n in full)
        self.pixels, self.exponent = oracles.long_double_image(kernels, (self.sides[0], self.sides[1] + self.sides[1] % 2))
        self.peak = np.abs(self.pixels).max()
        self.low = tuple(self._start(axis, n) for axis, n in enumerate(full))
        self.seam = max((self._seam(axis) for axis, low in enumerate(self.low) if self.sides[axis] < full[axis]), default=0.0)

    def error(self, image: NDArray[Any], exponent: int) -> float:
        """Largest difference from the true image over all of its pixels, over the true peak."""
        rows, columns = (np.arange(low, low + side) for low, side in zip(self.low, self.sides, strict=True))
        inside = np.ix_(rows, columns)
        given = np.ldexp(image.astype(np.longdouble), exponent - self.exponent)
        apart = given[inside] - self.pixels[np.ix_(rows % self.pixels.shape[0], columns % self.pixels.shape[1])]
        worst = np.abs(apart).max()
        given[inside] = 0
        return float(max(worst, np.abs(given).max()) / self.peak)

    def _start(self, axis: int, full: int) -> int:
        """Half a period before the energy's centre: of its circular means the one nearest to the middle of the field."""
        energy = (self.pixels**2).sum(axis=1 - axis).astype(float)
        n = len(energy)
        mean = float(np.angle(energy @ np.exp(2j * np.pi * np.arange(n) / n))) * n / (2 * np.pi)
        mean += n * round((full / 2 - mean) / n)
        return min(max(round(mean - n / 2), 0), full - self.sides[axis])

    def _seam(self, axis: int) -> float:
        lines = np.take(self.pixels, np.arange(self.low[axis] - 3, self.low[axis] + 3), axis=axis, mode="wrap")
        return float(np.abs(lines).max() / self.peak)


def truth_of(weights: Array) -> Truth:
    """A truth on a period that holds the image, or on all of the field."""
    n = len(weights)
    spread = math.sqrt(n * 2 / 3)  # standard deviation of the energy of independent kernels
    for times in (32, 40, 50, 100):
        period = min(2 * n + 2, 2 * math.ceil(times * spread / 2))
        found = Truth(weights, period)
        if found.seam < SEAM or period == 2 * n + 2:
            return found
    raise AssertionError("no period holds the image")


def check_truth(n: int) -> dict[str, Any]:
    """The long double truth against exact integers: a stack of kernels of full rank whose image is known at every pixel."""
    vectors = ((1, 0), (1, 1))
    rng = np.random.default_rng(n)
    lines = [oracles.signed_kernels(rng, n, (3,)) for _ in range(2)]
    kernels = np.array([oracles.on_lattice(np.multiply.outer(a, b), vectors) for a, b in zip(*lines, strict=True)]).astype(float)
    found = Truth(kernels, 2 * math.ceil(20 * math.sqrt(n * 2 / 3)) + 512)
    rows, columns = (oracles.truth(oracles.chain(line)) for line in lines)
    exact = oracles.lattice_image(rows, columns, vectors, (found.low[0], found.low[1]), (found.sides[0], found.sides[1]))
    at = np.ix_(*((low + np.arange(side)) % n for low, side, n in zip(found.low, found.sides, found.pixels.shape, strict=True)))
    apart = np.ldexp(found.pixels[at], found.exponent - exact.exponent) - exact.high - exact.low
    return {"layers": n, "error": float(np.abs(apart).max()) / exact.peak, "seam": found.seam}


# ------------------------------------------------------------------------------------------------ measurements


def stack(seed: int, n: int) -> Array:
    """Weights [n, 3, 3], the same numbers in float32 and float64; the first of a deeper stack of this seed."""
    return (np.random.default_rng(seed).standard_normal((n, 3, 3)) / 3).astype(np.float32).astype(np.float64)


def measure(n: int, seeds: int) -> list[dict[str, Any]]:
    """Errors of all ways for the stacks of one depth."""
    weights = np.array([stack(seed, n) for seed in range(seeds)])
    framework = torch_loop(weights)
    automatic = torch_autograd(weights) if n <= AUTOGRAD_DEPTH else [None] * seeds
    records = []
    for seed, own in enumerate(weights):
        truth = truth_of(own)
        image, reported = spectral(own)
        images = {
            "torch float32": framework[seed],
            "autograd float32": automatic[seed],
            "numpy float64": numpy_loop(own),
            "direct float64": direct(own, "float64"),
            "direct double-double": direct(own, "extended"),
            "spectral": image,
        }
        errors = {name: None if image is None else truth.error(*image) for name, image in images.items()}
        records.append({"layers": n, "seed": seed, "errors": errors, "reported": reported, "truth_seam": truth.seam})
    return records


def tails(seed: int) -> dict[str, Any]:
    """Largest relative error of the pixels of each power of ten below the peak, for kernels without negative taps."""
    n = TAILS["layers"]
    weights = np.random.default_rng(100 + seed).random((n, 3, 3))
    truth = np.ones((1, 1), dtype=np.longdouble)
    for kernel in weights:  # all terms are positive: long double loses at most 10 n roundings of 2**-64, 5e-17 of each pixel
        truth = grown(truth, kernel)
    decades = -np.floor(np.log10(truth / truth.max())).astype(int)
    shown = decades <= round(-math.log10(TAILS["faintest"]))

    def compare(image: Array) -> list[float]:
        relative = np.abs(image / np.longdouble(image.max()) - truth / truth.max()) / (truth / truth.max())
        return [float(relative[shown & (decades == d)].max()) for d in range(1, int(decades[shown].max()) + 1)]

    pixel = ef.gradient(network(n), weights, window="full", threads=1)
    peak = ef.gradient(network(n), weights, window="full", accuracy="peak", engine="spectral", threads=1)
    return {
        "seed": seed,
        "transform": compare(transform_product(weights)),
        "pixel": {"errors": compare(pixel.image), "reported": pixel.error, "engine": pixel.engine, "bound": pixel.error_is_bound},
        "peak": {"errors": compare(peak.image), "reported": peak.error, "engine": peak.engine, "bound": peak.error_is_bound},
    }


def transform_product(weights: Array) -> Array:
    """The product of the kernels' Fourier transforms, in NumPy's float64."""
    shape = (2 * len(weights) + 1,) * 2
    product = np.ones((shape[0], shape[1] // 2 + 1), dtype=complex)
    for kernel in weights:
        product *= np.fft.rfft2(kernel / kernel.sum(), s=shape)
    return np.fft.irfft2(product, s=shape)


# ------------------------------------------------------------------------------------------------ all of it


def run(level: str, workers: int) -> dict[str, Any]:
    """All measurements, the largest first, in processes of one thread each."""
    depths = DEPTHS[level]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ERFFAST_NUM_THREADS"):
        os.environ[name] = "1"
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        images = [pool.submit(measure, n, seeds) for n, seeds in sorted(depths.items(), reverse=True)]
        checked = pool.submit(check_truth, max(depths))
        faint = [pool.submit(tails, seed) for seed in range(TAILS["seeds"])]
        tasks = [*images, checked, *faint]
        for count, task in enumerate(as_completed(tasks), 1):
            task.result()
            print(f"\r{count} of {len(tasks)} parts", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return {
            "level": level,
            "build": dict(ef.build_info()),
            "versions": versions(),
            "transforms": _fft.library(),
            "truth_against_integers": checked.result(),
            "stacks": [record for task in images[::-1] for record in task.result()],
            "tails": {**TAILS, "stacks": [task.result() for task in faint]},
        }


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "scipy", "torch", "ducc0"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(found: dict[str, Any]) -> Iterator[str]:
    """The median and the largest error of each way at some depths, in Markdown."""
    depths = [n for n in (10, 20, 100, 300, 500, 1000) if any(s["layers"] == n for s in found["stacks"])]
    names = list(found["stacks"][0]["errors"])
    yield "| error / peak, median (largest) | " + " | ".join(f"{n} layers" for n in depths) + " |"
    yield "|---|" + "---|" * len(depths)
    for name in (*names, "reported"):
        cells = []
        for n in depths:
            stacks = [s for s in found["stacks"] if s["layers"] == n]
            errors = [s["reported"] if name == "reported" else s["errors"][name] for s in stacks]
            held = [e for e in errors if e is not None]
            cells.append(f"{np.median(held):.0e} ({max(held):.0e})".replace("e-0", "e-").replace("e+0", "e+") if held else "none")
        yield f"| {LABELS.get(name, name)} | " + " | ".join(cells) + " |"


LABELS = {
    "torch float32": "torch, loop in float32",
    "autograd float32": "torch, autograd in float32",
    "numpy float64": "NumPy, loop in float64",
    "direct float64": "erffast, direct, float64",
    "direct double-double": "erffast, direct, double-double",
    "spectral": "**erffast, spectral**",
    "reported": "what it reports",
}


def replace_between(page: Path, name: str, lines: str) -> None:
    """Put lines between the two markers of a page."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, after = text.index(begin) + len(begin), text.index(end)
    page.write_text(text[:before] + lines + "\n" + text[after:], encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="error against depth, for every engine and for torch")
    parser.add_argument("--quick", action="store_true", help="up to 200 layers; writes to --out")
    parser.add_argument("--draw", action="store_true", help="only draw again, from the JSON file")
    parser.add_argument("--out", type=Path, help="a folder for JSON and picture in place of those of the repository")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes of one thread each")
    args = parser.parse_args()
    if not oracles.HAS_LONG_DOUBLE:
        parser.error(oracles.NO_LONG_DOUBLE)
    if args.quick and args.out is None and not args.draw:
        parser.error("--quick needs --out: the figure of the documentation shows all depths")
    results = (args.out or ROOT / "benchmarks" / "results") / "accuracy.json"
    picture = (args.out or ROOT / "docs" / "images") / "accuracy.png"
    results.parent.mkdir(parents=True, exist_ok=True)
    if not args.draw:
        began = time.monotonic()
        found = run("quick" if args.quick else "full", args.workers)
        found["seconds"] = round(time.monotonic() - began)
        results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    found = json.loads(results.read_text(encoding="utf-8"))
    lines = "\n".join(table(found))
    print(lines)
    if args.out is None:
        replace_between(ROOT / "docs" / "accuracy.md", "accuracy table", lines)
    from accuracy_figure import draw

    draw(found, picture)
    print(f"wrote {results} and {picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
