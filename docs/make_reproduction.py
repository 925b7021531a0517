"""Makes the report of the documentation: ``python docs/make_reproduction.py`` writes docs/reproduction/; parts are kept and used again."""

from __future__ import annotations

from pathlib import Path

from PIL import Image  # comes with matplotlib

from erffast.experiments import Findings, reproduce

FOLDER = Path(__file__).parent / "reproduction"
COLOURS = 128  # a repository keeps every picture it ever held: a palette makes them a third of their size


def say(name: str, found: Findings, seconds: float) -> None:
    print(
        f"{name:16s} {sum(claim.holds for claim in found.judged):3d} of {len(found.judged):3d} agree with theory   {seconds:5.1f} s",
        flush=True,
    )


def main() -> None:
    reproduce(FOLDER, listen=say)
    for path in sorted((FOLDER / "figures").glob("*.png")):
        picture = Image.open(path).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
        print(f"{path.name:24s} {path.stat().st_size / 1000:6.0f} kB")
    for path in (FOLDER / "figures").glob("*.pdf"):
        path.unlink()  # for who writes about it; here they would be dead weight


if __name__ == "__main__":
    main()
