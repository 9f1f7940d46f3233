"""Files of models on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idmcli.errors import InputError

PATIENCE = 5.0  # seconds for the first answer of the hub


def is_hub_name(source: str) -> bool:
    """Whether something that is not here may be "owner/name"."""
    return source.count("/") == 1 and not source.startswith((".", "/", "~"))


def fetch(option: str, name: str, wanted: Sequence[Sequence[str]], hint: str) -> list[Path]:
    """Files of a model, from the hub's cache if all of them are there.

    Args:
        option: what named the model, for messages.
        name: "owner/name".
        wanted: for each file its names, of which the first that the model has is taken.
        hint: what to do where there is no network.

    Raises:
        InputError: the hub cannot be reached, which is found at once, or has no such model or file.
    """
    try:
        return _fetch(option, name, wanted)
    except InputError:
        raise
    except Exception as error:  # of the hub's client, or of the HTTP library beneath it
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{option} {name!r} is not here, and cannot be had from the Hugging Face hub: {reason}", hint
        ) from error


def _fetch(option: str, name: str, wanted: Sequence[Sequence[str]]) -> list[Path]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    cached = [
        [path for file in files if isinstance(path := try_to_load_from_cache(name, file), str)] for files in wanted
    ]
    if all(cached):
        return [Path(paths[0]) for paths in cached]
    # One look, which fails at once where there is no network: a download would try for half a minute.
    try:
        get_hf_file_metadata(hf_hub_url(name, wanted[0][0]), timeout=PATIENCE)
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:  # an answer
        pass
    found = []
    for files in wanted:
        for file in files:
            try:
                found.append(Path(hf_hub_download(name, file)))
            except LocalEntryNotFoundError:  # the network has gone
                raise
            except EntryNotFoundError:
                continue
            break
        else:
            raise InputError(f"{option} {name!r} has no {files[0]} on the Hugging Face hub", "name another model")
    return found
