"""Residual blocks: values, text, fields against all paths and against automatic differentiation, and what still refuses them."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import geometry, mean_field
from erffast.layers import Activation, AvgPool, Conv, Layer, Residual, Stack
from strategies import batches, field, generator, windows

PADDED, RELU = Conv(3, padding=1), Activation("relu")
BLOCK = Residual([PADDED, RELU, PADDED])

# ------------------------------------------------------------------------------------------------ values


def test_blocks_are_equal_by_value_however_they_are_given() -> None:
    forms: list[Any] = [[PADDED], (PADDED,), PADDED, Stack([PADDED]), Stack([PADDED], ndim=1), iter([PADDED])]
    made = [Residual(body, shortcut) for body, shortcut in zip(forms[:5], [None, [], (), Stack(), Stack(ndim=3)], strict=True)]
    made.append(Residual(forms[5], name="stem"))
    assert len(set(made)) == 1
    assert all(block == made[0] for block in made)
    beside = Residual(PADDED, Conv(1))
    for other in (Residual(PADDED, PADDED), Residual([PADDED, Conv(1)]), Residual(Conv(1), PADDED), Residual(PADDED)):
        assert other != beside
    assert Residual(PADDED, Conv(1)) == beside
    assert beside != Stack([PADDED, Conv(1)])


def test_repeats_inside_are_the_layers_written_out() -> None:
    unit = Stack([PADDED, RELU])
    one, other = Residual([unit * 3, PADDED]), Residual([PADDED, RELU, PADDED, RELU, PADDED, RELU, PADDED])
    assert one == other
    assert hash(one) == hash(other)
    assert Residual(Residual(one)) == Residual([Residual([other])])
    assert Stack([one, other]) == Stack([one]) * 2


def test_a_block_is_frozen_and_pickles() -> None:
    block = Residual([PADDED, BLOCK], Conv(1), name="layer1.0")
    again = pickle.loads(pickle.dumps(block))
    assert (again, again.name, again.label, hash(again)) == (block, "layer1.0", "layer1.0", hash(block))
    net = pickle.loads(pickle.dumps(Stack([block]) * 7))
    assert net == Stack([block] * 7)
    with pytest.raises(AttributeError, match="cannot assign to field 'shortcut'"):
        block.shortcut = None  # type: ignore[misc]
    assert repr(Residual(Conv(3), Conv(1), name="a")) == "Residual(Stack('conv3', ndim=2), shortcut=Stack('conv1', ndim=2), name='a')"


def test_a_stack_counts_a_block_as_one_layer() -> None:
    net = Stack([Conv(3), BLOCK]) * 4 + BLOCK * 2
    assert len(net) == 10
    assert list(net)[9] == BLOCK
    assert [f.name for f in ef.receptive_field(net.upto(3)).layers] == ["conv3", BLOCK.label] * 2
    named = Stack([Conv(3), Residual(BLOCK, name="neck"), Conv(5)])
    assert ef.receptive_field(named, layer="neck") == ef.receptive_field(named, layer=1)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_network_fixes_the_axes_inside(ndim: Any) -> None:
    block = Residual([BLOCK, Conv(5, padding=2)], Conv(1), name="neck")
    (inside,) = Stack([block], ndim=ndim)
    assert isinstance(inside, Residual)
    assert (inside, inside.name) == (block, "neck")
    assert [branch.ndim for branch in inside.branches] == [ndim] * 2
    assert ef.receptive_field(Stack([block], ndim=ndim)).size == (9,) * ndim
    assert hash(Stack([block], ndim=ndim)) == hash(ef.parse(str(block), ndim=ndim))


@pytest.mark.parametrize("wrong", [Conv((3, 5, 7)), Residual(Conv((3, 5, 7)))], ids=["a layer", "a block"])
@pytest.mark.parametrize("place", ["body", "shortcut"])
def test_layers_inside_must_fit_the_axes(wrong: Layer, place: str) -> None:
    block = Residual(wrong) if place == "body" else Residual(Conv(1), wrong)
    block.check_ndim(3)
    assert Stack([block], ndim=3).ndim == 3
    for ndim in (1, 2):
        message = rf"conv3x5x7: kernel has 3 entries \(3, 5, 7\), but the network has {ndim} axes"
        with pytest.raises(ValueError, match=message):
            block.check_ndim(ndim)
        with pytest.raises(ValueError, match=rf"^layers\[1\] \(residual.*{message}"):
            Stack([RELU, block], ndim=ndim)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([],), ValueError, "body is empty: a block needs at least one layer"),
        ((Stack(), Conv(1)), ValueError, "body is empty"),
        (("conv3",), TypeError, r"body must be a Layer or an iterable of layers, got 'conv3'; use erffast.parse\('conv3'\)"),
        ((3,), TypeError, "body must be a Layer or an iterable of layers, got 3"),
        ((Conv(3), 1), TypeError, "shortcut must be a Layer or an iterable of layers, got 1"),
        (([Conv(3), "relu"],), TypeError, r"layers\[1\] must be a Layer, got 'relu'"),
        (([Conv((3, 3)), Conv((3, 3, 3))],), ValueError, r"^body: layers\[1\] \(conv3x3x3\): kernel has 3 entries"),
        ((Conv(3), [Conv(3, stride=2, padding="same")]), ValueError, r'^shortcut: layers\[0\] .* padding="same" needs stride 1'),
    ],
    ids=["no body", "an empty stack", "text", "a number", "a number beside", "a word among layers", "axes", "same"],
)
def test_what_is_no_block_is_refused(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Residual(*arguments)


# ------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("residual(conv3:p1, relu, conv3:p1)", BLOCK),
        ("residual(conv3/2:p1, relu, conv3:p1 | conv1/2)", Residual([Conv(3, stride=2, padding=1), RELU, PADDED], Conv(1, stride=2))),
        ("residual((conv3:p1, relu) * 5 | conv1, batchnorm)", Residual(Stack([PADDED, RELU]) * 5, [Conv(1), ef.Norm()])),
        ("residual(residual(conv3:p1) * 2 | residual(conv1))", Residual(Residual(PADDED) * 2, Residual(Conv(1)))),
    ],
)
def test_the_text_form(text: str, block: Residual) -> None:
    assert str(block) == text
    assert list(ef.parse(text)) == [block]
    assert ef.parse(f"relu, {text} * 3") == Stack([RELU, block, block, block])


@pytest.mark.parametrize("text", ["Residual ( conv3 : p1 ,\n|\tconv1 , )", "RESIDUAL(conv3:p1|conv1)", "(residual((conv3:p1), | (conv1)))"])
def test_spaces_cases_and_commas_are_free(text: str) -> None:
    assert ef.parse(text) == Stack([Residual(PADDED, Conv(1))])


def test_deep_nests_are_read_written_and_compared() -> None:
    text = "conv3:p1"
    for _ in range(99):
        text = f"residual({text})"
    net = ef.parse(text)
    assert str(net) == text
    assert net == ef.parse(f"{text},")
    assert hash(net) == hash(ef.parse(f"{text},"))
    assert net != ef.parse(text.replace("p1", "p2"))
    assert ef.receptive_field(ef.parse(text, ndim=1)).size == (3,)
    assert ef.receptive_field(Stack([*net], ndim=1)).size == (3,)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        ef.parse("residual(" * 1000)


# ------------------------------------------------------------------------------------------------ published networks

STEM = "conv7/2:p3, batchnorm, relu, maxpool3/2:p1"


def resnet(block: Callable[[int, bool], str], stages: tuple[int, ...]) -> tuple[Stack, list[int]]:
    """torchvision's network without its head, and the index of the last layer of each stage."""
    layers, ends = [STEM], []
    for stage, blocks in enumerate(stages):
        for i in range(blocks):
            layers += [block(2 if stage and i == 0 else 1, i == 0), "relu"]
        ends.append(len(ef.parse(", ".join(layers))) - 1)
    return ef.parse(", ".join(layers)), ends


def basic(stride: int, first: bool) -> str:
    shortcut = " | conv1/2, batchnorm" if stride == 2 else ""
    return f"residual(conv3/{stride}:p1, batchnorm, relu, conv3:p1, batchnorm{shortcut})"


def bottleneck(stride: int, first: bool) -> str:
    shortcut = f" | conv1/{stride}, batchnorm" if first else ""
    return f"residual(conv1, batchnorm, relu, conv3/{stride}:p1, batchnorm, relu, conv1, batchnorm{shortcut})"


@pytest.mark.parametrize(
    ("block", "stages", "sizes"),
    [
        pytest.param(basic, (2, 2, 2, 2), (43, 99, 211, 435), id="ResNet-18"),
        pytest.param(bottleneck, (3, 4, 6, 3), (35, 91, 267, 427), id="ResNet-50"),
    ],
)
def test_published_receptive_fields(block: Callable[[int, bool], str], stages: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    net, ends = resnet(block, stages)
    fields = ef.receptive_field(net).layers
    assert len(fields) == 4 + 2 * sum(stages)
    for end, size, jump, extent in zip(ends, sizes, (4, 8, 16, 32), (56, 28, 14, 7), strict=True):
        assert (fields[end].size, fields[end].jump, fields[end].aligned) == ((size,) * 2, (jump,) * 2, True)
        assert fields[end].centre == (0.0, 0.0)
        assert ef.receptive_field(net, layer=end) == fields[end]
        assert geometry.output_size(net.upto(end), (224, 224)) == (extent,) * 2
    assert all(f.aligned for f in fields)


# ------------------------------------------------------------------------------------------------ alignment


@pytest.mark.parametrize(
    ("text", "start", "size", "aligned"),
    [
        ("residual(conv3:p1)", -1, 3, True),
        ("residual(conv5:p2 | conv3:p1)", -2, 5, True),
        # an even "same" kernel has its centre half a pixel to the right of the identity's
        ("residual(conv4:same)", -1, 4, False),
        ("residual(conv4:same | conv2:same)", -1, 4, True),
        # ResNet-D: the average pool of the shortcut is centred between the pixels, a 3x3 with stride 2 on one
        ("residual(conv1, conv3/2:p1, conv1 | avgpool2, conv1)", -1, 3, False),
        ("residual(conv1, conv2/2, conv1 | avgpool2, conv1)", 0, 2, True),
        # without padding the sum adds unit i of both maps: a shift of a pixel a layer
        ("residual(conv3)", 0, 3, False),
        ("residual(conv3 | conv1:p1+3)", -1, 4, False),
        ("residual(conv1 | conv1:p7+0)", -7, 8, False),
        # two shifts, one against the other: the ends of the field are alike again, its paths are not
        ("residual(conv3:p2+0), residual(conv3:p0+2)", -2, 5, False),
        ("residual(residual(conv3:p2+0), residual(conv3:p0+2))", -2, 5, False),
        ("residual(conv5:p2 | residual(conv3:p2+0), residual(conv3:p0+2))", -2, 5, False),
        ("conv3/2:p1, residual(conv4:same), conv3/2:p1", -5, 13, False),
    ],
)
def test_alignment_by_hand(text: str, start: int, size: int, aligned: bool) -> None:
    found = ef.receptive_field(ef.parse(text, ndim=1))
    assert (found.start, found.size, found.aligned) == ((start,), (size,), aligned)
    assert found.centre == (start + (size - 1) / 2,)


def test_one_axis_out_of_line_is_enough() -> None:
    assert ef.receptive_field(ef.parse("residual(conv3x3:p1)")).aligned
    assert not ef.receptive_field(ef.parse("residual(conv3x2:p1+1x1+0)")).aligned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("residual(conv3/2:p1)", r"layer residual\(conv3/2:p1\): its body has jump \(2, 2\), but its shortcut \(1, 1\)"),
        ("conv3, (relu, residual(relu | conv1/1x3)) * 2", r"layer residual\(relu \| conv1/1x3\): its body has jump \(1, 1\), .* \(1, 3\)"),
        ("residual(residual(maxpool2 | conv1/3) | conv1/2)", r"layer residual\(maxpool2 \| conv1/3\): "),
    ],
)
def test_maps_of_different_strides_cannot_be_added(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ef.receptive_field(ef.parse(text))


# ------------------------------------------------------------------------------------------------ all paths


def paths(layers: Any) -> Iterator[list[Layer]]:
    """Every way through a network as a sequence of plain layers."""
    choices = [[[x]] if not isinstance(x, Residual) else [*paths(x.body), *paths(x.shortcut or ())] for x in layers]
    for ways in itertools.product(*choices):
        yield [layer for way in ways for layer in way]


def random_block(rng: np.random.Generator, ndim: int, window: Callable[[Any], Layer], depth: int = 2) -> Residual:
    """A block with a stride, up to `depth` blocks inside one another. `window(stride)` draws a layer."""
    one, strides = (1,) * ndim, tuple(int(rng.choice([1, 1, 1, 2, 3])) for _ in range(ndim))

    def branch(most: int) -> list[Layer]:
        layers = [window(strides), *(window(one) for _ in range(int(rng.integers(most))))]  # the first has the stride of the block
        if rng.random() < 0.5:
            layers.append(RELU)
        inner = random_block(rng, ndim, window, depth - 1) if depth > 1 and rng.random() < 0.5 else None
        return [*layers, inner] if inner and set(ef.receptive_field(Stack([inner], ndim=ndim)).jump) == {1} else layers

    identity = strides == one and rng.random() < 0.6
    return Residual(branch(3), None if identity else branch(2))


def random_net(rng: np.random.Generator, ndim: int, window: Callable[[Any], Layer], *, jump: int, widest: int) -> Stack:
    """Blocks and plain layers, at most `jump` and `widest` pixels along each axis."""
    net: list[Layer] = []
    for _ in range(int(rng.integers(1, 5))):
        plain = rng.random() < 0.3
        layer = window((int(rng.integers(1, 3)),) * ndim) if plain else random_block(rng, ndim, window)
        found = ef.receptive_field(Stack([*net, layer], ndim=ndim))
        if max(found.jump) <= jump and max(found.size) <= widest:
            net.append(layer)
    return Stack(net or [random_block(rng, ndim, lambda _: window((1,) * ndim))], ndim=ndim)


@pytest.mark.parametrize("numbers", batches(150, 2000, 50))
def test_fields_are_the_hulls_of_all_paths(numbers: range) -> None:
    aligned = 0
    for number in numbers:
        rng = generator(number, "paths")
        ndim = int(rng.integers(1, 3))
        centred = rng.random() < 0.5  # kernels in the middle of their padding, and odd: all paths are aligned

        def window(stride: Any, rng: np.random.Generator = rng, ndim: int = ndim, centred: bool = centred) -> Layer:
            if centred:
                k = int(rng.choice([1, 3, 5]))
                return Conv(k, stride=stride, dilation=2, padding=k - 1)
            pads = tuple((int(rng.integers(4)), int(rng.integers(4))) for _ in range(ndim))
            return Conv(int(rng.integers(1, 6)), stride=stride, dilation=int(rng.integers(1, 4)), padding=pads)

        net = random_net(rng, ndim, window, jump=100, widest=1000)
        every = list(paths(net))
        fields = [field(Stack(way, ndim=ndim)) for way in every]
        found = ef.receptive_field(net)
        start = tuple(map(min, zip(*(f[2] for f in fields), strict=True)))
        end = tuple(map(max, zip(*([a + n for a, n in zip(f[2], f[0], strict=True)] for f in fields), strict=True)))
        assert {f[1] for f in fields} == {found.jump}, (number, net)
        assert found.start == start, (number, net)
        assert found.size == tuple(b - a for a, b in zip(start, end, strict=True)), (number, net)
        centres = {tuple(a + Fraction(n - 1, 2) for a, n in zip(f[2], f[0], strict=True)) for f in fields}
        assert found.aligned == (len(centres) == 1), (number, net)
        assert found.aligned or not centred
        if found.aligned:
            assert {found.centre} == centres
        aligned += found.aligned
    assert 0 < aligned < len(numbers)


# ------------------------------------------------------------------------------------------------ automatic differentiation


def forward(torch: Any, layers: Any, x: Any, rng: np.random.Generator) -> Any:
    """The network in torch, one channel, all weights positive so that nothing cancels."""
    ndim = x.ndim - 2
    functional = torch.nn.functional
    convolve, average = [(functional.conv1d, functional.avg_pool1d), (functional.conv2d, functional.avg_pool2d)][ndim - 1]
    for layer in layers:
        if isinstance(layer, Residual):
            x = forward(torch, layer.body, x, rng) + forward(torch, layer.shortcut or (), x, rng)
            continue
        axes = windows(layer, ndim)
        if axes is None:
            x = torch.relu(x)
            continue
        strides = [w.stride for w in axes]
        if isinstance(layer, AvgPool):
            x = average(x, [w.kernel for w in axes], strides, [w.before for w in axes])
            continue
        x = functional.pad(x, [n for w in reversed(axes) for n in (w.before, w.after)])
        weights = torch.tensor(rng.uniform(0.5, 1.5, [1, 1, *(w.kernel for w in axes)]))
        x = convolve(x, weights, stride=strides, dilation=[w.dilation for w in axes])
    return x


@pytest.mark.parametrize("dilated", [False, True], ids=["plain", "dilated"])
@pytest.mark.parametrize("numbers", batches(120, 1500, 40))
def test_fields_are_the_hulls_of_gradients(numbers: range, dilated: bool) -> None:
    """Windows keep the map's size but for their stride, so that sums exist.

    Without dilation a window has no hole, and each path reaches the ends of its interval, at a border too. With it the field is
    exact where the border is not met, and elsewhere never too small.
    """
    torch = pytest.importorskip("torch", reason="torch is the oracle: its gradients")
    exact = 0
    for number in numbers:
        rng = generator(number, "residual gradients" + " dilated" * dilated)
        ndim = int(rng.integers(1, 3))

        def window(stride: Any, rng: np.random.Generator = rng, ndim: int = ndim) -> Layer:
            if rng.random() < 0.15:
                return AvgPool(3, stride=stride, padding=1)
            k, d = int(rng.integers(1, 5)), int(rng.integers(1, 4)) if dilated else 1
            before = [int(rng.integers(0, d * (k - 1) + 1)) for _ in range(ndim)]
            return Conv(k, stride=stride, dilation=d, padding=tuple((b, d * (k - 1) - b) for b in before))

        net = random_net(rng, ndim, window, jump=6, widest=60 if ndim == 1 else 40)
        found = ef.receptive_field(net)
        # one pixel more than a multiple of the jump: no stride leaves pixels over
        size = tuple(j * int(rng.integers(2, 4 + 3 * k // j)) + 1 for j, k in zip(found.jump, found.size, strict=True))
        x = torch.ones((1, 1, *size), dtype=torch.float64, requires_grad=True)
        y = forward(torch, net, x, rng)
        message = f"case {number}: {net!r} on {size}"
        assert geometry.output_size(net, size) == tuple(y.shape[2:]), message
        unit = tuple(int(rng.integers(n)) if rng.random() < 0.5 else n // 2 for n in y.shape[2:])
        (gradient,) = torch.autograd.grad(y[(0, 0, *unit)], x)
        reached = gradient[0, 0].numpy() > 0
        low, high = found.box(unit, size)
        inside = found.box(unit) == (low, high)
        for axis, (a, b) in enumerate(zip(low, high, strict=True)):
            at = np.flatnonzero(reached.any(axis=tuple(i for i in range(ndim) if i != axis)))
            assert a <= at[0] <= at[-1] <= b, f"{message}, unit {unit}"
            if inside or not dilated:
                assert (at[0], at[-1]) == (a, b), f"{message}, unit {unit}"
        exact += inside or not dilated
    assert exact > 0.25 * len(numbers)


# ------------------------------------------------------------------------------------------------ repeats


def test_ten_thousand_blocks_are_composed() -> None:
    found = ef.receptive_field(ef.parse("conv7/2:p3, residual(conv3:p1, relu, conv3:p1) * 10000"))
    assert (found.size, found.start, found.centre, found.aligned) == ((80_007,) * 2, (-40_003,) * 2, (0.0, 0.0), True)
    found = ef.receptive_field(ef.parse("residual(residual(conv2) * 100 | conv3:p2+0) * 10000", ndim=1))
    assert (found.size, found.start, found.aligned) == ((1_020_001,), (-20_000,), False)
    blocks = Stack([Residual(Conv(1 + 2 * (i % 50), padding=i % 50), name=f"block {i}") for i in range(10_000)])
    fields = ef.receptive_field(blocks).layers
    assert len(blocks.parts) == len(fields) == 10_000
    assert fields[-1].size == (1 + 200 * sum(2 * i for i in range(50)),) * 2
    assert fields[-1].aligned
    with pytest.raises(OverflowError, match=r"exceeds 2\*\*62 pixels"):
        ef.receptive_field(ef.parse("residual(residual(residual(conv9 * 1000000) * 1000000000) * 1000000000)"))


@pytest.mark.parametrize(
    "text",
    ["residual(conv4:same, residual(conv3))", "residual(conv2/2 | avgpool3/2:p1)", "residual(conv3/2 | residual(conv5:p3/2 | conv1/2))"],
)
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_repeats_are_the_blocks_one_by_one(text: str, count: int) -> None:
    (block,) = ef.parse(text)
    assert isinstance(block, Residual)
    written = Stack([RELU, *(Residual(*block.branches, name=f"{i}") for i in range(count)), Conv(2)])
    assert len(written.parts) == count + 2
    repeated = ef.receptive_field(ef.parse(f"relu, {text} * {count}, conv2"))
    assert repeated == ef.receptive_field(written)
    assert not repeated.aligned


# ------------------------------------------------------------------------------------------------ maps


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("residual(conv3:p1) * 1000000000", 1, 1),
        ("residual(conv3 | avgpool3/1) * 100", 210, 10),
        ("residual((conv2, relu) * 2 | conv3) * 104", 210, 2),
        ("residual(conv3:p2 | conv1:p1) * 1000000000", 7, 2_000_000_007),
        ("residual(conv3/2:p1 | conv1/2) * 40", 1000, 1),
        ("residual(maxpool2:ceil | conv1/2)", 7, 4),
    ],
)
def test_map_sizes_by_hand(text: str, size: int, expected: int) -> None:
    assert geometry.output_size(ef.parse(text, ndim=1), (size,)) == (expected,)


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("residual(conv3)", 9, r"layer residual\(conv3\): of a map of \(9,\) its body makes one of \(7,\), but its shortcut one of \(9,\)"),
        ("relu, residual(maxpool2 | conv1/2) * 3", 12, r"of a map of \(3,\) its body makes one of \(1,\), but its shortcut one of \(2,\)"),
        ("residual(conv3 | conv3) * 5", 9, r"layer conv3: .* the output is empty"),
        ("residual(conv3 | conv3) * 1000000000", 9, r"after 1000000000 repeats the map of \(9,\) is used up: the output is empty"),
        ("residual(conv9, conv1:p4)", 5, r"layer conv9: its window of 9 pixels does not fit the map of 5"),
    ],
)
def test_maps_that_cannot_be_added_are_refused(text: str, size: int, message: str) -> None:
    net = ef.parse(text, ndim=1)
    with pytest.raises(ValueError, match=message):
        geometry.output_size(net, (size,))
    assert ef.receptive_field(net).size  # on the plane there are no sizes to differ


def test_messages_name_long_blocks_briefly() -> None:
    block = Residual([Conv(3, padding=1)] + [Activation("relu"), Conv(3, padding=2)] * 100)
    with pytest.raises(ValueError, match=r"^layer residual\(conv3:p1, .{40,70} \.\.\.: of a map of") as caught:
        geometry.output_size(Stack([block]), (9, 9))
    assert len(str(caught.value)) < 250


# ------------------------------------------------------------------------------------------------ what comes with graphs


@pytest.mark.parametrize(
    ("asked", "call"),
    [
        ("variance()", ef.variance),
        ("variance()", lambda net: ef.variance(net, input_size=3)),
        ("variance()", ef.analyze),
        ("the theory", ef.analytic.check),
        ("gradient()", lambda net: ef.gradient(net, [])),
        ("the theory", ef.analytic.cumulants),
        ("the theory", ef.analytic.profile),
        ("mean_field.gains()", mean_field.gains),
    ],
    ids=["variance", "variance on a map", "analyze", "check", "gradient", "cumulants", "profile", "gains"],
)
def test_what_comes_with_graphs_is_refused_by_name(asked: str, call: Callable[[Any], Any]) -> None:
    net = ef.parse("conv3 * 4, (relu, (conv3, residual(conv3:p1, relu) * 2) * 3) * 5, residual(conv5:p2)")
    with pytest.raises(NotImplementedError) as caught:
        call(net)
    assert str(caught.value).startswith(
        f"layer 6 (residual(conv3:p1, relu)): {asked} of skip connections comes with graphs, in a later version"
    )


def test_layers_before_a_block_are_a_chain() -> None:
    net = ef.parse("conv3, conv3, residual(conv3)")
    assert ef.variance(net, layer=1).receptive_field.size == (5, 5)
    with pytest.raises(NotImplementedError, match=r"^layer 2 \(residual\(conv3\)\): variance\(\)"):
        ef.variance(net, layer=2)


def test_the_layer_table_tells_fields_and_leaves_the_std_to_graphs(capsys: Any) -> None:
    from erffast.cli import main

    assert main(["field", "conv7/2:p3, residual(conv3:p1, relu, conv3:p1) * 2, residual(conv5/2:p2 | conv1/2), conv3"]) == 0
    said = capsys.readouterr().out
    rows = [line.split()[-3:] for line in said.splitlines() if line.split()[:1] in (["1"], ["3"], ["4"], ["5"])]
    assert rows == [["2", "7", "2"], ["2", "23", "-"], ["4", "31", "-"], ["4", "39", "-"]]
    assert said.endswith("\n  (no std from the first skip connection on: it comes with graphs, in a later version)\n")
    assert "average pools" not in said


def test_fields_of_blocks_go_through_files(tmp_path: Any) -> None:
    net = Stack([Conv(3), Residual([BLOCK, PADDED], Conv(1), name="neck")], ndim=1) * 2
    erf = ef.ERF.from_gradients(np.ones((1, 1, 17)), axes="NCW", receptive_field=ef.receptive_field(net))
    erf.save(tmp_path / "erf.npz")
    again = ef.ERF.load(tmp_path / "erf.npz").receptive_field
    assert again == erf.receptive_field
    assert again.net == net
    assert [f.name for f in again.layers] == ["conv3", "neck"] * 2
