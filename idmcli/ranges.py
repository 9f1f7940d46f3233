"""Numbers with their range, for the fields of options that users set; pydantic checks them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from idmcli.sizes import parse_size

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
CountOrZero = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Noise = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Coupling = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Size = Annotated[int, BeforeValidator(parse_size)]  # bytes
Side = Annotated[int, Field(ge=1, le=64)]  # pixels
Channels = Annotated[int, Field(ge=1, le=65_536)]
ChannelsPerScale = Annotated[tuple[Channels, ...], Field(max_length=16)]
BlocksPerScale = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=16)]
NORM_GROUPS = 8  # of group normalisation in latent models: their channels are multiples of it
