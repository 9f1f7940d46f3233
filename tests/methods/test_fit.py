"""Whether a result can be believed."""

from __future__ import annotations

import pytest
import torch

import idmcli as idm
from benchmarks.pictures import PICTURES
from idmcli.config import SolverConfig
from idmcli.methods import Methods
from idmcli.methods.fit import Fit, fit_of, roughness
from idmcli.methods.reconstruction import Reconstruction
from idmcli.operators import HDR, Inpainting, Problem

OPERATOR = Inpainting((1, 16, 16), torch.ones(16, 16))


def test_roughness_is_the_mean_length_of_the_gradient() -> None:
    ramp = (3 * torch.arange(8.0)[:, None] + 4 * torch.arange(6.0))[None]
    inner, right, bottom = 7 * 5 * 5.0, 7 * 3.0, 5 * 4.0
    assert roughness(ramp) == pytest.approx((inner + right + bottom) / 48)
    assert roughness(torch.ones(3, 4, 4)) == 0


def test_a_result_is_compared_with_the_pseudo_inverse_if_asked() -> None:
    truth = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    operator = Inpainting((1, 16, 16), torch.ones(16, 16))
    problem = Problem(operator, operator.A(truth))
    assert fit_of(truth, problem).rougher == 0
    assert fit_of(truth, problem, compared=True).rougher == pytest.approx(1, abs=0.01)
    assert fit_of(2 * truth, problem, compared=True).rougher == pytest.approx(2, abs=0.02)
    assert fit_of(truth, Problem(HDR((1, 16, 16)), truth), compared=True).rougher == 0


def test_only_who_promises_smoothness_is_doubted_for_roughness() -> None:
    rough = Fit(misfit=0, explained=0, outside=0, brightest=1, rougher=12)
    (doubt,) = rough.doubts({"roughness"})
    assert doubt.startswith("the result is 12 times as rough as A+ y")
    assert rough.doubts() == [] == Fit(0, 0, 0, 1, rougher=2).doubts({"roughness"})


@pytest.mark.parametrize(
    ("method", "picture", "side"), [("hqs", "texture", 64), ("idm", "texture", 64), ("idm", "flat", 48)]
)
def test_who_is_contradicted_stays_near_what_was_measured(method: str, picture: str, side: int) -> None:
    """Grass is made up by either. A flat picture is made up by a network that knows brains: 21.9 dB."""
    image = PICTURES[picture](side)
    m = idm.sense(image, task="mri", ratio=0.25)
    with pytest.warns(idm.IdmWarning, match="contradicts the method"):
        x = idm.reconstruct(m, method=method)
    assert idm.psnr(x, image) > min(idm.psnr(idm.reconstruct(m, method="pinv"), image), 60) - 0.05


@pytest.mark.parametrize("picture", ["spine", "ellipses"])
def test_who_is_not_contradicted_is_believed(picture: str) -> None:
    """A warning would be an error here."""
    image = PICTURES[picture](48)
    m = idm.sense(image, task="mri", ratio=0.25)
    base = idm.reconstruct(m, method="pinv")
    assert idm.psnr(idm.reconstruct(m, method="idm"), image) > idm.psnr(base, image) + 3


@pytest.mark.parametrize(("share", "doubts"), [(1.0, 0), (0.95, 0), (0.85, 1), (0.0, 1)])
def test_a_user_hears_of_a_share_that_matters(share: float, doubts: int) -> None:
    hqs = Methods(torch.device("cpu")).method("hqs", OPERATOR, None, SolverConfig())
    found = Reconstruction(torch.zeros(1, 1, 16, 16), 1.0, Fit(0, 0, 0, 1, rougher=0), 0.0, believed=share).doubts(hqs)
    assert len(found) == doubts and all(f"{100 * share:.0f} % of what it made" in each for each in found)
