"""What a prior serves for."""

from __future__ import annotations

import pytest

from idmcli.errors import InputError
from idmcli.priors import Domain, check_domain
from tests.small import Gaussian

GREY, COLOUR = Gaussian(0.1), Gaussian(0.1, "colours", Domain(channels=3))


@pytest.mark.parametrize(("prior", "channels"), [(GREY, 1), (GREY, 3), (COLOUR, 3)])
def test_priors_serve_for_their_channels_and_grey_ones_for_each_of_many(prior: Gaussian, channels: int) -> None:
    check_domain(prior, channels)


def test_a_colour_prior_refuses_grey_images() -> None:
    with pytest.raises(InputError, match="the prior colours is for colour images") as caught:
        check_domain(COLOUR, 1)
    assert "grey" in caught.value.hint
