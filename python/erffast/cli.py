"""The command line: ``erffast analyze "conv3 * 20" --plot erf.png``.

Exit status: 0 done, 1 a check does not hold, 2 something is wrong with the input or the machine (one message on standard
error), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import _arguments

if TYPE_CHECKING:
    from .benchmark import Benchmark
    from .experiments import Findings
    from .layers import Stack
    from .result import ERF

FAILED, WRONG, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
NO_MATPLOTLIB = 'pictures need matplotlib: pip install "erffast[plot]"'
PICTURES = (".png", ".svg", ".pdf")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        getattr(args, "command", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if "run" not in args:
        parser.print_help()
        return WRONG
    try:
        status: int = args.run(args)
        sys.stdout.flush()  # here, where a closed pipe is still handled
        return status
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader went away (`| head`): leave without a word, and keep Python's own flush at exit from failing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except MemoryError as exc:
        return _complain(f"not enough memory: {str(exc) or 'the operating system refused more'}")
    except OSError as exc:
        return _complain(f"{exc.filename}: {exc.strerror}" if exc.filename and exc.strerror else str(exc))
    except (ValueError, TypeError, ArithmeticError, RuntimeError, NotImplementedError, ImportError) as exc:
        if os.environ.get("ERFFAST_TRACEBACK"):
            raise
        return _complain(str(exc) or type(exc).__name__)


def _complain(message: str, status: int = WRONG) -> int:
    print(f"erffast: {message}", file=sys.stderr)
    return status


# ---------------------------------------------------------------------------------------------- commands


def _analyze(args: argparse.Namespace) -> int:
    _check_files(args)
    from .report import analyze, write_text

    started = time.perf_counter()
    report = analyze(args.text, **_options(args))
    if not args.quiet and args.json != "-":
        print(report.as_text(rows=None) if args.verbose else repr(report), flush=True)  # before what is said on stderr
        if args.verbose:
            print(f"\n{_why(report.erf)}\n{time.perf_counter() - started:.2f} s")
    if args.json == "-":
        sys.stdout.write(report.to_json())
    elif args.json:
        _written(args, args.json, lambda path: write_text(path, report.to_json()))
    _written(args, args.plot, report.plot)
    _written(args, args.html, report.to_html)
    _written(args, args.save, report.erf.save)
    return 0


def _why(erf: ERF) -> str:
    """The engine and the reason for it, in lines of 100 columns."""
    return textwrap.fill(f"Engine {erf.engine}: {erf.reason}.", 100, break_on_hyphens=False)


def _field(args: argparse.Namespace) -> int:
    from . import geometry
    from ._layer_table import layer_rows
    from ._tables import number
    from .report import ROWS_SHOWN, as_network, layer_table

    net = geometry.upto(as_network(args.text, ndim=args.ndim), args.layer)
    found = geometry.receptive_field(net)
    print(f"Theoretical receptive field {number(found.size)} px, jump {number(found.jump)}")
    print(f"Unit 0 begins at {found.start}, its centre lies at {found.centre}\n")
    print(layer_table(tuple(layer_rows(net)), most=None if args.verbose else ROWS_SHOWN).as_text())
    return 0


def _check(args: argparse.Namespace) -> int:
    from . import geometry
    from .analytic import check
    from .report import as_network, check_table

    checks = tuple(check(geometry.upto(as_network(args.text, ndim=args.ndim), args.layer)))
    if not args.quiet:
        print(check_table(checks).as_text())
    return 0 if all(item.holds for item in checks) else FAILED


def _show(args: argparse.Namespace) -> int:
    _check_files(args)
    from .result import ERF

    erf = ERF.load(args.file)
    print(repr(erf))
    if args.plot:
        from .plotting import save_picture

        _written(args, args.plot, lambda path: save_picture(erf, path, title=Path(args.file).name))
    return 0


def _simulate(args: argparse.Namespace) -> int:
    _check_files(args)
    from . import geometry
    from .report import as_network
    from .simulation import simulate

    net = geometry.upto(as_network(args.text, ndim=args.ndim), args.layer)
    names = ("draws", "seed", "channels", "scheme", "inputs", "reduction", "input_size", "unit", "window", "dtype", "threads")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    erf = simulate(net, normalise=args.normalise, progress=sys.stderr.isatty() and not args.quiet, **options)
    if not args.quiet:
        print(f"{erf!r}\n{_theory(net, args)}", flush=True)
    if args.plot:
        from .plotting import save_picture

        _written(args, args.plot, lambda path: save_picture(erf, path, title=f"{args.text}, simulated"))
    _written(args, args.save, erf.save)
    return 0


def _reproduce(args: argparse.Namespace) -> int:
    from .experiments import EXPERIMENTS, reproduce

    only = None if args.only is None else [name.strip() for name in args.only.split(",") if name.strip()]
    if only is not None and not only:
        raise ValueError(f"--only names no experiment; there are {', '.join(EXPERIMENTS)}")
    target = Path(args.folder)
    if target.exists() and not target.is_dir():
        raise ValueError(f"{args.folder}: this is a file; name a folder")

    def say(name: str, found: Findings, seconds: float) -> None:
        judged = found.judged
        print(f"{name:16s} {sum(claim.holds for claim in judged):3d} of {len(judged):3d} agree with theory   {seconds:5.1f} s", flush=True)
        for claim in judged:
            if not claim.holds:
                print(f"    {claim.against_theory}: {claim.name}")

    progress = sys.stderr.isatty() and not args.quiet
    options = {"only": only, "quick": args.quick, "seed": args.seed, "threads": args.threads, "progress": progress}
    try:
        found = reproduce(target, listen=None if args.quiet else say, **options)
    except KeyboardInterrupt:
        return _complain(f"interrupted; the same command again goes on from the parts in {target / 'parts'}", INTERRUPTED)
    if not args.quiet:
        print(f"wrote {target / 'report.md'}", file=sys.stderr)
    return 0 if all(claim.holds for some in found.values() for claim in some.claims) else FAILED


def _theory(net: Stack, args: argparse.Namespace) -> str:
    """The sizes of the closed form, to set beside those that were simulated."""
    from ._summary import sizes_of
    from .propagation import variance

    try:
        return f"theory, {sizes_of(variance(net, input_size=args.input_size, unit=args.unit))}"
    except (NotImplementedError, MemoryError) as exc:
        return f"theory: none beside it, {exc}"


def _info(args: argparse.Namespace) -> int:
    from . import available_devices, build_info
    from ._devices import gpus
    from ._tables import Table

    build = [(str(key), str(value)) for key, value in build_info().items()]
    devices = list(available_devices().items())
    devices += [(f"cuda, GPU {i}", _described(gpu)) for i, gpu in enumerate(gpus())]
    print(Table(f"erffast {_version()}", ("", ""), build, left=(0, 1)).as_text())
    print("\n" + Table("Devices", ("", ""), devices, left=(0, 1)).as_text())
    return 0


def _described(gpu: dict[str, Any]) -> str:
    from ._backend import readable_bytes

    return f"{gpu['name']}, compute capability {gpu['compute_capability']}, {readable_bytes(gpu['memory'])}"


def _bench(args: argparse.Namespace) -> int:
    _check_files(args)
    from .benchmark import load_results, run_jobs
    from .benchmark.tables import benchmark_tables

    if len(args.compare or ()) > 2:
        raise ValueError(f"--compare takes one file or two, got {len(args.compare)}")
    if args.plot and args.device == "cuda":
        raise ValueError("--plot draws growth on the CPU; leave --device cuda out, or --plot")
    files = [load_results(path) for path in args.compare or ()]
    if len({found.device for found in files} | ({args.device} if len(files) == 1 else set())) > 1:
        raise ValueError("--compare takes runs on the same device")
    if len(files) == 2:
        return _compare(files[0], files[1], args.jobs)
    level = "quick" if args.quick else "full" if args.full else "standard"
    say = (lambda line: print(line, file=sys.stderr, flush=True)) if sys.stderr.isatty() else None
    found = run_jobs(args.jobs, level=level, device=args.device, threads=args.threads or 0, growth=bool(args.plot), say=say)
    if args.json == "-":
        sys.stdout.write(found.to_json())
    else:
        print("\n\n".join(table.as_text(width=200) for table in benchmark_tables(found)), flush=True)
        _written(args, args.json, found.save)
    if args.plot:
        from .benchmark.pictures import save_growth

        _written(args, args.plot, lambda path: save_growth(found, path))
    status = _compare(files[0], found, args.jobs) if files else 0
    return status if found.right else FAILED


def _compare(old: Benchmark, new: Benchmark, jobs: str | None) -> int:
    """The table of two runs; `jobs`: only these."""
    from .benchmark.compare import compare, comparison_table, failed
    from .benchmark.jobs import chosen_jobs

    found = compare(old, new, only=None if jobs is None else [job.key for job in chosen_jobs(jobs)])
    print(comparison_table(found, old, new).as_text(width=200))
    return FAILED if failed(found) else 0


# ---------------------------------------------------------------------------------------------- options and files


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `erffast.analyze` that were given."""
    names = ("ndim", "input_size", "unit", "layer", "window", "tol", "engine", "accuracy", "period", "device", "dtype", "threads")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if sys.stderr.isatty() and not args.quiet:
        options["progress"] = True
    return options


def _check_files(args: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written before the work is done, not after it."""
    for option in ("plot", "html", "json", "save"):
        path = getattr(args, option, None)
        if not path or path == "-":
            continue
        folder = Path(path).absolute().parent
        if Path(path).is_dir():
            raise ValueError(f"--{option} {path}: this is a folder; name a file")
        if not folder.is_dir():
            raise ValueError(f"--{option} {path}: the folder {folder} does not exist")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"--{option} {path}: the folder {folder} cannot be written to")
    if getattr(args, "plot", None):
        if Path(args.plot).suffix.lower() not in PICTURES:
            raise ValueError(f"--plot {args.plot}: a picture ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
        if importlib.util.find_spec("matplotlib") is None:
            raise ImportError(NO_MATPLOTLIB)


def _written(args: argparse.Namespace, path: str | None, write: Callable[[str], Any]) -> None:
    if path:
        write(path)
        if not getattr(args, "quiet", False):
            print(f"wrote {path}", file=sys.stderr)


def _version() -> str:
    from . import __version__

    return __version__


class _Version(argparse.Action):
    """Prints the version; asked for late, because it is read from the package's metadata."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(f"erffast {_version()}")
        parser.exit()


# ---------------------------------------------------------------------------------------------- the parser


class _Parser(argparse.ArgumentParser):
    """Complains in one line; argparse would print the whole usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="erffast",
        description="Theoretical and effective receptive fields of convolutional networks, thousands of layers deep.",
        epilog='example:\n  erffast analyze "conv3 * 1000" --plot erf.png',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    purpose = "sizes, layer table and checks of a network's effective receptive field"
    example = 'erffast analyze "conv3 * 1000" --plot erf.png\n  erffast analyze "(conv3:p1, relu) * 8" --input-size 32 --unit 0x0 --json'
    analyze = _command(commands, "analyze", _analyze, purpose, example, usage="TEXT [options]")
    _arguments.network_arguments(analyze)
    _arguments.variance_arguments(analyze)
    _arguments.output_arguments(analyze)

    example = 'erffast field "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 4"'
    field = _command(commands, "field", _field, "theoretical receptive field after each layer", example, usage="TEXT [options]")
    _arguments.network_arguments(field)
    field.add_argument("-v", "--verbose", action="store_true", help="every row of a long table")

    purpose = "theory against measurement; exit status 1 if a check does not hold"
    check = _command(commands, "check", _check, purpose, 'erffast check "conv3 * 20"', usage="TEXT [options]")
    _arguments.network_arguments(check)
    check.add_argument("-q", "--quiet", action="store_true", help="only the exit status")

    purpose = "random networks forward and backward, averaged over draws, beside the theory's sizes"
    example = 'erffast simulate "(conv3, relu) * 20" --draws 200 --channels 8 --plot erf.png'
    simulate = _command(commands, "simulate", _simulate, purpose, example, usage="TEXT [options]")
    _arguments.network_arguments(simulate)
    _arguments.simulate_arguments(simulate)

    purpose = "every experiment of the paper again, and its critics' questions: a report with figures"
    example = "erffast reproduce reproduction --quick"
    again = _command(commands, "reproduce", _reproduce, purpose, example, usage="[FOLDER] [options]")
    _arguments.reproduce_arguments(again)

    example = "erffast show erf.npz --plot erf.png"
    show = _command(commands, "show", _show, "a result saved by analyze --save", example, usage="FILE.npz [--plot FILE]")
    show.add_argument("file", metavar="FILE.npz")
    show.add_argument("--plot", metavar="FILE", help="write the picture (.png, .svg, .pdf)")

    purpose = "check known answers and time them, beside the machine's limits and other ways"
    example = "erffast bench --quick --jobs J2,small"
    bench = _command(commands, "bench", _bench, purpose, example, usage="[options]")
    _arguments.bench_arguments(bench)

    _command(commands, "info", _info, "how this copy was built, and which devices it can use", "erffast info")
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], purpose: str, example: str, *, usage: str = ""
) -> argparse.ArgumentParser:
    """`usage` puts the network first: an option whose value may be left out, --json, would swallow what stands behind it."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"erffast {name} {usage}".rstrip(),
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run, command=command)
    return command
