"""Crops: inside their images, repeatable, under all eight symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.training.data import CropPool, Pixels, generator, split_validation


def numbered(height: int, width: int, channels: int = 1, offset: int = 0) -> Pixels:
    """Every value tells where it came from."""
    size = channels * height * width
    return (np.arange(size, dtype=np.float32) + offset).reshape(channels, height, width)


def test_a_crop_depends_on_seed_and_number_alone() -> None:
    pool = CropPool([numbered(20, 30), numbered(16, 16, offset=1000)], 8)
    batch = pool.crops(7, range(4))
    assert batch.shape == (4, 1, 8, 8) and batch.dtype == torch.float32
    for number in (3, 0, 2, 1):  # alone, in any order, in any company
        assert torch.equal(pool.crops(7, [number, 2**40])[0], batch[number])
    assert not torch.equal(pool.crops(8, range(4)), batch)
    assert len({crop.numpy().tobytes() for crop in batch}) == 4


def test_random_numbers_for_different_things_differ() -> None:
    keys = [(0, "crop", 1), (1, "crop", 0), (0, "noise", 1), (0, "operator", 1), (0, "crop", 2**32), (0, "crop", 2**33)]
    assert len({generator(*key).integers(2**63) for key in keys}) == len(keys)  # type: ignore[arg-type]
    assert generator(5, "noise", 7).random() == generator(5, "noise", 7).random()


def test_crops_are_contiguous_pieces_of_the_images() -> None:
    pool = CropPool([numbered(9, 11)], 8)
    corners = set()
    for crop in pool.crops(0, range(300)):
        values = crop.numpy().ravel().astype(int)
        assert len(set(values)) == 64
        rows, columns = values // 11, values % 11
        assert np.ptp(rows) == np.ptp(columns) == 7
        corners.add((int(rows.min()), int(columns.min())))
    assert corners == {(row, column) for row in range(2) for column in range(4)}


def test_a_share_of_the_crops_is_drawn() -> None:
    pool = CropPool([numbered(20, 20, channels=3)], 16, drawn=0.25)
    crops = pool.crops(0, range(200)).numpy()
    drawn = crops.max((1, 2, 3)) <= 1
    assert 30 <= drawn.sum() <= 70
    assert (np.ptp(crops[drawn], axis=(2, 3)).max(1) < 0.02).any(), "some are flat"
    assert (np.ptp(crops[drawn], axis=1).max((1, 2)) == 0).any(), "some are grey"
    assert crops[drawn].min() >= 0


def test_all_eight_flips_and_rotations_occur() -> None:
    pool = CropPool([numbered(8, 8)], 8)
    seen = {crop.numpy().tobytes() for crop in pool.crops(0, range(200))}
    square = numbered(8, 8)
    turned = [np.rot90(square, k, (1, 2)) for k in range(4)]
    assert seen == {np.ascontiguousarray(t[:, :, ::s]).tobytes() for t in turned for s in (1, -1)}


def test_every_image_and_channel_is_used() -> None:
    pool = CropPool([numbered(8, 8, 3), numbered(8, 8, 3, offset=10_000)], 4)
    crops = pool.crops(0, range(50))
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
