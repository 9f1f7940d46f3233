"""Files of models on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idmcli.errors import InputError

PATIENCE = 5.0  # seconds for the first answer of the hub


def is_hub_name(source: str) -> bool:
    """Whether something that is not here may be a model on the hub, "owner/name".

    >>> is_hub_name("google/ddpm-ema-celebahq-256"), is_hub_name("./folder")
    (True, False)
    """
    return source.count("/") == 1 and not source.startswith((".", "/", "~"))


def fetch(option: str, name: str, wanted: Sequence[Sequence[str]], hint: str) -> Path:
    """The folder of one revision of a model, with some of its files.

    It is the revision in the hub's cache if that has these files, and nothing is asked of the hub then. Otherwise it is
    the newest one: what the cache lacks is downloaded.

    Args:
        option: what named the model, for messages.
        name: "owner/name".
        wanted: for each file its possible names, of which the first that the model has is taken.
        hint: what to do where there is no network.

    Returns:
        A folder in the hub's cache, with the names that files have in the model.

    Raises:
        InputError: the hub cannot be reached, which is found at once, or has no such model or file.
    """
    try:
        return _in_cache(name, wanted) or _downloaded(option, name, wanted)
    except InputError:
        raise
    except Exception as error:  # of the hub's client, or of the HTTP library beneath it
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{option} {name!r} is not here, and cannot be had from the Hugging Face hub: {reason}", hint
        ) from error


def _in_cache(name: str, wanted: Sequence[Sequence[str]]) -> Path | None:
    """The folder of the revision in the cache; None if it lacks a file.

    ``snapshot_download`` would ask for all names of a file, not for one of them, and so find no folder complete.
    """
    from huggingface_hub import try_to_load_from_cache

    folder = None
    for files in wanted:
        found = next((file for file in files if isinstance(try_to_load_from_cache(name, file), str)), None)
        if found is None:
            return None
        folder = Path(str(try_to_load_from_cache(name, found))).parents[found.count("/")]
    return folder


def _downloaded(option: str, name: str, wanted: Sequence[Sequence[str]]) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    # One look, which fails at once where there is no network: snapshot_download alone has no time limit for it.
    there = {file.rfilename for file in HfApi().model_info(name, timeout=PATIENCE).siblings or []}
    chosen = []
    for files in wanted:
        file = next((file for file in files if file in there), None)
        if file is None:
            raise InputError(f"{option} {name!r} has no {files[0]} on the Hugging Face hub", "name another model")
        chosen.append(file)
    return Path(snapshot_download(name, allow_patterns=chosen))
