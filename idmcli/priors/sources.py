"""From what ``--prior`` names to a file or a folder."""

from __future__ import annotations

from pathlib import Path

from idmcli.errors import InputError
from idmcli.io.hub import fetch, is_hub_name
from idmcli.models.checkpoints import kind_in, shipped_names, shipped_weights
from idmcli.models.pretrained import CONFIG
from idmcli.models.tensors import PICKLES
from idmcli.priors.published import diffusers_latents, diffusers_pixels
from idmcli.priors.published.diffusers_folders import EXAMPLE, HINT, INDEX, has_autoencoder


def shipped_priors() -> list[str]:
    """The names of the priors that come with idm.

    >>> "prior-grey" in shipped_priors()
    True
    """
    return [name for name in shipped_names() if kind_in(shipped_weights(name)) in ("prior", "latent")]


def find_prior(source: str) -> Path:
    """The file or folder of a prior.

    Args:
        source: the name of one that comes with idm, a file, a folder, or the name of a model on the Hugging Face hub
            ("owner/name"), in this order.

    Raises:
        InputError: it is none of these, or cannot be downloaded.

    >>> find_prior("prior-grey").name
    'prior-grey.safetensors'
    """
    path, shipped = Path(source), shipped_priors()
    if source in shipped:
        return shipped_weights(source)
    if path.exists():
        return path
    if path.suffix in (".safetensors", *PICKLES):
        raise InputError(f"there is no weights file {source!r}", "check the path")
    if is_hub_name(source):
        return _download(source)
    raise InputError(
        f"--prior {source!r} is unknown",
        f"{', '.join(shipped)} come with idm; or name a file, a folder, or a model on the Hugging Face hub, "
        f"{EXAMPLE} for example",
    )


def _download(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, of which what is needed is fetched once."""
    index = fetch("--prior", name, [[INDEX, CONFIG]], HINT)
    return diffusers_latents.download(name) if has_autoencoder(index) else diffusers_pixels.download(name)
