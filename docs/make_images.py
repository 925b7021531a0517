"""Makes the pictures of the README and the documentation: ``python docs/make_images.py`` writes docs/images/*.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image  # comes with matplotlib

import erffast as ef

IMAGES = Path(__file__).parent / "images"
FULL = {  # the figure that `erffast analyze ... --plot` draws
    "conv3x1000": ("conv3 * 1000", {}),
    "comb": ("conv3/2 * 3, conv3 * 6", {}),
    "dilation": ("conv3 * 12, conv3:d2, conv3:d4, conv3:d8", {}),
    "corner": ("conv3:p1 * 10", {"input_size": 32, "unit": 0}),
}
LINES = (np.array([213, 94, 0]) / 255, np.array([0, 114, 178]) / 255)  # Gaussian and Edgeworth: vermilion and blue


def palette() -> np.ndarray:
    """Fine steps of the colour map, so that it does not band; greys; the two line colours, and what fades them into paper and band."""
    viridis = matplotlib.colormaps["viridis"](np.linspace(0, 1, 176))[:, :3]
    fades = [np.linspace(0, 1, 8)[:, None] * (np.array(end) - start) + start for start in LINES for end in ((1, 1, 1), (0.65, 0.65, 0.65))]
    return np.rint(255 * np.concatenate([viridis, np.linspace(0, 1, 48)[:, None] * np.ones(3), *fades])).astype(int)


def with_palette(picture: Image.Image) -> Image.Image:
    """Each colour replaced by the nearest of the palette; Pillow's own search is coarse and turns white to grey."""
    colours = palette()
    found, where = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0, return_inverse=True)
    nearest = ((found[:, None, :].astype(int) - colours) ** 2).sum(axis=2).argmin(axis=1)
    image = Image.fromarray(nearest[where].reshape(picture.height, picture.width).astype(np.uint8), mode="P")
    image.putpalette(colours.astype(np.uint8).tobytes())
    return image


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, (text, options) in FULL.items():
        ef.analyze(text, **options).plot(IMAGES / f"{name}.png")
    depths = (5, 10, 20, 40)
    figure = ef.compare([ef.variance(ef.parse(f"conv3 * {n}")) for n in depths], [f"{n} layers" for n in depths])
    figure.savefig(IMAGES / "depths.png", dpi=110)
    for path in [IMAGES / f"{name}.png" for name in (*FULL, "depths")]:  # accuracy.png comes from benchmarks/accuracy.py
        # A repository keeps every picture it ever held: a palette makes them a fifth of their size.
        with_palette(Image.open(path)).save(path, optimize=True)
        print(f"{path.name:16s} {path.stat().st_size / 1000:6.0f} kB")


if __name__ == "__main__":
    main()
