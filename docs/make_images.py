"""Makes the pictures of the README and the documentation: ``python docs/make_images.py`` writes docs/images/*.png."""

from __future__ import annotations

from pathlib import Path

from PIL import Image  # comes with matplotlib

import erffast as ef

IMAGES = Path(__file__).parent / "images"
FULL = {  # the figure that `erffast analyze ... --plot` draws
    "conv3x1000": ("conv3 * 1000", {}),
    "comb": ("conv3/2 * 3, conv3 * 6", {}),
    "dilation": ("conv3 * 12, conv3:d2, conv3:d4, conv3:d8", {}),
    "corner": ("conv3:p1 * 10", {"input_size": 32, "unit": 0}),
}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, (text, options) in FULL.items():
        ef.analyze(text, **options).plot(IMAGES / f"{name}.png")
    depths = (5, 10, 20, 40)
    figure = ef.compare([ef.variance(ef.parse(f"conv3 * {n}")) for n in depths], [f"{n} layers" for n in depths])
    figure.savefig(IMAGES / "depths.png", dpi=110)
    for path in sorted(IMAGES.glob("*.png")):
        # a palette: colour maps have 256 colours, and a repository keeps every picture it ever held
        picture = Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
        print(f"{path.name:16s} {path.stat().st_size / 1000:6.0f} kB")


if __name__ == "__main__":
    main()
