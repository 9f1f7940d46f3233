"""Methods by name: each is one file, says what it needs, and refuses what it cannot do."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from idmcli import learned, solvers
from idmcli.cli import main
from idmcli.config import check_value
from idmcli.errors import ConfigError
from idmcli.io.images import read_image, write_image
from idmcli.operators import LinearOperator, Operator, Problem
from idmcli.operators.base import Spec
from tests.distributions import install, use
from tests.small import LINEAR, OPERATORS, Gaussian, each, generator, latent_gaussian, picture, run


@pytest.mark.parametrize("name", solvers.names())
def test_every_module_is_a_method_of_its_name(name: str) -> None:
    solver = solvers.find(name)
    assert solver.name == name
    assert solver.summary and not solver.summary.endswith(".") and "\n" not in solver.summary
    assert solver.needs <= {*solvers.NEEDS, *learned.names()}
    assert all(solvers.needs_of(solver)) and len(solvers.needs_of(solver)) == len(solver.needs)


def test_names_that_methods_were_published_under() -> None:
    assert solvers.find("stmp") is solvers.find("vamp")
    assert not solvers.ALSO_KNOWN_AS.keys() & set(solvers.names())


@pytest.mark.parametrize("name", solvers.names())
def test_the_defaults_of_every_option_are_valid(name: str) -> None:
    options = solvers.find(name).options
    for option in fields(options):
        assert check_value(options, option.name, option.default) == (option.default, "")
    assert options() == options(**{option.name: option.default for option in fields(options)})


@each("cs-global", "cs-global-padded")
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in solvers.names()
        if solvers.find(name).weights in (None, "prior", "latent") and "rays" not in solvers.find(name).needs
    ],
)
def test_a_method_samples_if_and_only_if_it_says_so(name: str, operator: LinearOperator) -> None:
    solver, y = solvers.find(name), operator.A(picture(operator))
    options = solver.options(**{key: 3 for key in ("steps", "iterations") if hasattr(solver.options, key)})
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, unknown: float | None = None) -> None:
        told.append((done, total))

    prior = latent_gaussian(operator) if solver.weights == "latent" else Gaussian(0.05)
    first, other = (solver.run(Problem(operator, y), prior, options, generator(seed), progress) for seed in (0, 1))
    assert torch.equal(first, other) != solver.samples
    half = told[: len(told) // 2]
    assert told == 2 * half and [done for done, _ in half] == list(range(1, len(half) + 1))
    assert all(done <= most for done, most in half)


@pytest.mark.parametrize("name", [name for name in solvers.names() if solvers.find(name).weights == "prior"])
@pytest.mark.parametrize("kind", ["mri-complex", "minimal-complex", "matrix-complex-image"])
def test_priors_serve_for_complex_images_where_the_method_does(name: str, kind: str) -> None:
    operator = LINEAR[kind]
    if name not in solvers.suitable(operator):
        return
    y = operator.A(picture(operator))
    few = {key: 3 for key in ("steps", "iterations") if hasattr(solvers.find(name).options, key)}
    found = run(name, operator, y, Gaussian(0.05), **few)
    assert found.is_complex() and found.shape[1:] == operator.image_shape and bool(torch.isfinite(found.abs()).all())


def test_an_unknown_method_names_the_closest_or_all() -> None:
    with pytest.raises(ConfigError, match="--method 'tikonov' is unknown") as close:
        solvers.find("tikonov")
    assert close.value.hint == "did you mean tikhonov?"
    with pytest.raises(ConfigError) as far:
        solvers.find("magic")
    assert all(name in far.value.hint for name in solvers.names())


@each()
def test_message_passing_is_for_operators_that_mix(operator: LinearOperator) -> None:
    refusal = solvers.why_not(solvers.find("vamp"), operator)
    assert bool(refusal) == (not operator.padded().mixing)
    if refusal:
        assert "vamp" in refusal and "mixes all pixels at random" in refusal and operator.kind in refusal
    assert ("vamp" in solvers.suitable(operator)) == (not refusal)


def test_needs_are_asked_of_the_padded_operator() -> None:
    pinv = solvers.find("pinv")
    tight, spectral = replace(pinv, needs=pinv.needs | {"tight"}), replace(pinv, needs=pinv.needs | {"spectrum"})
    padded, coils = OPERATORS["cs-global-padded"], OPERATORS["mri-coils"]
    assert not padded.tight and solvers.why_not(tight, padded) == solvers.why_not(spectral, padded) == ""
    assert "an operator with A A^T = I" in solvers.why_not(tight, coils)
    assert "singular values" in solvers.why_not(spectral, coils)


class Magnitude(Operator):
    """An operator that is not linear."""

    kind = "magnitude"
    image_shape = (1, 4, 4)
    measurement_shape = (1, 4, 4)

    def A(self, x: Tensor) -> Tensor:
        return x.abs()

    def rough_inverse(self, y: Tensor) -> Tensor:
        return y

    def to_spec(self) -> Spec:
        return {"kind": self.kind}

    @classmethod
    def from_spec(cls, spec: object, arrays: object) -> Magnitude:
        return cls()


def test_no_linear_method_takes_an_operator_that_is_not() -> None:
    assert solvers.suitable(Magnitude()) == ["daps", "dps", "gdp", "gradient", "hqs", "reddiff", "resample", "sr3"]
    assert "needs a linear operator" in solvers.why_not(solvers.find("tv"), Magnitude())


LANDWEBER = '''
from dataclasses import dataclass

from idmcli.ranges import Count, Positive
from idmcli.solvers import Solver


@dataclass(frozen=True)
class LandweberOptions:
    steps: Count = 5
    length: Positive = 1.0


def landweber(problem, prior, options, generator, progress):
    """x' = x + length A^T (y - A x)"""
    x = 0 * problem.operator.AT(problem.y)
    for step in range(options.steps):
        x = x + options.length * problem.operator.AT(problem.y - problem.operator.A(x))
        progress(step + 1, options.steps)
    return x


SOLVER = Solver("landweber", "gradient steps on the measurements", landweber, options=LandweberOptions)
'''


@pytest.fixture
def landweber(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture, and an installed package that offers a method."""
    entries = {"idmcli.solvers": {"landweber": "SOLVER"}}
    use(install(folder / "site", "my_methods", LANDWEBER, entries), monkeypatch)
    write_image("a.png", picture(OPERATORS["cs-global"])[0, 0].numpy())
    return folder


def test_a_new_method_is_one_file_of_another_package(landweber: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "landweber" in solvers.names() and "landweber" in solvers.suitable(OPERATORS["mri-radial"])
    assert main(["methods", "landweber"]) == 0
    shown = capsys.readouterr().out
    assert "gradient steps" in shown and "--set solver.steps=5" in shown

    task = ["--preset", "inpainting"]
    reconstruct = ["reconstruct", "a.png", *task, "--method", "landweber"]
    assert main([*reconstruct, "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["results"][0]
    assert one["method"] == "landweber"
    half = ["--set", "solver.steps=1", "--set", "solver.length=0.5"]
    assert main([*reconstruct, *half, "--out", "half"]) == 0
    known, halved = read_image("reconstructions/a.png").pixels, read_image("half/a.png").pixels
    assert abs(halved - known / 2).max() < 2 / 255

    (landweber / "pictures").mkdir()
    (landweber / "a.png").rename("pictures/a.png")
    capsys.readouterr()
    assert main(["eval", "--data", "pictures", *task, "--method", "landweber,pinv", "--json"]) == 0
    scores = {r["method"]: r["psnr"] for r in json.loads(capsys.readouterr().out)["results"]}
    assert scores["landweber"] == pytest.approx(scores["pinv"]) == pytest.approx(one["psnr"])


def test_the_options_of_a_new_method_are_checked(landweber: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--set", "solver.steps=0", "--set", "solver.momentum=1"]
    assert main(["reconstruct", "a.png", "--method", "landweber", *wrong]) == 2
    error = capsys.readouterr().err
    assert "solver.steps = 0: expected greater than or equal to 1" in error
    assert "method landweber has no option solver.momentum; it has steps, length" in error
