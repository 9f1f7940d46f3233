"""The angles that views stand for."""

from __future__ import annotations

import numpy as np
import pytest

from idmcli.operators.angles import coverage, shares


def test_even_views_share_the_turn_evenly() -> None:
    np.testing.assert_allclose(shares([0, 45, 90, 135], 180), np.pi / 4)
    np.testing.assert_allclose(shares([0, 225, 90, 315], 180), np.pi / 4)
    np.testing.assert_allclose(shares([33.0], 180), np.pi)


def test_repeated_views_share_their_angle() -> None:
    np.testing.assert_allclose(np.degrees(shares([0, 90, 0, 180, 360 + 1e-11], 180)), [22.5, 90, 22.5, 22.5, 22.5])


def test_the_shares_of_uneven_views_fill_the_circle() -> None:
    angles = np.random.default_rng(0).uniform(0, 180, 200)
    assert shares(list(angles), 180).sum() == pytest.approx(np.pi)
    assert shares([179.9, 0.1, 90], 180).sum() == pytest.approx(np.pi)


def test_a_wedge_that_was_not_measured_is_no_ones_share() -> None:
    np.testing.assert_allclose(np.degrees(shares(list(range(60)), 180)), 1)
    np.testing.assert_allclose(np.degrees(shares([*range(170, 180), *range(50)], 180)), 1)


def test_coverage_falls_towards_the_edges_of_what_was_measured() -> None:
    at = np.array([0.0, 359.0, 200.0, 199.0, 100.0, 250.0, 10.0, 190.0])
    found = coverage(list(range(201)), 360, at)
    assert found[[1, 5]].tolist() == [0, 0]
    assert found[0] == pytest.approx(found[2]) and 0 < found[0] < found[3] < 0.1
    assert found[[4, 6, 7]].tolist() == [1, 1, 1]
    assert coverage(list(range(360)), 360, at).tolist() == [1] * 8
