"""From intensities to line integrals."""

from __future__ import annotations

import numpy as np
import pytest

from idmcli.importing.ct.transmission import line_integrals, looks_like_intensities

TRUE = np.random.default_rng(0).uniform(0, 3, (5, 7)).astype(np.float32)
WHITE, DARK = np.full((3, 7), 900, np.float32) + np.arange(7), np.full((2, 7), 40, np.float32)


def test_the_law_of_lambert_and_beer() -> None:
    intensities = (DARK.mean(0) + (WHITE - DARK[0]).mean(0) * np.exp(-TRUE)).astype(np.float32)
    found, lost = line_integrals(intensities, WHITE, DARK)
    assert lost == 0
    np.testing.assert_allclose(found, TRUE, atol=1e-5)
    np.testing.assert_allclose(line_integrals(1000 * np.exp(-TRUE), 1000.0, 0.0)[0], TRUE, atol=1e-5)


def test_dead_cells_take_what_is_beside_them_and_are_counted() -> None:
    white = WHITE.copy()
    white[:, 3] = 40
    intensities = np.tile((40 + (WHITE[0] - 40) * np.exp(-np.arange(7) / 7)).astype(np.float32), (2, 1))
    found, lost = line_integrals(intensities, white, DARK)
    assert lost == 2
    np.testing.assert_allclose(found[:, 3], 3 / 7, atol=1e-3)


def test_where_nothing_arrives_the_least_share_is_taken() -> None:
    found, lost = line_integrals(np.full((1, 4), 30, np.float32), 900.0, 40.0)
    assert lost == 4 and found == pytest.approx(np.full((1, 4), -np.log(1e-4)))


def test_intensities_are_told_from_line_integrals() -> None:
    bump = np.tile(np.hanning(60), (4, 1)).astype(np.float32)
    assert not looks_like_intensities(bump)
    assert looks_like_intensities(1000 * np.exp(-bump))
    assert not looks_like_intensities(np.zeros((3, 8), np.float32))
