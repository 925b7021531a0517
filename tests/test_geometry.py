"""Fields, map sizes and coverage: published values, torch's map sizes, and brute force over which inputs change an output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import erffast as ef
from erffast import geometry
from erffast.layers import Activation, AvgPool, Conv, Layer, MaxPool, Norm, Stack
from oracles import poisoned
from strategies import batches, field, generator, output_size, random_map, random_stack, windows

# ------------------------------------------------------------------------------------------------ published values

VGG16 = "conv3:p1 * 2, maxpool2, conv3:p1 * 2, maxpool2, (conv3:p1 * 3, maxpool2) * 3"
ALEXNET = "conv11/4:p2, maxpool3/2, conv5:p2, maxpool3/2, conv3:p1 * 3, maxpool3/2"
# Sequences along the longest path: a skip connection adds paths with the same centre and smaller fields.
RESNET18 = "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 4, conv3/2:p1, conv3:p1 * 3, conv3/2:p1, conv3:p1 * 3, conv3/2:p1, conv3:p1 * 3"
RESNET50 = "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 3, conv3/2:p1, conv3:p1 * 3, conv3/2:p1, conv3:p1 * 5, conv3/2:p1, conv3:p1 * 2"
# stride on the 3x3 of the last unit of the first three blocks
RESNET50_SLIM = "conv7/2:p3, maxpool3/2:p1, conv3:p1 * 2, conv3/2:p1, conv3:p1 * 3, conv3/2:p1, conv3:p1 * 5, conv3/2:p1, conv3:p1 * 3"


@pytest.mark.parametrize(
    ("text", "layers", "sizes"),
    [
        pytest.param(VGG16, [17], [212], id="VGG-16 pool5"),
        pytest.param(ALEXNET, [7], [195], id="AlexNet pool5"),
        pytest.param(RESNET18, [5, 9, 13, 17], [43, 99, 211, 435], id="ResNet-18 layers 1 to 4"),
        pytest.param(RESNET50, [4, 8, 14, 17], [35, 91, 267, 427], id="ResNet-50 layers 1 to 4, torchvision"),
        pytest.param(RESNET50_SLIM, [4, 8, 14, 17], [35, 99, 291, 483], id="ResNet-50 blocks 1 to 4, TF-slim"),
    ],
)
def test_published_receptive_fields(text: str, layers: list[int], sizes: list[int]) -> None:
    net = ef.parse(text)
    whole = ef.receptive_field(net)
    assert len(whole.layers) == len(net)
    for layer, size in zip(layers, sizes, strict=True):
        assert ef.receptive_field(net, layer=layer).size == whole.layers[layer].size == (size, size)
    assert whole.size == (sizes[-1],) * 2
    assert whole.aligned


def test_vgg16_by_hand() -> None:
    """212 = 1 + 2 * (2 + 1/2) ... : each block of c convolutions and a pool adds J (2 c + 1)."""
    blocks, jump, size = [2, 2, 3, 3, 3], 1, 1
    for convs in blocks:
        size += jump * (2 * convs + 1)
        jump *= 2
    found = ef.receptive_field(ef.parse(VGG16))
    assert (size, jump) == (212, 32)
    assert (found.size, found.jump) == ((212, 212), (32, 32))
    # 16 pixels of unit 0's own cell: first pixel -(212 - 32) / 2, centre in the middle of the cell
    assert found.start == (-90, -90)
    assert found.centre == (15.5, 15.5)


def test_a_strided_padded_layer_by_hand() -> None:
    found = ef.receptive_field(Stack([Conv(4, stride=3, dilation=2, padding=((1, 5),)), Conv(2, stride=2, padding=1)], ndim=1))
    # unit 0 sees -1 and 0 of the middle map; those see -3 - 1 ... and 0 - 1 ... + 6
    assert found.start == (-4,)
    assert found.size == (10,)
    assert found.jump == (6,)
    assert found.centre == (0.5,)


def test_layers_are_named_and_chosen_by_name_and_index() -> None:
    net = Stack([Conv(3, name="stem"), Activation("relu"), MaxPool(2), Norm("batch"), Conv(5)])
    fields = ef.receptive_field(net).layers
    assert [f.name for f in fields] == ["stem", "relu", "maxpool2", "batchnorm", "conv5"]
    assert [f.size[0] for f in fields] == [3, 3, 4, 4, 12]
    assert [f.jump[0] for f in fields] == [1, 1, 2, 2, 2]
    for option, index in [("stem", 0), ("relu", 1), (2, 2), (-1, 4), ("conv5", 4)]:
        chosen = ef.receptive_field(net, layer=option)
        assert (chosen.size, chosen.start, chosen.name) == (fields[index].size, fields[index].start, fields[index].name)
        assert len(chosen.layers) == index + 1
    with pytest.raises(ValueError, match=r"layer 'neck' is not in the network; its layers begin with stem, relu"):
        ef.receptive_field(net, layer="neck")
    with pytest.raises(ValueError, match=r"layer 5 is outside the network of 5 layers"):
        ef.receptive_field(net, layer=5)


def test_a_single_layer_is_a_network() -> None:
    assert ef.receptive_field(Conv((3, 5))).size == (3, 5)


def test_a_hundred_thousand_layers_are_composed_not_walked() -> None:
    found = ef.receptive_field(Stack([Conv(3, padding=1), Activation("relu"), Conv((1, 4), dilation=3)]) * 10**9)
    assert found.size == (2 * 10**9 + 1, 11 * 10**9 + 1)
    assert found.start == (-(10**9), -(10**9))
    layers = ef.receptive_field(Stack([Conv(3)]) * 100_000).layers
    assert layers[-1].size == (200_001,) * 2
    assert layers[499].size == (1001,) * 2


def test_a_field_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match=r"100 repeats of stride 2 give a jump of 2\*\*100 pixels"):
        ef.receptive_field(Stack([Conv(3, stride=2)]) * 100)
    with pytest.raises(OverflowError, match=r"exceeds 2\*\*62 pixels"):
        ef.receptive_field(Stack([Conv(2**40)]) * 2**30)


# ------------------------------------------------------------------------------------------------ the recurrence and map sizes


@pytest.mark.parametrize("numbers", batches(200, 3000, 100))
def test_random_stacks_follow_the_recurrence(numbers: range) -> None:
    for number in numbers:
        rng = generator(number, "recurrence")
        net = random_stack(rng, int(rng.integers(1, 4)), widest=10_000, pools=(AvgPool, MaxPool))
        found = ef.receptive_field(net)
        size, jump, start = field(net)
        assert (found.size, found.jump, found.start) == (size, jump, start), (number, net)
        assert found.centre == tuple(s + (n - 1) / 2 for s, n in zip(start, size, strict=True))
        for axis, w in enumerate(zip(*(windows(x, net.ndim) for x in net if windows(x, net.ndim)), strict=True)):
            assert found.size[axis] == 1 + sum(
                x.dilation * (x.kernel - 1) * int(np.prod([y.stride for y in w[:i]])) for i, x in enumerate(w)
            )


def torch_layers(net: Stack) -> Any:
    torch = pytest.importorskip("torch", reason="torch is the oracle: its map sizes")
    nn, made = torch.nn, []
    for layer in net:
        axes = windows(layer, net.ndim)
        if axes is None:
            continue
        sides, strides, dilations = ([getattr(w, name) for w in axes] for name in ("kernel", "stride", "dilation"))
        if isinstance(layer, Conv):
            pads = [n for w in reversed(axes) for n in (w.before, w.after)]
            made.append({1: nn.ConstantPad1d, 2: nn.ConstantPad2d}[net.ndim](pads, 0.0))
            made.append({1: nn.Conv1d, 2: nn.Conv2d}[net.ndim](1, 1, sides, stride=strides, dilation=dilations))
        elif isinstance(layer, MaxPool):
            pads = [w.before for w in axes]
            kind = {1: nn.MaxPool1d, 2: nn.MaxPool2d}[net.ndim]
            made.append(kind(sides, stride=strides, padding=pads, dilation=dilations, ceil_mode=layer.ceil_mode))
        else:
            pads = [w.before for w in axes]
            kind = {1: nn.AvgPool1d, 2: nn.AvgPool2d}[net.ndim]
            made.append(kind(sides, stride=strides, padding=pads, ceil_mode=layer.ceil_mode))
    return nn.Sequential(*made)


@pytest.mark.parametrize("numbers", batches(150, 1500, 75))
def test_map_sizes_equal_torch(numbers: range) -> None:
    torch = pytest.importorskip("torch", reason="torch is the oracle: its map sizes")
    empty = 0
    for number in numbers:
        rng = generator(number, "map sizes")
        net = random_stack(rng, int(rng.integers(1, 3)), layers=(1, 5), widest=60, pools=(AvgPool, MaxPool), pool_share=0.5)
        module = torch_layers(net)
        for _ in range(4):
            size = tuple(int(n) for n in rng.integers(1, 50, net.ndim))
            try:
                with torch.no_grad():
                    expected = tuple(module(torch.zeros(1, 1, *size)).shape[2:])
            except RuntimeError:
                empty += 1
                with pytest.raises(ValueError, match="the output is empty"):
                    geometry.output_size(net, size)
                assert 0 in output_size(net, size)
                continue
            assert geometry.output_size(net, size) == expected == output_size(net, size), (number, net, size)
    assert empty > 5


@pytest.mark.parametrize(
    ("layer", "n", "expected"),
    [
        (MaxPool(2, ceil_mode=True), 5, 3),
        (MaxPool(3, stride=2, ceil_mode=True), 6, 3),
        # the window that would start beyond the map is dropped
        (MaxPool(2, stride=3, ceil_mode=True), 6, 2),
        (MaxPool(2, stride=3, ceil_mode=True), 7, 3),
        (AvgPool(2, padding=1, ceil_mode=True), 3, 2),
        # torch: one window that overhangs the map
        (MaxPool(3, ceil_mode=True), 1, 1),
        (MaxPool(3, stride=2, padding=1), 7, 4),
        (Conv(3, stride=2, dilation=2, padding=((1, 2),)), 9, 4),
    ],
    ids=str,
)
def test_map_sizes_by_hand(layer: Any, n: int, expected: int) -> None:
    assert geometry.output_size(Stack([layer], ndim=1), (n,)) == (expected,)


@pytest.mark.parametrize("count", [1, 2, 5, 100, 999])
def test_repeats_shrink_the_map_as_the_layers_do(count: int) -> None:
    net = Stack([Conv(3, padding=((1, 0),)), Conv(2, dilation=3, padding=1), AvgPool(3, stride=1, padding=1)], ndim=1) * count
    assert geometry.output_size(net, (3000,)) == output_size(Stack(list(net), ndim=1), (3000,))
    with pytest.raises(ValueError, match="the output is empty"):
        geometry.output_size(net * 100_000, (3000,))


# ------------------------------------------------------------------------------------------------ which inputs change an output


def reached_by_brute_force(net: Stack, size: tuple[int, ...], unit: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    return [poisoned(net, axis, net.ndim, n)[:, u] for axis, (n, u) in enumerate(zip(size, unit, strict=True))]


def leaves_pixels_over(net: Stack, size: tuple[int, ...]) -> bool:
    """Whether a stride ends before the last pixels of a map: they belong to no window."""
    for layer in net:
        axes = windows(layer, net.ndim)
        if axes is None:
            continue
        if any(w.taps(w.output(n) - 1)[-1] < n + w.after - 1 for w, n in zip(axes, size, strict=True)):
            return True
        size = tuple(w.output(n) for w, n in zip(axes, size, strict=True))
    return False


@pytest.mark.parametrize("kinds", [(AvgPool,), (MaxPool,)], ids=["with average pools", "with max pools"])
@pytest.mark.parametrize("numbers", batches(120, 2000, 40))
def test_fields_and_coverage_equal_brute_force(numbers: range, kinds: Any) -> None:
    """The field never misses a pixel, and coverage is the share of its pixels that are reached."""
    compared = 0
    for number in numbers:
        rng = generator(number, "reach")
        axes = int(rng.integers(1, 3))
        net = random_stack(rng, axes, widest=70, layers=(1, 6), pools=kinds, constants=(), most_taps=5)
        where = random_map(rng, net, widest=60)
        if where is None:
            continue
        size, unit = where
        reached = reached_by_brute_force(net, size, unit)
        low, high = ef.receptive_field(net).box(unit, size)
        message = f"case {number}: {net!r} on {size}, unit {unit}"
        for mask, a, b in zip(reached, low, high, strict=True):
            at = np.flatnonzero(mask)
            if len(at):
                assert a <= at[0] <= at[-1] <= b, message
        try:
            erf = ef.variance(net, input_size=size, unit=unit, window="full")
        except NotImplementedError:  # correlated pools; their own tests hold them
            continue
        share = np.prod([m.sum() / (b - a + 1) for m, a, b in zip(reached, low, high, strict=True)])
        assert erf.coverage() == pytest.approx(share, rel=1e-12), message
        assert erf.field_box == (low, high), message
        nonzero = np.asarray(erf) > 0
        expected = np.ones(())
        for m, a, b in zip(reached, low, high, strict=True):
            expected = np.multiply.outer(expected, m[a : b + 1])
        np.testing.assert_array_equal(nonzero, expected > 0, message)
        compared += 1
    assert compared > 0.6 * len(numbers)


@pytest.mark.parametrize("numbers", batches(100, 1000, 50))
def test_fields_without_holes_are_the_hull_of_what_is_reached(numbers: range) -> None:
    """Strides skip no pixel, windows are not dilated, and no stride leaves over the last pixels of a map: then the field is exact."""
    compared = 0
    for number in numbers:
        rng = generator(number, "hull")
        axes = int(rng.integers(1, 3))
        layers: list[Layer] = []
        for _ in range(int(rng.integers(1, 6))):
            k = int(rng.integers(1, 6))
            stride = int(rng.integers(1, min(k, 3) + 1))
            pads = tuple((int(rng.integers(0, 5)), int(rng.integers(0, 5))) for _ in range(axes))
            kinds: list[Layer] = [Conv(k, stride=stride, padding=pads), MaxPool(k, stride=stride, padding=k // 2, ceil_mode=True)]
            layers.append(kinds[int(rng.integers(2))])
        net = Stack(layers, ndim=axes)
        fits = [n for n in range(1, 60) if 0 not in output_size(net, (n,) * axes) and not leaves_pixels_over(net, (n,) * axes)]
        if not fits:
            continue
        size = (int(rng.choice(fits)),) * axes
        unit = tuple(int(rng.integers(n)) for n in output_size(net, size))
        reached = reached_by_brute_force(net, size, unit)
        if not all(m.any() for m in reached):
            continue
        low, high = ef.receptive_field(net).box(unit, size)
        for mask, a, b in zip(reached, low, high, strict=True):
            assert (a, b) == tuple(np.flatnonzero(mask)[[0, -1]]), f"case {number}: {net!r} on {size}, unit {unit}"
        compared += 1
    assert compared > 0.5 * len(numbers)


def test_coverage_on_the_plane_is_that_of_a_large_map() -> None:
    for number in range(40):
        rng = generator(number, "plane reach")
        net = random_stack(rng, 1, widest=60, layers=(1, 5), pools=(), constants=())
        size, _, start = field(net)
        unpadded = Stack([Conv(c.kernel, stride=c.stride, dilation=c.dilation) for c in net], ndim=1)  # type: ignore[attr-defined]
        reached = poisoned(unpadded, 0, 1, size[0])[:, 0]
        erf = ef.variance(net, window="full")
        assert (erf.origin, erf.shape) == (start, size)
        np.testing.assert_array_equal(erf.image > 0, reached)
        assert erf.coverage() == pytest.approx(reached.mean(), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_constant_dilation_reaches_one_pixel_in_d(n: int, d: int) -> None:
    erf = ef.variance(Stack([Conv(3, dilation=d)]) * n)
    assert erf.coverage() == pytest.approx(((2 * n + 1) / (2 * n * d + 1)) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("dilations", "holes"),
    [
        ((1, 2, 4, 8), False),
        ((2, 4, 8), True),
        ((1, 3, 9), False),
        ((1, 4), True),
        ((1, 2, 5), False),
        ((5, 1, 2), False),
        ((1, 1, 5), False),
        ((1, 1, 6), True),
    ],
    ids=str,
)
def test_fields_have_holes_by_the_criterion(dilations: tuple[int, ...], holes: bool) -> None:
    """None where the sorted spacings satisfy d_j <= 1 + sum of 2 d_i over the smaller ones (3 taps)."""
    ordered = sorted(dilations)
    assert holes == any(d > 1 + 2 * sum(ordered[:j]) for j, d in enumerate(ordered))
    erf = ef.variance(Stack([Conv(3, dilation=d) for d in dilations], ndim=1))
    assert (erf.coverage() < 1) == holes


def test_the_criterion_for_holes_holds_for_random_chains() -> None:
    seen = set()
    for number in range(200):
        rng = generator(number, "holes")
        layers = [
            Conv(int(rng.integers(2, 5)), dilation=int(rng.integers(1, 7)), stride=int(rng.integers(1, 4)))
            for _ in range(int(rng.integers(1, 5)))
        ]
        jump, spacings = 1, []
        for layer in layers:
            spacings.append((jump * layer.dilation, layer.kernel))  # type: ignore[operator]
            jump *= layer.stride  # type: ignore[operator, assignment]
        spacings.sort()
        free = all(d <= 1 + sum((k - 1) * e for e, k in spacings[:j]) for j, (d, _) in enumerate(spacings))
        erf = ef.variance(Stack(layers, ndim=1))
        assert (erf.coverage() == 1) == free, layers
        seen.add(free)
    assert seen == {True, False}


def test_zero_taps_leave_holes_of_their_own() -> None:
    ring = Conv((3, 3), tap_variance=[[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    assert ef.variance(Stack([ring])).coverage() == pytest.approx(4 / 9)
    assert ef.variance(Stack([ring, ring])).coverage() == pytest.approx(9 / 25)
    erf = ef.gradient(Stack([Conv(3)] * 2, ndim=1), [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # type: ignore[list-item]
    assert erf.coverage() == pytest.approx(2 / 5)


# ------------------------------------------------------------------------------------------------ units and maps


def test_a_unit_that_sees_only_padding_is_refused() -> None:
    net = Stack([Conv(1, padding=4)], ndim=1)
    assert ef.variance(net, input_size=5, unit=4).origin == (0,)
    for unit in (3, 9):
        with pytest.raises(ValueError, match=r"unit \(\d,\) sees padding only"):
            ef.variance(net, input_size=5, unit=unit)


def test_a_unit_whose_field_is_padding_of_a_middle_map_is_dead() -> None:
    """Its field, an interval, meets the map; but every path leaves through the padding in between."""
    net = Stack([Conv(5, padding=2), Conv(1, padding=2)], ndim=1)
    erf = ef.variance(net, input_size=6, unit=0, window="full")
    assert erf.dead == 1
    assert erf.border == 1
    assert not erf.image.any()
    assert erf.coverage() == 0


@pytest.mark.parametrize(("text", "size", "unit"), [("conv3:p1 * 3", 9, (4, 4)), ("conv3/2", 8, (1, 1)), ("conv2:p1", 8, (4, 4))])
def test_the_default_unit_is_the_middle_of_the_output(text: str, size: int, unit: tuple[int, int]) -> None:
    assert ef.variance(ef.parse(text), input_size=size).unit == unit


@pytest.mark.parametrize("unit", [(0, 9), (-1, 0), (9, 9)])
def test_a_unit_outside_the_output_is_refused(unit: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"lies outside the output map of \(9, 9\)"):
        ef.variance(ef.parse("conv3:p1"), input_size=9, unit=unit)
