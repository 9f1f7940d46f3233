"""Methods ready to run: which one, with which weights and options, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from idmcli import solvers
from idmcli.config import SolverConfig
from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.methods import Method, Methods, Weights, defaults_of, read_options
from idmcli.methods import weights as module
from idmcli.models import (
    ConditionalDenoiser,
    Denoiser,
    InvertibleDiffusion,
    Learned,
    load_weights,
    precision,
    shipped_weights,
)
from idmcli.models.checkpoints import save_weights
from idmcli.models.csnet_plus import CSNetPlus
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.latent import LatentConfig, LatentDiffusion
from idmcli.models.rk_ccsnet import RKCCSNet
from idmcli.models.sampler import SamplerConfig
from idmcli.models.sampling_network import SamplingConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import MRI, CompressedSensing, LinearOperator, Problem
from idmcli.priors import load_prior
from idmcli.tasks.mri import coil_maps
from tests import foreign
from tests.distributions import POWERS
from tests.priors.test_formats import offer_format
from tests.small import NONLINEAR, OPERATORS, REAL, each, picture

CPU = torch.device("cpu")
CS, BLOCKS = (
    CompressedSensing((1, 16, 16), 0.5, block=8),
    CompressedSensing((1, 16, 16), 0.5, block=8, permutation="none"),
)
SHORT = {
    **{name: {"steps": 3} for name in ("ddrm", "dps", "gdp", "pigdm", "reddiff", "sr3")},
    "daps": {"steps": 3, "ode_steps": 2, "langevin_steps": 10},
    "gradient": {"iterations": 10},
    "tv": {"iterations": 10},
    "ddnm": {"steps": 3},
    "diffpir": {"steps": 3},
    "vamp": {"iterations": 2},
    "hqs": {"iterations": 3},
    "psld": {"steps": 2},
    "resample": {"steps": 4, "every": 2, "pixel_iterations": 2, "latent_iterations": 2},
}
DEFAULTS = SolverConfig()
# Operators of one's own: their measurements have other shapes, also without channels, and they belong to no task.
OWN = ("minimal", "map-complex", "matrix", "matrix-channels", "matrix-complex", "product-complex", "stack")


def problem(operator: LinearOperator, noise: float = 0.0) -> Problem:
    return Problem(
        operator, operator.A(picture(operator).to(torch.complex64 if operator.complex_image else torch.float32)), noise
    )


def config(steps: int) -> DenoiserConfig:
    torch.manual_seed(0)
    return DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=steps))


def saved(folders: pytest.TempPathFactory, name: str, model: Learned) -> Path:
    """The file of a network that does not say what it was trained for."""
    path = folders.mktemp("weights") / f"{name}.safetensors"
    save_weights(path, model, training={})
    return path


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory, "prior", Denoiser(config(0)))


@pytest.fixture(scope="module")
def idm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory, "idm", InvertibleDiffusion(SamplerConfig(config(2))))


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory, "sr3", ConditionalDenoiser(config(0)))


@pytest.fixture(scope="module")
def latent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return saved(tmp_path_factory, "latent", LatentDiffusion(LatentConfig(1, 2, (8, 8), (8, 8))))


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks that reconstruct what their own sampling measured."""
    made = [kind(SamplingConfig(ratio=0.1)) for kind in (CSNetPlus, RKCCSNet)]
    return {network.kind: saved(tmp_path_factory, network.kind, network) for network in made}


@pytest.fixture(scope="module")
def methods() -> Methods:
    """Those that read each file of weights once."""
    return Methods(CPU)


@each(*REAL, *OWN)
@pytest.mark.parametrize("name", solvers.names())
def test_every_method_on_every_operator(
    name: str,
    operator: LinearOperator,
    methods: Methods,
    prior: Path,
    latent: Path,
    idm: Path,
    conditional: Path,
    sampling: dict[str, Path],
) -> None:
    files = {None: None, "prior": prior, "latent": latent, "idm": idm, "sr3": conditional, **sampling}
    weights = files[solvers.find(name).weights]
    if name in sampling:
        with pytest.raises(InputError, match=f"{name} needs measurements by its own sampling|needs real"):
            methods.method(name, operator, weights, SolverConfig())(problem(operator))
        return
    method = methods.method(name, operator, weights, SolverConfig(options=SHORT.get(name, {})))
    assert method.name == name
    if solvers.why_not(method.solver, operator):
        with pytest.raises(InputError, match=f"method {name} needs") as caught:
            method(problem(operator))
        assert caught.value.hint == "these can: " + ", ".join(
            other
            for other in solvers.suitable(operator)
            if solvers.find(other).weights in (None, *defaults_of(operator).weights)
        )
        return
    x = method(problem(operator, 0.01), seed=3)
    assert x.shape == (1, *operator.image_shape) and not x.requires_grad
    assert bool(x.isfinite().all()) and x.std() > 0.01


def test_weights_choose_their_method(prior: Path, idm: Path, conditional: Path) -> None:
    methods = Methods(CPU)
    found = {
        (name, weights): methods.method(None, operator, path, DEFAULTS).name
        for name, operator in (("cs", CS), ("blocks", BLOCKS), ("ct", OPERATORS["ct"]))
        for weights, path in (("none", None), ("prior", prior), ("idm", idm), ("sr3", conditional))
    }
    for kind in ("idm", "sr3"):
        assert {key for key in found if key[1] == kind} == {key for key, name in found.items() if name == kind}
    assert found["cs", "none"] == found["cs", "prior"] == "vamp"  # the best method, which takes a prior
    assert found["blocks", "none"] == "hqs" and found["ct", "none"] == "hqs"
    assert found["blocks", "prior"] == "hqs" and found["ct", "prior"] == "hqs"


def test_the_configuration_names_the_method_unless_the_call_does() -> None:
    settings = SolverConfig(method="tikhonov")
    assert Methods(CPU).method(None, CS, None, settings).name == "tikhonov"
    assert Methods(CPU).method("pinv", CS, None, settings).name == "pinv"


def test_weights_given_are_the_ones_used(prior: Path) -> None:
    methods = Methods(CPU)
    given, shipped = (methods.method("vamp", CS, weights, DEFAULTS) for weights in (prior, None))
    assert not torch.allclose(given(problem(CS)), shipped(problem(CS)))
    assert shipped.weights is methods.load(shipped_weights("prior-grey")).model


def test_weights_of_the_wrong_kind(prior: Path, idm: Path, conditional: Path, tmp_path: Path) -> None:
    cases: list[tuple[str | None, Path | None, str]] = [
        ("magic", None, "--method 'magic' is unknown"),
        ("tv", prior, "--method tv takes no weights"),
        ("idm", prior, "--method idm needs a network trained end to end, and '.*' is a prior"),
        ("vamp", idm, "--method vamp needs a prior, and '.*' is a network trained end to end"),
        ("sr3", prior, "--method sr3 needs a noise estimator trained to see the measurements, and '.*' is a prior"),
        ("idm", conditional, "and '.*' is a noise estimator trained to see the measurements"),
        (None, tmp_path / "none.safetensors", "there is no weights file"),
    ]
    for method, weights, message in cases:
        with pytest.raises(ConfigError, match=message) as caught:
            Methods(CPU).method(method, CS, weights, DEFAULTS)
        assert caught.value.hint


def test_conditional_weights_are_bound_to_what_they_were_trained_for(tmp_path: Path) -> None:
    path, purpose = tmp_path / "sr3.safetensors", {"task": "cs", "operator": {"permutation": "global"}}
    save_weights(path, ConditionalDenoiser(config(0)), training={}, trained_for=purpose)
    assert Methods(CPU).method(None, CS, path, DEFAULTS).name == "sr3"
    for operator, message in ((BLOCKS, "permutation  weights: global, here: none"), (OPERATORS["sr"], "weights: cs")):
        with pytest.raises(ConfigError, match=message):
            Methods(CPU).method("sr3", operator, path, DEFAULTS)


def test_without_conditional_weights_it_is_said_how_to_train_some() -> None:
    with pytest.raises(ConfigError, match="no weights for --method sr3 on task nonlinear_deblur come with") as caught:
        Methods(CPU).method("sr3", NONLINEAR["nonlinear_deblur"], None, DEFAULTS)
    assert "idm train --preset nonlinear-deblur --set model.kind=sr3" in caught.value.hint


@pytest.mark.parametrize("named", [True, False])
def test_a_network_is_refused_where_it_was_not_trained_with_a_table_of_both(named: bool) -> None:
    weights = shipped_weights("cs-tiny") if named else None
    methods = Methods(CPU)
    assert methods.method("idm", CS, weights, DEFAULTS).name == "idm"
    with pytest.raises(ConfigError, match="cs-tiny.safetensors' is made for other measurements") as blocks:
        methods.method("idm", BLOCKS, weights, DEFAULTS)
    assert "permutation  weights: global, here: none" in blocks.value.message
    assert "task" not in blocks.value.message and "--method hqs" in blocks.value.hint
    for name, own in (("ct", ""), ("mri-radial", "mri-tiny"), ("inpainting-boxes", "inpainting-tiny")):
        operator = OPERATORS[name]
        if own and not named:
            assert methods.method("idm", operator, None, DEFAULTS).weights_name == own
            continue
        with pytest.raises(ConfigError) as caught:
            methods.method("idm", operator, weights, DEFAULTS)
        if named:
            assert f"task  weights: cs, here: {operator.kind}" in caught.value.message
        else:
            assert f"no weights for --method idm on task {operator.kind} come with idm" in caught.value.message
            assert f"idm train --preset {operator.kind}" in caught.value.hint


def test_options_are_checked_all_at_once() -> None:
    ddnm = solvers.find("ddnm")
    assert read_options(ddnm, {"eta": 0, "steps": 7}) == ddnm.options(steps=7, eta=0.0)
    with pytest.raises(ConfigError) as caught:
        read_options(ddnm, {"eta": 1.5, "stpes": 7, "steps": "many"})
    first, second, third = caught.value.message.split("\n")
    assert first == "solver.eta = 1.5: expected less than or equal to 1"
    assert second == "method ddnm has no option solver.stpes; it has steps, eta"
    assert third == 'solver.steps = "many": expected a valid integer'
    assert "idm methods" in caught.value.hint
    with pytest.raises(ConfigError, match="method pinv has no option solver.steps; it has none"):
        read_options(solvers.find("pinv"), {"steps": 7})


def test_options_and_seeds_reach_the_method() -> None:
    operator = OPERATORS["inpainting-boxes"]

    def found(seed: int, **options: Any) -> Tensor:
        return Methods(CPU).method("ddnm", operator, None, SolverConfig(options=options))(problem(operator), seed=seed)

    base = found(1, steps=2)
    assert torch.equal(base, found(1, steps=2))
    assert not torch.equal(base, found(2, steps=2)) and not torch.equal(base, found(1, steps=3))


def test_results_that_are_not_finite() -> None:
    posed = problem(CS)
    posed.y[0, 0, 0, 0] = float("nan")
    with pytest.raises(NumericalError, match="method pinv gave values that are not finite"):
        Methods(CPU).method("pinv", CS, None, DEFAULTS)(posed)


@each("mri-complex", "mri-coils-complex")
def test_complex_images_keep_their_phase(operator: LinearOperator) -> None:
    for name in ("pinv", "tikhonov", "ddnm", "diffpir", "hqs"):
        method = Methods(CPU).method(name, operator, None, SolverConfig(options=SHORT.get(name, {})))
        found = method(problem(operator))
        assert found.is_complex() and bool(found.angle().std() > 0.1)


def test_a_methods_makes_each_network_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def load(path: Path) -> Any:
        read.append(path.stem)
        return load_prior(path)

    monkeypatch.setattr(module, "load_prior", load)
    methods = Methods(CPU)
    found = [methods.method(name, CS, None, DEFAULTS).weights for name in ("vamp", "ddnm", "diffpir", "idm", "idm")]
    assert found[0] is found[1] is found[2] and found[3] is found[4]
    assert read == ["prior-grey", "cs-tiny"]
    kinds = [methods.load(shipped_weights(name)).kind for name in read]
    assert kinds == ["prior", "idm"] and len(read) == 2


def test_a_prior_of_any_format_serves_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_format(monkeypatch, tmp_path, "powers", POWERS)
    path = tmp_path / "white.power"
    path.write_text("0.09")
    methods = Methods(CPU)
    prior = methods.load(path).model
    for name in ("vamp", "ddnm", "diffpir"):
        method = methods.method(name, CS, path, SolverConfig(options=SHORT[name]))
        assert method.weights is prior and method.weights_name == "white"
        assert (CS.A(method(problem(CS))) - problem(CS).y).abs().max() < 0.1 * problem(CS).y.abs().max()
    with pytest.raises(ConfigError, match="--tile is for attention"):
        Methods(CPU, tile=64).load(path)


def test_an_operator_is_not_changed_by_being_used() -> None:
    operator = OPERATORS["cs-global-padded"]
    before, padded = operator.A(picture(operator)), operator.padded()
    Methods(CPU).method("vamp", operator, None, SolverConfig(options=SHORT["vamp"]))(problem(operator))
    assert operator.padded() is padded and torch.equal(operator.A(picture(operator)), before)


def test_tiles_are_for_networks_with_attention() -> None:
    with pytest.raises(ConfigError, match="--tile is for attention"):
        Methods(CPU, tile=64).method("vamp", CS, None, DEFAULTS)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_computes_the_same(idm: Path) -> None:
    plain, compiled = (Methods(CPU, compile=c).method("idm", CS, idm, DEFAULTS) for c in (False, True))
    torch.testing.assert_close(compiled(problem(CS)), plain(problem(CS)), rtol=0, atol=1e-4)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_of_other_authors_is_compiled_too(tmp_path: Path) -> None:
    torch.save(foreign.drawn(foreign.kair_shapes(5, 4, 3, 4)), tmp_path / "ffdnet_gray.pth")
    file = tmp_path / "ffdnet_gray.pth"
    plain, compiled = (Methods(CPU, compile=c).load(file).model for c in (False, True))
    r, sigma = torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.1)
    torch.testing.assert_close(compiled(r, sigma), plain(r, sigma), rtol=0, atol=1e-4)
    networks = [prior.network for prior in (plain, compiled)]
    assert ["forward" in vars(network) for network in networks] == [False, True]


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="--compile needs a C\\+\\+ compiler"):
        Methods(CPU, compile=True)


def test_half_precision_is_for_the_network_alone() -> None:
    posed = problem(CS)
    full, half = (
        Methods(CPU, precision=precision).method("idm", CS, None, DEFAULTS)(posed) for precision in ("float32", "bf16")
    )
    assert half.dtype == torch.float32 and 0 < (half - full).abs().max() < 0.1
    assert (CS.A(half) - posed.y).norm() < 0.05 * posed.y.norm()


def test_a_method_runs_what_its_weights_are() -> None:
    """A network in memory serves like one from a file."""
    network = load_weights(shipped_weights("cs-tiny"))
    assert isinstance(network, InvertibleDiffusion)
    idm = solvers.find("idm")
    direct = Method(idm, idm.options(), network, CPU)(problem(CS))
    loaded = Methods(CPU, precision="float32").method("idm", CS, None, DEFAULTS)(problem(CS))
    torch.testing.assert_close(direct, loaded, rtol=0, atol=1e-4)


def test_automatic_precision_is_half_where_that_costs_nothing(monkeypatch: pytest.MonkeyPatch, idm: Path) -> None:
    """On devices that compute in it, for networks whose ends stay in single precision."""
    full = InvertibleDiffusion(SamplerConfig(DenoiserConfig(StableDiffusionConfig(1, 1))))
    of_full = Weights("idm", "full", full, full, [full])
    for fast, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(precision, "has_bf16", lambda device, fast=fast: fast)
        methods = Methods(CPU)
        assert methods.method("idm", CS, idm, DEFAULTS).precision == expected
        assert methods.method("ddnm", CS, None, DEFAULTS).precision == expected
        assert methods.method("tv", CS, None, DEFAULTS).precision == "float32"
        assert methods._precision_of(of_full) == "float32"
    assert Methods(CPU, precision="bf16")._precision_of(of_full) == "bf16"


def test_priors_and_networks_side_by_side(prior: Path, idm: Path) -> None:
    methods = Methods(CPU)
    assert methods.method("vamp", CS, None, DEFAULTS, prior="prior-mri").weights_name == "prior-mri"
    assert methods.method(None, CS, None, DEFAULTS, prior=str(prior)).name == "vamp"
    assert methods.method(None, OPERATORS["ct"], None, DEFAULTS, prior=str(prior)).name == "hqs"
    cases: list[tuple[str | None, Path | None, str, str]] = [
        ("tv", None, "prior-mri", "--method tv takes no prior"),
        ("idm", None, "prior-mri", "--method idm needs a network trained end to end, and '.*' is a prior"),
        ("idm", idm, "prior-mri", "--method idm takes only a network trained end to end"),
        ("vamp", idm, "prior-mri", "--method vamp takes only a prior"),
        (None, idm, "prior-mri", "--weights and --prior serve different methods"),
        (None, idm, "latent-ct-tiny", "--weights and --prior serve different methods"),
        ("vamp", None, "latent-ct-tiny", "--method vamp needs a prior, and '.*' is a latent prior"),
        ("resample", None, "prior-mri", "--method resample needs a latent prior, and '.*' is a prior"),
        ("resample", None, None, "no latent prior for --method resample on task cs comes with idm"),
        ("vamp", prior, "prior-mri", "--weights '.*' and --prior 'prior-mri' are two priors"),
        ("vamp", None, str(idm), "is no prior that idm knows"),
        ("vamp", idm, str(idm), "is no prior that idm knows"),
        ("vamp", None, "prior-of-mine", "--prior 'prior-of-mine' is unknown"),
    ]
    for method, weights, named, message in cases:
        with pytest.raises(ConfigError, match=message) as caught:
            methods.method(method, CS, weights, DEFAULTS, prior=named)
        assert caught.value.hint


def test_what_a_prior_was_not_trained_for_is_said_once(tmp_path: Path) -> None:
    torch.save(foreign.drawn(foreign.kair_shapes(13, 12, 3, 4)), tmp_path / "ffdnet_color.pth")
    torch.save(foreign.drawn(foreign.kair_shapes(5, 4, 3, 4)), tmp_path / "ffdnet_gray.pth")
    said: list[str] = []
    methods, few = Methods(CPU, warn=said.append), SolverConfig(options={"steps": 2})
    for name in ("ffdnet_color", "ffdnet_color", "ffdnet_gray"):
        method = methods.method("ddnm", CS, None, few, prior=str(tmp_path / f"{name}.pth"))
        assert method.precision == "float32" and method.weights_name == name
        assert method(problem(CS)).shape == (1, *CS.image_shape)
    assert [text.partition(" was ")[0].partition(" is ")[0] for text in said] == [
        "the prior ffdnet_color",
        "the prior ffdnet_color",
        "the prior ffdnet_gray",
    ]
    assert "for colour images: it takes a grey one as 3 equal channels" in said[0]
    assert "noise levels from 0 to 0.17; beyond them prior-grey takes over" in said[1]  # 75 / 255 / sqrt(3)
    assert "noise levels from 0 to 0.294; beyond them prior-grey takes over" in said[2]
    methods.method("ddnm", OPERATORS["cs-blocks-colour"], None, few, prior=str(tmp_path / "ffdnet_gray.pth"))
    assert "for grey images: it takes the channels of a colour one by one" in said[3]
    averaged = Methods(CPU, ensemble=True).method("ddnm", CS, None, few, prior=str(tmp_path / "ffdnet_gray.pth"))
    assert averaged(problem(CS)).isfinite().all()


def test_an_ensemble_serves_priors_and_networks(idm: Path, conditional: Path) -> None:
    for name, weights in (("idm", idm), ("ddnm", None), ("sr3", conditional)):
        posed, few = problem(CS), SolverConfig(options=SHORT.get(name, {}))
        method = Methods(CPU, precision="float32", ensemble=True).method(name, CS, weights, few)
        plain = Methods(CPU, precision="float32").method(name, CS, weights, few)
        assert method.ensemble and not plain.ensemble
        assert (method(posed) - plain(posed)).abs().max() > 0


def test_what_calls_no_network_on_images_has_no_use_for_an_ensemble() -> None:
    said: list[str] = []
    methods = Methods(CPU, ensemble=True, warn=said.append)
    for name in ("tv", "psld", "tv", "hqs"):
        assert methods.method(name, OPERATORS["ct"], None, DEFAULTS).ensemble == (name == "hqs")
    assert said == ["--ensemble does nothing for method tv", "--ensemble does nothing for method psld"]


def test_a_task_may_tune_a_method() -> None:
    """hqs ends at less noise on CT, unless the user says where."""
    operator = OPERATORS["ct"]
    for given, expected in (({}, 0.002), ({"sigma_end": 0.01}, 0.01)):
        method = Methods(CPU).method("hqs", operator, None, SolverConfig(options=given))
        assert method.options.sigma_end == expected
    assert Methods(CPU).method("hqs", CS, None, DEFAULTS).options.sigma_end == 0.004


def test_the_best_method_may_depend_on_the_noise() -> None:
    for noise, name in ((0.0, "idm"), (0.1, "hqs")):
        assert Methods(CPU).method(None, OPERATORS["inpainting-given"], None, DEFAULTS, noise=noise).name == name


def test_without_noise_a_nonlinear_blur_starts_from_total_variation() -> None:
    for noise, start in ((0.0, "tv"), (0.1, "operator")):
        method = Methods(CPU).method(None, NONLINEAR["nonlinear_deblur"], None, DEFAULTS, noise=noise)
        assert (method.name, method.options.start) == ("hqs", start)


@pytest.mark.parametrize(("channels", "name"), [(1, "prior-grey"), (3, "prior-colour")])
def test_colours_have_a_prior_of_their_own(channels: int, name: str) -> None:
    operator = CompressedSensing((channels, 16, 16), 0.5, block=8)
    assert Methods(CPU).method("vamp", operator, None, DEFAULTS).weights_name == name


def test_latent_priors_and_the_images_they_take(latent: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "colour.safetensors", LatentDiffusion(LatentConfig(3, 2, (8, 8), (8, 8))), training={})
    said: list[str] = []
    methods, few = Methods(CPU, warn=said.append), SolverConfig(options=SHORT["resample"])
    colour = OPERATORS["cs-blocks-colour"]
    for operator, prior in ((CS, tmp_path / "colour.safetensors"), (colour, latent), (colour, latent), (CS, latent)):
        method = methods.method(None, operator, None, few, prior=str(prior))
        assert method.name == "resample" and method.weights_name == prior.stem
        assert method(problem(operator)).shape[1:] == operator.image_shape
    assert [text.partition(":")[0] for text in said] == [
        "the prior colour is for colour images",
        "the prior latent is for grey images",
    ]
    complex_image = OPERATORS["mri-complex"]
    with pytest.raises(InputError, match="method psld is for real images, and these are complex"):
        methods.method("psld", complex_image, None, DEFAULTS, prior=str(latent)).check(complex_image)


def test_several_coils_with_noise_take_few_steps() -> None:
    maps = coil_maps(3, (8, 8))
    several = MRI((1, 8, 8), torch.ones(8, 8), complex_image=True, sensitivity=maps)
    one = MRI((1, 8, 8), torch.ones(8, 8), complex_image=True)
    hqs = solvers.find("hqs")
    assert defaults_of(several).options_for(hqs, several, 0.01)["iterations"] == 6
    for operator, noise in ((several, 0.0), (one, 0.01)):
        assert defaults_of(operator).options_for(hqs, operator, noise)["start"] == "tv"
    assert Methods(CPU).method(None, several, None, SolverConfig(options={"iterations": 7}), noise=0.1).options == (
        hqs.options(iterations=7, sigma_start=0.1, momentum=0.0)
    )
