"""What --prior names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from idmcli.errors import InputError
from idmcli.models import shipped_weights
from idmcli.priors.sources import find_prior, shipped_priors


def test_shipped_priors_go_by_name() -> None:
    assert {"prior-grey", "prior-mri"} <= set(shipped_priors()) and "cs-tiny" not in shipped_priors()
    assert find_prior("prior-mri") == shipped_weights("prior-mri")


@pytest.mark.usefixtures("folder")
def test_then_files_and_folders() -> None:
    Path("prior-mri").write_text("x")
    assert find_prior("./prior-mri") == Path("prior-mri") and find_prior("prior-mri").is_absolute()
    Path("owner/name").mkdir(parents=True)
    assert find_prior("owner/name") == Path("owner/name")
    with pytest.raises(InputError, match="there is no weights file 'owner/none.pth'"):
        find_prior("owner/none.pth")


@pytest.mark.parametrize("source", ["nothing", "a/b/c", "./none"])
def test_unknown_names_are_told_the_known_ones(source: str) -> None:
    with pytest.raises(InputError, match=f"--prior '{source}' is unknown") as caught:
        find_prior(source)
    assert caught.value.hint.startswith(", ".join(shipped_priors()))


def test_without_a_network_a_hub_name_fails_at_once(tmp_path: Path) -> None:
    code = "import sys; from idmcli.cli import main; sys.exit(main(sys.argv[1:]))"
    command = ["reconstruct", "--example", "--method", "ddnm", "--prior", "google/ddpm-ema-celebahq-256"]
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", code, *command], env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 2 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: --prior 'google/ddpm-ema-celebahq-256' is not here, and cannot be had from the")
    assert hint.startswith("hint: download the model where there is a network")
