"""Crops: inside their images, repeatable, under all eight symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.training.data import CropPool, Pixels, split_validation


def numbered(height: int, width: int, channels: int = 1, offset: int = 0) -> Pixels:
    """Every value tells where it came from."""
    size = channels * height * width
    return (np.arange(size, dtype=np.float32) + offset).reshape(channels, height, width)


def test_a_draw_depends_on_the_generator_alone() -> None:
    pool = CropPool([numbered(20, 30), numbered(16, 16, offset=1000)], 8)
    first, again, other = (pool.draw(4, np.random.default_rng([7, seed])) for seed in (1, 1, 2))
    assert first.shape == (4, 1, 8, 8) and first.dtype == torch.float32
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_crops_are_contiguous_pieces_of_the_images() -> None:
    pool = CropPool([numbered(9, 11)], 8)
    corners = set()
    for crop in pool.draw(300, np.random.default_rng(0)):
        values = crop.numpy().ravel().astype(int)
        assert len(set(values)) == 64
        rows, columns = values // 11, values % 11
        assert np.ptp(rows) == np.ptp(columns) == 7
        corners.add((int(rows.min()), int(columns.min())))
    assert corners == {(row, column) for row in range(2) for column in range(4)}


def test_all_eight_flips_and_rotations_occur() -> None:
    pool = CropPool([numbered(8, 8)], 8)
    seen = {crop.numpy().tobytes() for crop in pool.draw(200, np.random.default_rng(0))}
    square = numbered(8, 8)
    turned = [np.rot90(square, k, (1, 2)) for k in range(4)]
    assert seen == {np.ascontiguousarray(t[:, :, ::s]).tobytes() for t in turned for s in (1, -1)}


def test_every_image_and_channel_is_used() -> None:
    pool = CropPool([numbered(8, 8, 3), numbered(8, 8, 3, offset=10_000)], 4)
    crops = pool.draw(50, np.random.default_rng(0))
    assert {bool(crop.min() >= 10_000) for crop in crops} == {True, False}
    for crop in crops:  # channels stay aligned
        assert torch.equal(crop[1] - crop[0], torch.full((4, 4), 64.0))


def test_the_centre() -> None:
    pool = CropPool([numbered(10, 13), numbered(8, 8)], 8)
    centre = pool.centre()
    assert centre.shape == (2, 1, 8, 8)
    assert np.array_equal(centre[0].numpy(), numbered(10, 13)[:, 1:9, 2:10])
    assert np.array_equal(centre[1].numpy(), numbered(8, 8))


@pytest.mark.parametrize(("count", "held_out"), [(10, 1), (25, 2), (80, 8), (400, 8)])
def test_validation_images_are_not_trained_on(count: int, held_out: int) -> None:
    images = [np.full((1, 2, 2), index, dtype=np.float32) for index in range(count)]
    training, validation = split_validation(images)
    assert len(validation) == held_out and len(training) == count - held_out
    values = [float(image[0, 0, 0]) for image in (*training, *validation)]
    assert sorted(values) == list(range(count))


@pytest.mark.parametrize("count", [1, 9])
def test_few_images_serve_both_ends(count: int) -> None:
    images = [numbered(2, 2)] * count
    assert [len(part) for part in split_validation(images)] == [count, count]
