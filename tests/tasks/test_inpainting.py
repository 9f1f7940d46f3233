"""Inpainting as a task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.tasks.inpainting import TASK, InpaintingOptions
from tests.small import default_method

SHAPE = (1, 18, 21)


@pytest.mark.parametrize("ratio", [None, 0.25, 1.0])
def test_the_ratio_counts_the_pixels_that_are_kept(ratio: float | None) -> None:
    options = InpaintingOptions(ratio=ratio)
    operator = TASK.operator(options, SHAPE, "a")
    found, text = TASK.amount(operator)
    assert found == float(operator.mask.double().mean()) == pytest.approx(TASK.ratio(options), abs=0.51 / (18 * 21))
    assert text == f"{100 * found:.1f} % of the pixels"


def test_random_masks_come_from_seed_and_name() -> None:
    masks = [
        TASK.operator(InpaintingOptions(seed=seed), SHAPE, item).mask
        for seed, item in [(0, "a")] * 2 + [(0, "b"), (1, "a")]
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2]) and not torch.equal(masks[0], masks[3])


def test_boxes_are_lost_and_decide_how_much_is_kept() -> None:
    options = InpaintingOptions(mask="boxes", boxes=((0, 0, 9, 21), (17, 20, 1, 1)))
    operator = TASK.operator(options, SHAPE, "a")
    expected = np.ones(SHAPE[1:], bool)
    expected[:9], expected[17, 20] = False, False
    assert np.array_equal(operator.mask, expected)
    assert TASK.ratio(options) is None and TASK.amount(operator).ratio == expected.mean()


def test_strokes_keep_the_ratio_and_come_from_seed_and_name() -> None:
    options = InpaintingOptions(mask="strokes", stroke_width=2)
    first, again, other = (TASK.operator(options, (1, 64, 64), item) for item in ("a", "a", "b"))
    assert 0.75 < TASK.amount(first).ratio <= 0.8 == TASK.ratio(options)
    assert torch.equal(first.mask, again.mask) and not torch.equal(first.mask, other.mask)


def test_mixed_masks_are_random_pixels_and_strokes_of_all_widths() -> None:
    options = InpaintingOptions(mask="mixed", ratio_min=0.1, ratio_max=0.8)
    drawn = [TASK.operator(options, (1, 32, 32), f"{number}").description for number in range(60)]
    assert {each["type"] for each in drawn} == {"random", "strokes"}
    assert all(0.1 <= each["ratio"] <= 0.8 for each in drawn if each["type"] == "random")
    widths = [each["width"] for each in drawn if each["type"] == "strokes"]
    assert 1 <= min(widths) < 2 and 6 < max(widths) <= 8
    assert [each.mask for each in TASK.validation(options)] == ["random", "random", "random", "strokes"]


@pytest.mark.parametrize(("noise", "expected"), [(0.0, "idm"), (0.01, "idm"), (0.02, "hqs")])
@pytest.mark.parametrize(
    "options",
    [
        InpaintingOptions(ratio=0.5),
        InpaintingOptions(ratio=0.05),
        InpaintingOptions(mask="strokes"),
        InpaintingOptions(mask="boxes", boxes=((0, 0, 64, 27),)),
    ],
)
def test_the_network_fills_what_is_lost_without_noise(options: InpaintingOptions, noise: float, expected: str) -> None:
    assert default_method(TASK.operator(options, (3, 64, 64), "a"), noise) == expected


@pytest.mark.parametrize(
    ("boxes", "message"),
    [(((0, 0, 19, 2),), "not inside the 18 x 21 image"), (((0, 0, 18, 21),), "nothing is measured")],
)
def test_boxes_that_do_not_fit(boxes: tuple[tuple[int, int, int, int], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TASK.operator(InpaintingOptions(mask="boxes", boxes=boxes), SHAPE, "a")


@pytest.mark.parametrize(
    ("options", "keys", "expected"),
    [
        (InpaintingOptions(mask="boxes"), ("mask",), "operator.boxes"),
        (InpaintingOptions(mask="file"), ("mask",), "operator.mask_file"),
        (InpaintingOptions(mask="boxes", boxes=((0, 0, 1, 1),), ratio=0.5), ("ratio", "mask"), "random"),
        (InpaintingOptions(boxes=((0, 0, 1, 1),)), ("boxes", "mask"), "boxes"),
        (InpaintingOptions(mask_file="m.png"), ("mask_file", "mask"), "file"),
    ],
)
def test_options_of_another_mask_are_conflicts(
    options: InpaintingOptions, keys: tuple[str, ...], expected: str
) -> None:
    ((found, text),) = TASK.conflicts(options)
    assert found == keys and expected in text
