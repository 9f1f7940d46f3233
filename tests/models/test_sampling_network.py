"""RK-CCSNet and CSNet+: their size, their values by another way, their gradients by inversion, their sampling."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from idmcli.errors import InputError
from idmcli.models.csnet_plus import CSNetPlus, lowest_frequencies
from idmcli.models.rk_ccsnet import RKCCSNet
from idmcli.models.sampling_network import SamplingConfig, SamplingNetwork
from idmcli.operators import CompressedSensing
from idmcli.reversible.plan import named_plan
from idmcli.training.optimisers import parameter_groups
from tests.small import generator

KINDS = (RKCCSNet, CSNetPlus)
SWITCHES = tuple(product((False, True), repeat=2))  # reversible, injectors


def randomised(kind: type[SamplingNetwork], config: SamplingConfig, dtype: torch.dtype) -> SamplingNetwork:
    """A network all of whose parts count: nothing in it is zero."""
    network = kind(config).to(dtype)
    random = generator(5)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = 0.5 * parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.add_(scale * torch.randn(parameter.shape, generator=random, dtype=dtype))
    return network


@pytest.mark.parametrize(
    ("kind", "plain", "injected"), [(RKCCSNet, 630_737, 633_305), (CSNetPlus, 1_419_008, 1_420_613)]
)
def test_the_paper_s_parameters_beside_the_scalars_of_the_couplings(
    kind: type[SamplingNetwork], plain: int, injected: int
) -> None:
    for (reversible, injectors), expected in zip(SWITCHES, (plain, injected, plain, injected), strict=True):
        groups = parameter_groups(kind(SamplingConfig(reversible=reversible, injectors=injectors)))
        couplings = groups.pop("couplings", [])
        assert bool(couplings) == reversible
        assert sum(parameter.numel() for parameter in couplings) < 50
        assert sum(parameter.numel() for group in groups.values() for parameter in group) == expected


def convolved(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """(I, H, W) by a layer with kernel 1 or 3, stride 1, zeros around, in float64."""
    weight = layer.weight.detach().numpy().astype(float)
    k, (_, height, width) = weight.shape[2] // 2, x.shape
    padded = np.pad(x, ((0, 0), (k, k), (k, k)))
    out = sum(
        np.tensordot(weight[:, :, i, j], padded[:, i : i + height, j : j + width], 1)
        for i, j in product(range(2 * k + 1), repeat=2)
    )
    return out if layer.bias is None else out + layer.bias.detach().numpy()[:, None, None].astype(float)


def prelu(x: np.ndarray, layer: nn.PReLU) -> np.ndarray:
    return np.where(x > 0, x, x * layer.weight.detach().numpy()[:, None, None])


def injected(features: np.ndarray, injector: nn.Module, network: SamplingNetwork, first: np.ndarray) -> np.ndarray:
    f = convolved(features, injector.to_image[0])
    with torch.no_grad():
        projected = network.sampling(torch.from_numpy(f)[None])[0].numpy()
    return features + convolved(np.concatenate([f, projected, first]), injector.to_features[0])


@pytest.mark.parametrize("injectors", [False, True])
def test_rk_ccsnet_by_numpy(injectors: bool) -> None:
    network = randomised(RKCCSNet, SamplingConfig(injectors=injectors), torch.float64)
    x = torch.rand(1, 1, 32, 64, generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        first, last = (image[0].numpy() for image in network.images(network.measure(x), (32, 64)))
    features = start = convolved(first, network.head)
    for module in network.blocks.modules_:
        if hasattr(module, "to_image"):
            features = injected(features, module, network, first)
            continue
        b1 = np.exp(-np.exp(module.alpha.item()))
        (k1, p1), (k2, p2) = module.k1, module.k2
        u = features + prelu(convolved(prelu(convolved(features, k1), p1), k1), p1) / (2 * (1 - b1))
        features = features + (1 - b1) * prelu(convolved(prelu(convolved(u, k2), p2), k2), p2) + b1 * u
    expected = first + convolved(convolved(features, network.body) + start, network.tail)
    np.testing.assert_allclose(last, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("injectors", [False, True])
def test_csnet_plus_by_numpy(injectors: bool) -> None:
    network = randomised(CSNetPlus, SamplingConfig(injectors=injectors), torch.float64)
    x = torch.rand(1, 1, 32, 64, generator=generator(), dtype=torch.float64)
    phi = network.sampling.measuring[0].weight.detach().numpy().reshape(512, 1024)
    back = network.sampling.initial.weight.detach().numpy()[:, :, 0, 0]
    blocks = x[0, 0].numpy().reshape(32, 2, 32).swapaxes(0, 1).reshape(2, 1024)
    first = (blocks @ phi.T @ back.T).reshape(2, 32, 32).swapaxes(0, 1).reshape(1, 32, 64)
    features = np.maximum(convolved(first, network.head), 0)
    for module in network.blocks.modules_:
        if hasattr(module, "to_image"):
            features = injected(features, module, network, first)
        else:
            inner = np.maximum(convolved(features, module.conv1), 0) + features
            features = np.maximum(convolved(inner, module.conv2), 0)
    with torch.no_grad():
        found = [image[0].numpy() for image in network.images(network.measure(x), (32, 64))]
    np.testing.assert_allclose(found[0], first, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1], first + convolved(features, network.tail), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("injectors", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_reversible_network_has_the_values_and_gradients_of_plain_evaluation(
    kind: type[SamplingNetwork], injectors: bool
) -> None:
    network = randomised(kind, SamplingConfig(reversible=True, injectors=injectors), torch.float64)
    x = torch.rand(1, 1, 32, 32, generator=generator(), dtype=torch.float64)

    def run(name: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        first, last = network.images(network.measure(x), (32, 32), named_plan(name, 1))  # type: ignore[arg-type]
        loss = (last - x).square().sum() + (first - x).square().sum()
        return last.detach(), list(torch.autograd.grad(loss, list(network.parameters())))

    plain, reversible = run("plain"), run("unet")
    torch.testing.assert_close(reversible[0], plain[0], rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(reversible[1], plain[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7 * float(theirs.abs().max() + 1e-12))


@pytest.mark.parametrize("kind", KINDS)
def test_the_untrained_network_gives_the_first_image(kind: type[SamplingNetwork]) -> None:
    network = kind(SamplingConfig(injectors=True))
    x = torch.rand(2, 1, 32, 64, generator=generator())
    first, last = network.images(network.measure(x), (32, 64))
    assert torch.equal(first, last)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sampling_is_an_operator_for_images_of_any_size(kind: type[SamplingNetwork]) -> None:
    network = randomised(kind, SamplingConfig(), torch.float32)
    operator = network.operator((1, 40, 50))
    x = torch.rand(1, 1, 40, 50, generator=generator())
    padded = nn.functional.pad(x, (0, 14, 0, 24))
    torch.testing.assert_close(operator.A(x), network.measure(padded), rtol=1e-4, atol=1e-4)
    y = torch.randn(operator.A(x).shape, generator=generator(1))
    torch.testing.assert_close((operator.A(x) * y).sum(), (x * operator.AT(y)).sum(), rtol=1e-3, atol=1e-3)
    assert network(operator.A(x), operator).shape == x.shape
    assert operator.ratio == pytest.approx(0.5 * 64 * 64 / (40 * 50), rel=1e-3)


def test_another_sampling_is_refused() -> None:
    network = RKCCSNet(SamplingConfig())
    stranger = CompressedSensing((1, 32, 32), 0.5)
    x = torch.rand(1, 1, 32, 32, generator=generator())
    with pytest.raises(InputError, match="needs measurements by its own sampling"):
        network(stranger.A(x), stranger)


@pytest.mark.parametrize(("ratio", "rows"), [(0.5, 512), (0.25, 256), (0.125, 128), (0.0625, 64), (0.015625, 16)])
def test_rk_ccsnet_samples_at_powers_of_a_half(ratio: float, rows: int) -> None:
    assert RKCCSNet(SamplingConfig(ratio=ratio)).sampling.rows == rows


def test_the_lowest_frequencies_are_orthonormal_and_begin_with_the_mean() -> None:
    phi = lowest_frequencies(40, 8).double()
    torch.testing.assert_close(phi @ phi.T, torch.eye(40, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(phi[0], torch.full((64,), 1 / 8, dtype=torch.float64), rtol=0, atol=1e-6)
