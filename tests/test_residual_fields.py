"""Fields of networks with skip connections: published ones, by hand, against all paths, and against automatic differentiation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import erffast as ef
from erffast import geometry
from erffast.layers import Activation, AvgPool, Conv, Layer, Residual, Stack
from strategies import batches, field, generator, windows

RELU = Activation("relu")

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
