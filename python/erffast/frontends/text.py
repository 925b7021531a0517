"""The text form of a network: ``conv3 * 20, conv3/2:p1, maxpool2, (conv3, relu) * 4``.

A recursive descent over the grammar (docs/text.md explains it with examples)::

    network = item ("," item)* [","]
    item    = (layer | "(" network ")") ("*" count)*
    layer   = window | "dropout" real | "scale" real | activation | norm | residual
    residual = "residual" "(" network ["|" network] ")"
    window  = ("conv" | "maxpool" | "avgpool") sizes ("/" sizes | ":" option)*
    option  = "d" sizes | "p" pads | "same" | "valid" | "ceil" | "nopad"
    sizes   = integer ("x" integer)*
    pads    = pad ("x" pad)*          pad = integer ["+" integer]

There is no separate tokenizer: what ``3x5`` or ``1e-3`` means depends on the layer in front of it, so each rule matches
its own pieces at the current position. Every rule that fails knows where it stands; `_Reader.fail` makes the message.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NoReturn

from .. import layers as L
from .._validate import Padding

MAX_DEPTH = 100  # parentheses inside parentheses; each level costs Python stack frames here and in Stack
MAX_INTEGER = 10**9  # sizes and counts, and the layers of the whole network: far past use, and safe in 64 bits everywhere
SHORT = 256  # characters of a text whose network is kept
EXCERPT = 76  # characters of the text that an error message shows

_WINDOWS = {"conv": L.Conv, "maxpool": L.MaxPool, "avgpool": L.AvgPool}
_OPTIONS = {
    "conv": ("d", "p", "same", "valid"),
    "maxpool": ("d", "p", "ceil"),
    "avgpool": ("p", "ceil", "nopad"),
}
_REALS: dict[str, tuple[Callable[[float], L.Layer], str]] = {
    "dropout": (L.Dropout, "dropout0.5"),
    "scale": (L.Scale, "scale0.1"),
}
_NORMS = {f"{kind}norm": kind for kind in L.NORMS} | {"norm": "batch"}
_LATER = {
    "convtranspose": L.ConvTranspose,
    "upsample": L.Upsample,
    "globalpool": L.GlobalPool,
    "branches": L.Branches,
}
_NAMES = (*_WINDOWS, *_REALS, *L.ACTIVATIONS, *_NORMS, "residual")
# Words of other libraries that no likeness of letters would find.
_SYNONYMS = {
    "convolution": "conv", "pool": "maxpool", "mp": "maxpool", "maxpooling": "maxpool", "ap": "avgpool", "meanpool": "avgpool",
    "averagepool": "avgpool", "bn": "batchnorm", "ln": "layernorm", "gn": "groupnorm", "in": "instancenorm", "swish": "silu",
    "lrelu": "leaky_relu", "drop": "dropout", "id": "identity", "linear": "identity", "gamma": "scale",
    "res": "residual", "skip": "residual", "shortcut": "residual", "resblock": "residual", "basicblock": "residual",
}  # fmt: skip
_OPTION_SYNONYMS = {"pad": "p", "padding": "p", "dil": "d", "dilation": "d", "dilated": "d", "s": "/", "stride": "/"}

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_]+")
_INTEGER = re.compile(r"[0-9]+")
_REAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_TIMES = re.compile(r"[xX]")
_UP_TO_NEXT = re.compile(r"[^,()*|]*")
_PIECE = re.compile(r"[\w.+-]+|\S")  # what an error message calls the thing it met


def parse(text: str, *, ndim: Literal[1, 2, 3] = 2) -> L.Stack:
    """The network that a text describes.

    Parameters
    ----------
    text : str
        Layers from the input to the output, separated by commas: ``"conv3 * 20, conv3/2, conv5:d2, maxpool2, relu,
        dropout0.5, (conv3, relu) * 4"``. Names in any case, spaces and line breaks anywhere between the pieces. Repeats
        stay run-length encoded: ``(conv3, relu) * 100000`` costs as little as ``conv3, relu``.
    ndim : {1, 2, 3}
        Number of spatial axes.

    Returns
    -------
    Stack
        ``parse(str(net), ndim=net.ndim) == net`` for every net made of what the text form can say.

    Raises
    ------
    ValueError
        The text is not a network. The message shows the place, what was expected there, and for a misspelt name the
        likeliest one.

    Examples
    --------
    >>> import erffast as ef
    >>> len(ef.parse("conv3 * 20, (conv3:same, relu) * 4"))
    28
    """
    if not isinstance(text, str):
        raise TypeError(f'text must be a string such as "conv3 * 20, relu", got {text!r}')
    checked = L.Stack(ndim=ndim).ndim  # Stack says what is wrong with ndim
    return (_read_before if len(text) <= SHORT else _read)(text, checked)


def _read(text: str, ndim: int) -> L.Stack:
    return _Reader(text, ndim).whole()


_read_before = lru_cache(maxsize=64, typed=True)(_read)  # a stack never changes: the one read before serves, with what is known of it


class _Reader:
    """A text, the position reached in it, and one method for each rule of the grammar."""

    def __init__(self, text: str, ndim: int) -> None:
        self.text, self.ndim, self.at, self.depth = text, ndim, 0, 0
        self.seen: dict[str, L.Layer] = {}  # by spelling: a network written out layer by layer repeats few, and layers are frozen

    # ------------------------------------------------------------------ looking and moving
    def space(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string too

    def peek(self) -> str:
        """The next character that is not a space, "" at the end."""
        self.space()
        return self.text[self.at : self.at + 1]

    def take(self, pattern: re.Pattern[str]) -> str:
        """What `pattern` matches here, "" if nothing; the position moves past it."""
        found = pattern.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        return found.group()

    def piece(self, start: int | None = None) -> tuple[int, int, str]:
        """Start, end and name, for a message, of what stands at `start` (default: here)."""
        if start is None:
            self.space()
            start = self.at
        found = _PIECE.match(self.text, start)
        return (start, found.end(), f"'{_printable(found.group())}'") if found else (start, start + 1, "the end of the text")

    def fail(self, start: int, end: int, message: str) -> NoReturn:
        raise ValueError(f"cannot read the network at position {start + 1}: {message}\n{_excerpt(self.text, start, end)}")

    def expected(self, what: str, hint: str = "") -> NoReturn:
        start, end, got = self.piece()
        self.fail(start, end, f"expected {what}, got {got}{hint}")

    # ------------------------------------------------------------------ rules
    def whole(self) -> L.Stack:
        if not self.peek():
            raise ValueError('cannot read the network: the text is empty; a network is written like "conv3 * 20, relu"')
        net = self.network()
        if self.peek() == ")":
            self.fail(self.at, self.at + 1, "')' closes no '('")
        if self.peek():
            self.expected("',' between two layers or the end", self.hint_after_layer())
        return net

    def network(self) -> L.Stack:
        items = [self.item()]
        while self.peek() == ",":
            self.at += 1
            if self.peek() in (")", "|", ""):  # a comma may also stand behind the last layer
                break
            items.append(self.item())
        return L.Stack(items, ndim=self.ndim)  # type: ignore[arg-type]

    def item(self) -> L.Layer:
        block = self.group()[0] if self.peek() == "(" else self.known_layer()
        if self.peek() != "*":
            return block
        block = L.Stack([block], ndim=self.ndim)  # type: ignore[arg-type]
        while self.peek() == "*":
            self.at += 1
            self.space()
            start = self.at
            times = self.count()
            if len(block) * times > MAX_INTEGER:
                self.fail(start, self.at, f"the network would have more than {MAX_INTEGER:,} layers")
            block *= times
        return block

    def known_layer(self) -> L.Layer:
        """`layer`, looked up where the same spelling was read before."""
        start, spelling = self.at, _UP_TO_NEXT.match(self.text, self.at).group()  # type: ignore[union-attr]  # matches "" too
        if spelling in self.seen:
            self.at += len(spelling)
            return self.seen[spelling]
        layer = self.layer()
        if self.at == start + len(spelling):
            self.seen[spelling] = layer
        return layer

    def group(self, most: int = 1) -> list[L.Stack]:
        """What stands in parentheses: one network, or up to `most` with '|' between them."""
        opening = self.at
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(opening, opening + 1, f"parentheses are nested more than {MAX_DEPTH} deep")
        self.at += 1
        networks = [self.network()]
        while self.peek() == "|" and len(networks) < most:
            self.at += 1
            networks.append(self.network())
        if not self.peek():
            self.fail(opening, opening + 1, "'(' is never closed")
        if self.peek() != ")":
            between = "',' between two layers, '|' before the shortcut" if len(networks) < most else "',' between two layers"
            self.expected(f"{between} or ')'", self.hint_after_layer())
        self.at += 1
        self.depth -= 1
        return networks

    def count(self) -> int:
        start = self.at
        digits = self.take(_INTEGER)
        if not digits or self.text[self.at : self.at + 1] == ".":
            self.at = start
            self.expected("a whole number of repeats")
        times = self.number(digits, start)
        if times < 1:
            self.fail(start, self.at, f"a repeat must be at least 1, got {times}")
        return times

    def layer(self) -> L.Layer:
        start = self.at
        name = self.take(_NAME).lower()
        if not name:
            hint = "; the number of repeats comes after the layer, as in conv3 * 4" if self.peek().isdecimal() else ""
            self.expected("a layer or '('", hint)
        if name in _WINDOWS:
            return self.window(name, start)
        if name in _REALS:
            make, example = _REALS[name]
            return self.build(start, make, self.real(name, example))
        if name == "residual":
            return self.residual(start)
        plain: Callable[..., L.Layer]
        if name in L.ACTIVATIONS:
            plain, argument = L.Activation, name
        elif name in _NORMS:
            plain, argument = L.Norm, _NORMS[name]
        else:
            self.unknown(name, start)
        if _INTEGER.match(self.text, self.at):
            _, end, word = self.piece(start)
            self.fail(start, end, f"unknown layer {word}: '{name}' takes no number")
        return self.build(start, plain, argument)

    def residual(self, start: int) -> L.Layer:
        if self.peek() != "(":
            self.expected("'(' after 'residual', as in residual(conv3:p1, relu, conv3:p1)")
        return self.build(start, L.Residual, *self.group(most=2))

    def window(self, name: str, start: int) -> L.Layer:
        self.space()
        if not _INTEGER.match(self.text, self.at):
            self.expected(f"a kernel size after '{name}', such as {name}3 or {name}3x5")
        options: dict[str, Any] = {}
        kernel = self.sizes()
        if self.text[self.at : self.at + 1].isalpha():  # conv2d, conv3relu
            _, end, word = self.piece(start)
            self.fail(start, end, f"unknown layer {word}: the number after '{name}' is the kernel's side, as in {name}3 or {name}3x5")
        while self.peek() and self.peek() in "/:":
            mark = self.at
            self.at += 1
            self.space()
            key, value = ("stride", self.sizes()) if self.text[mark] == "/" else self.option(name, mark)
            if key in options:
                self.fail(mark, self.at, f"the {key} is given twice")
            options[key] = value
        return self.build(start, _WINDOWS[name], kernel, **options)

    def option(self, name: str, mark: int) -> tuple[str, Any]:
        word = self.take(_NAME).lower()
        if word not in _OPTIONS[name]:
            self.unknown_option(name, word, mark)
        self.space()
        if word == "d":
            return "dilation", self.sizes()
        if word == "p":
            return "padding", self.pads()
        if word == "ceil":
            return "ceil_mode", True
        if word == "nopad":
            return "count_include_pad", False
        return "padding", word

    def sizes(self) -> int | tuple[int, ...]:
        """3, or one number per axis: 3x5."""
        sides = [self.integer()]
        while self.take(_TIMES):
            sides.append(self.integer())
        return sides[0] if len(sides) == 1 else tuple(sides)

    def pads(self) -> Padding:
        """1, 1x2, or with before and after apart: 0+1 (the same in every axis), 0+1x2+2."""
        pads = [self.pad()]
        while self.take(_TIMES):
            pads.append(self.pad())
        if all(len(pad) == 1 for pad in pads):
            return pads[0][0] if len(pads) == 1 else tuple(pad[0] for pad in pads)
        pairs = tuple((pad[0], pad[-1]) for pad in pads)
        return pairs * self.ndim if len(pairs) == 1 else pairs

    def pad(self) -> tuple[int, ...]:
        before = self.integer()
        if self.text[self.at : self.at + 1] != "+":
            return (before,)
        self.at += 1
        return before, self.integer()

    def integer(self) -> int:
        start = self.at
        return self.number(self.take(_INTEGER) or self.expected("a whole number"), start)

    def number(self, digits: str, start: int) -> int:
        # The length first: int() of thousands of digits is refused by Python with a message of its own.
        if len(digits.lstrip("0")) > len(str(MAX_INTEGER)) or int(digits) > MAX_INTEGER:
            self.fail(start, self.at, f"a number may be at most {MAX_INTEGER:,}")
        return int(digits)

    def real(self, name: str, example: str) -> float:
        self.space()
        return float(self.take(_REAL) or self.expected(f"a number after '{name}', as in {example}"))

    # ------------------------------------------------------------------ layers and what goes wrong with them
    def build(self, start: int, make: Callable[..., L.Layer], *args: Any, **options: Any) -> L.Layer:
        """The layer, or the layer's own complaint shown at its place."""
        try:
            layer = make(*args, **options)
            layer.check_ndim(self.ndim)
        except (ValueError, NotImplementedError) as exc:
            self.fail(start, self.at, str(exc))
        return layer

    def unknown(self, name: str, start: int) -> NoReturn:
        plain = name.replace("_", "")
        _, end, word = self.piece(start)
        if plain in _LATER:
            self.at = end
            self.build(start, _LATER[plain])
        guess = _SYNONYMS.get(plain) or _closest(name, _NAMES)
        if guess is None:
            self.fail(start, end, f"unknown layer {word}; known are {', '.join(_NAMES)}")
        rest = self.text[start + len(name) : end] if guess in _WINDOWS or guess in _REALS else ""
        self.fail(start, end, f"unknown layer {word}, did you mean '{guess}{rest}'?")

    def unknown_option(self, name: str, word: str, mark: int) -> NoReturn:
        known = [f":{option}" + {"d": "2", "p": "1"}.get(option, "") for option in _OPTIONS[name]]
        if not word:
            self.expected(f"an option of {name} after ':' ({', '.join(known)})")
        number = self.take(_INTEGER)
        guess = _OPTION_SYNONYMS.get(word) or _closest(word, _OPTIONS[name])
        if guess == "/":
            hint = f"; a stride is written /{number or 2}"
        elif guess in _OPTIONS[name]:
            hint = f", did you mean ':{guess}{number or '1' * (guess in 'dp')}'?"
        else:
            hint = f"; it has {', '.join(known)}"
        self.fail(mark, self.at, f"{name} has no option '{_printable(self.text[mark : self.at])}'{hint}")

    def hint_after_layer(self) -> str:
        if self.peek() in ("x", "X", "×"):
            return "; repeats are written conv3 * 4, sizes per axis without spaces, conv3x5"
        if self.peek() == "|":
            return "; '|' stands in residual(...) only, once, before the shortcut"
        return ""


def _closest(word: str, options: tuple[str, ...]) -> str | None:
    found = difflib.get_close_matches(word[:40], options, n=1, cutoff=0.6)
    return found[0] if found else None


def _printable(text: str) -> str:
    """`text` on one line, without control characters, not long."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text[:41])
    return shown if len(shown) <= 40 else shown[:37] + "..."


def _excerpt(text: str, start: int, end: int) -> str:
    """The part of `text` around start..end on one line, and a line of carets under start..end."""
    low = max(0, min(start - EXCERPT // 2, len(text) - EXCERPT))
    high = min(len(text), low + EXCERPT)
    before, after = ("..." if low else ""), ("..." if high < len(text) else "")
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text[low:high])
    # An ideographic space is as wide as the wide characters above it, so that the carets stay under their target.
    wide = [unicodedata.east_asian_width(c) in "WF" for c in shown]
    blank = " " * (len(before) + 2) + "".join("\u3000" if w else " " for w in wide[: start - low])
    carets = "".join("^^" if w else "^" for w in wide[start - low : end - low]) or "^"
    return f"  {before}{shown}{after}\n{blank}{carets}"
