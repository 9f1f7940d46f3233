"""The defaults on pictures that nobody tuned for: the rules of benchmarks/everyday.py, on small pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import skimage.data

import idmcli as idm
from benchmarks.everyday import CASES, Case, faults, mask_of, measure, score
from benchmarks.nonlinear import SENSORS, grey
from benchmarks.pictures import PICTURES, Picture, resized
from idmcli.methods import defaults_of

SIDE = 48
RIVALS = ("pinv", "tv")


@cache
def scores(case: str, picture: str, side: int = SIDE) -> dict[tuple[str, str, str], float]:
    m = measure(CASES[case], PICTURES[picture](side))
    linear = isinstance(m.operator, idm.operators.LinearOperator)
    found = {method: score(m, method) for method in (RIVALS if linear else ("gradient",))}
    values = {"default": score(m, None), **found}
    return {(case, picture, method): value for method, value in values.items() if value is not None}


@pytest.mark.filterwarnings("ignore:a second run")
@pytest.mark.parametrize(
    ("case", "picture"),
    [
        ("cs 30", "screenshot"),
        ("inpainting 30", "retina"),
        ("scratches", "screenshot"),
        ("letters", "ellipses"),
        ("boxes", "face"),
        ("mri 25", "ellipses"),
        ("mri 25", "spine"),
        ("mri lines", "spine"),
        ("ct 90", "abdomen"),
        ("ct 90", "drawing"),
        ("mri 25", "text"),
        ("mri lines", "ramp"),
        ("scratches", "text"),
        pytest.param("boxes", "night sky", marks=pytest.mark.xfail(reason="1.2 dB behind total variation at 48 x 48")),
        ("sr 2", "ramp"),
        ("sr 4", "flat"),
        ("hdr", "spine"),
        ("deblur", "drawing"),
        ("sr 4", "coins"),
        ("hdr", "face"),
        ("nonlinear", "ramp"),
        ("nonlinear noise", "flat"),
    ],
)
def test_a_default_is_no_worse_than_doing_little(case: str, picture: str) -> None:
    assert list(faults(scores(case, picture))) == []


@pytest.mark.filterwarnings("ignore:a second run")
@pytest.mark.parametrize(
    ("case", "picture"), [("mri 10", "texture"), ("mri 50", "texture"), ("mri 10", "drawing"), ("mri 10", "text")]
)
def test_what_cannot_be_guessed_is_left(case: str, picture: str) -> None:
    """The prior's guesses were up to 1.6 dB worse than A+ y."""
    assert list(faults(scores(case, picture, 64))) == []


@pytest.mark.parametrize(("case", "picture"), [("mri 10", "ellipses"), ("cs 50", "screenshot")])
def test_no_trained_network_is_far_ahead(case: str, picture: str) -> None:
    """`idm` was 5.2 and 4.9 dB ahead here."""
    m = measure(CASES[case], PICTURES[picture](64))
    default, trained = score(m, None), score(m, "idm")
    assert default is not None and trained is not None and default > trained - 1


@pytest.mark.parametrize(("less", "more"), [("mri 25", "mri 50"), ("cs 10", "cs 30")])
def test_more_measurements_do_not_harm(less: str, more: str) -> None:
    assert list(faults({**scores(less, "ellipses"), **scores(more, "ellipses")})) == []


def test_a_nonlinear_operator_of_ones_own_has_a_prior() -> None:
    """7 dB ahead of total variation on this picture."""
    m = idm.sense(grey("face").numpy(), SENSORS["saturated compressed sensing"])
    default, smooth = score(m, None), score(m, "gradient")
    assert default is not None and smooth is not None and default > smooth + 3


@pytest.mark.parametrize("case", ["mri 25", "deblur", "sr 4"])
def test_a_flat_picture_stays_flat(case: str) -> None:
    """mri-tiny made 0.10 .. 0.79 of it at this size, and much momentum made waves that few small pictures show."""
    assert (score(measure(CASES[case], np.full((128, 128), 0.5)), None) or 0) == 50


def test_a_ramp_has_no_waves() -> None:
    """In nonlinear blur they had an error of 44.9 dB."""
    assert (score(measure(CASES["nonlinear"], PICTURES["ramp"](128)), None) or 0) == 50


def test_tomography_leaves_out_what_it_cannot_foretell() -> None:
    """The prior's guess of gravel was 0.5 dB worse than A+ y."""
    m = measure(CASES["ct 30"], resized(skimage.data.gravel() / 255, 64))
    with pytest.warns(idm.IdmWarning, match="a second run with fewer measurements contradicts"):
        default = score(m, None)
    plain = score(m, "pinv")
    assert default is not None and plain is not None and default > plain - 0.05


def test_no_colour_appears_in_scratches() -> None:
    """A grey picture measured in colour stays grey where it was filled."""
    grey = PICTURES["coins"](SIDE)
    m = measure(Case("inpainting", {"mask": "scratches"}), np.repeat(grey[..., None], 3, axis=2))
    x = idm.reconstruct(m)
    chroma = np.abs(x - x.mean(-1, keepdims=True))[~mask_of("scratches", SIDE)]
    assert chroma.mean() < 0.02


def test_clipped_light_brings_no_colour_of_its_own() -> None:
    """It starts near what is known, whose middle is at most an eighth of the range away, and stays there."""
    image = PICTURES["face"](SIDE)
    m = measure(CASES["hdr"], image)
    known = m.operator.rough_inverse(m.y[None])[0].permute(1, 2, 0).numpy()
    assert (score(m, None) or 0) > idm.psnr(known, image) + 2


def test_the_rule_finds_faults() -> None:
    good = {("mri 25", "flat", "default"): 40.0, ("mri 25", "flat", "tv"): 40.2, ("mri 25", "flat", "pinv"): 30.0}
    assert list(faults(good)) == []
    bad: dict[tuple[str, str, str], float] = {
        ("mri 25", "flat", "default"): 30.0,
        ("mri 25", "flat", "pinv"): 31.0,
        ("mri 50", "flat", "default"): 29.0,
    }
    assert [fault.split(": ")[1] for fault in faults(bad)] == [
        "30.00 dB, pinv has 31.00",
        "29.00 dB, with fewer measurements 30.00",
    ]


def test_every_picture_is_one() -> None:
    for picture in PICTURES.values():
        pixels: Picture = picture(SIDE)
        assert pixels.shape[:2] == (SIDE, SIDE) and pixels.shape[2:] in ((), (3,))
        assert pixels.min() >= 0 and pixels.max() <= 1


def test_every_task_has_a_default_among_what_ships() -> None:
    for case in ("cs 30", "inpainting 30", "mri 25", "ct 30", "deblur", "sr 4", "hdr", "nonlinear"):
        m = measure(CASES[case], PICTURES["coins"](SIDE))
        assert defaults_of(m.operator).method(m.operator, m.noise)
