"""Photographs as inputs: those that scikit-image carries in its package. Nothing is ever fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Of those that are photographs; without the retina, half of whose pixels are a black surround, and the cell, a phase map.
FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera man": "camera.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "galaxies": "hubble_deep_field.jpg",
    "tissue": "ihc.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "rocket": "rocket.jpg",
}
LUMINANCE = (0.2125, 0.7154, 0.0721)  # of the primaries, ITU-R BT.709


def photographs() -> dict[str, Array]:
    """Grey photographs [rows, columns] by name, each of mean 0 and variance 1, as networks are fed.

    Eight bits make neighbours exactly equal in places, and a max-pool would always take the first of them: noise of one step is added,
    uniform, which is what the rounding took away.

    Raises
    ------
    FileNotFoundError
        If this scikit-image comes without them.
    """
    from skimage import data, io

    rng = np.random.default_rng(0)
    found = {}
    for name, file in FILES.items():
        path = Path(data.__file__).parent / file  # not data.camera() and its like, which may fetch what is missing
        if not path.is_file():
            raise FileNotFoundError(f"natural images: {path} is not there; scikit-image 0.20 to 0.26 come with it")
        pixels = np.asarray(io.imread(path), dtype=np.float64)
        pixels += rng.uniform(-0.5, 0.5, pixels.shape)
        grey = pixels if pixels.ndim == 2 else pixels @ LUMINANCE
        found[name] = (grey - grey.mean()) / grey.std()
    return found


def crops(photos: list[Array], side: int, count: int, seed: int) -> Array:
    """Squares cut out at random places of random photographs, [count, 1, side, side]."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, 1, side, side))
    for one in out:
        photo = photos[rng.integers(len(photos))]
        top, left = (int(rng.integers(n - side + 1)) for n in photo.shape)
        one[0] = photo[top : top + side, left : left + side]
    return out
