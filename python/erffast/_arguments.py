"""The arguments of the commands, and how their values are read."""

from __future__ import annotations

import argparse
from typing import Literal

_GRAMMAR = """The network is written from the input to the output: conv3, conv3x5, conv3/2 (stride), conv3:d2 (dilation), conv3:p1
(padding), conv3:same, maxpool2, avgpool3/2, relu, batchnorm, dropout0.5, scale0.1; conv3 * 20 repeats, and so does (conv3, relu) * 4."""


def network_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", metavar="TEXT", help=f"the network. {_GRAMMAR}")
    command.add_argument("--ndim", type=int, choices=(1, 2, 3), help="number of axes (default 2)")
    command.add_argument("--layer", type=_layer, metavar="N|NAME", help="only up to this layer: an index from 0, or a layer's text")


def variance_arguments(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("the effective receptive field")
    group.add_argument("--input-size", type=_per_axis, metavar="N|NxN", help="size of the input map (default: the unbounded plane)")
    group.add_argument("--unit", type=_per_axis, metavar="N|NxN", help="the output unit (default: the middle of the map; 0 on the plane)")
    group.add_argument("--window", type=_window, metavar="auto|full|NxN", help="what to compute (default auto: all but tol of the mass)")
    group.add_argument("--tol", type=float, help="share of the mass that may be left out (default 1e-12)")
    group.add_argument("--engine", choices=("auto", "direct", "separable", "spectral"))
    group.add_argument("--accuracy", choices=("auto", "pixel", "peak"), help="what errors are relative to")
    group.add_argument("--period", choices=("auto", "full"), help="what the spectral engine computes of a signed image")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"))
    group.add_argument("--dtype", choices=("float64", "float32"))
    group.add_argument("--threads", type=int, metavar="N", help="0: all (default)")


def simulate_arguments(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what is drawn")
    group.add_argument("--draws", type=int, metavar="N", help="networks, each with an input of its own (default 100)")
    group.add_argument("--seed", type=int, metavar="N", help="default 0")
    group.add_argument("--channels", type=int, metavar="N", help="of every layer (default 1)")
    scheme_help = "weights: he (default), glorot, lecun, orthogonal, delta-orthogonal, ones, or wide and a number, as in wide1.5"
    group.add_argument("--scheme", metavar="NAME", help=scheme_help)
    group.add_argument("--inputs", choices=("normal", "uniform", "constant"), help="default normal")
    group.add_argument("--reduction", choices=("square", "abs", "signed", "rms", "positive"), help="what is averaged (default square)")
    group.add_argument("--normalise", action="store_true", help="each draw to unit mass first: the typical draw")
    group.add_argument("--input-size", type=_per_axis, metavar="N|NxN", help="size of the input map (default: the unbounded plane)")
    group.add_argument("--unit", type=_per_axis, metavar="N|NxN", help="the output unit (default: the middle of the map; 0 on the plane)")
    group.add_argument("--window", type=_window, metavar="full|NxN", help="pixels to return (default full)")
    group.add_argument("--dtype", choices=("float64", "float32"))
    group.add_argument("--threads", type=int, metavar="N", help="0: all (default)")
    output = command.add_argument_group("output")
    output.add_argument("--plot", metavar="FILE", help="write the picture (.png, .svg, .pdf)")
    output.add_argument("--save", metavar="FILE.npz", help="write the result, for erffast show and ERF.load")
    output.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def output_arguments(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("output")
    group.add_argument("--plot", metavar="FILE", help="write the picture (.png, .svg, .pdf)")
    group.add_argument("--html", metavar="FILE", help="write a self-contained page with the picture and the tables")
    json_help = "write the report as JSON; without FILE, to standard output in place of the text"
    group.add_argument("--json", metavar="FILE", nargs="?", const="-", help=json_help)
    group.add_argument("--save", metavar="FILE.npz", help="write the result, for erffast show and ERF.load")
    group.add_argument("-v", "--verbose", action="store_true", help="every row of a long layer table, why this engine, and the time taken")
    group.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def reproduce_arguments(command: argparse.ArgumentParser) -> None:
    folder_help = "made if it is not there (default: reproduction); finished parts in it (400 MB in all) are not computed again"
    command.add_argument("folder", metavar="FOLDER", nargs="?", default="reproduction", help=folder_help)
    command.add_argument("--quick", action="store_true", help="fewer draws and smaller networks, below a minute")
    command.add_argument(
        "--only",
        metavar="NAME,NAME",
        help="only these experiments, as modules of erffast.experiments are named, and a report of these only",
    )
    command.add_argument("--seed", type=int, metavar="N", default=0, help="of everything that is drawn (default 0)")
    command.add_argument("--threads", type=int, metavar="N", default=0, help="0: all (default)")
    command.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def bench_arguments(command: argparse.ArgumentParser) -> None:
    level = command.add_mutually_exclusive_group()
    level.add_argument("--quick", action="store_true", help="small sizes, below a minute")
    level.add_argument("--full", action="store_true", help="other ways at full size too, some of them a minute each")
    command.add_argument("--jobs", metavar="J1,J3", help="only these (default: all)")
    json_help = "write everything as JSON; without FILE, to standard output in place of the tables"
    command.add_argument("--json", metavar="FILE", nargs="?", const="-", help=json_help)
    command.add_argument("--plot", metavar="FILE", help="also measure growth of time and memory, and write its picture (.png, .svg, .pdf)")
    compare_help = "compare with an earlier --json FILE, or two such files; exit status 1 where something got slower or wrong"
    command.add_argument("--compare", metavar="FILE", nargs="+", help=compare_help)
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the jobs that run there, beside torch on that GPU")
    command.add_argument("--threads", type=int, metavar="N", help="0: all (default)")


def _per_axis(text: str) -> int | tuple[int, ...]:
    """224 or 224x224."""
    try:
        values = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, or one per axis such as 224x224, got {text!r}") from None
    return values[0] if len(values) == 1 else values


def _window(text: str) -> Literal["auto", "full"] | int | tuple[int, ...]:
    if text in ("auto", "full"):
        return text  # type: ignore[return-value]
    try:
        return _per_axis(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected auto, full, or a size such as 101x101, got {text!r}") from None


def _layer(text: str) -> str | int:
    """An index or a name."""
    return int(text) if text.lstrip("-").isdecimal() else text
