"""``idm study`` on tiny networks, and ``idm sense`` and ``idm reconstruct`` with what one of them has learned."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import safetensors.torch

from idmcli.cli import main
from idmcli.models.checkpoints import save_weights
from idmcli.models.rk_ccsnet import RKCCSNet
from idmcli.models.sampling_network import SamplingConfig
from tests.cli.photos import draw_photos

Capture = pytest.CaptureFixture[str]
STUDY = """# Two networks, one of which cannot start.
preset = "rk-ccsnet"
do = ["train", "evaluate"]
[small]
set = ["training.iterations=1", "training.batch=1", "training.patch=32", "training.threads=1", "training.workers=0"]
[[variants]]
name = "plain"
paper = "38.03 dB"
[[variants]]
name = "broken"
init = "prior-grey"
"""


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_photos()


@pytest.mark.timeout(600)
def test_a_failing_variant_leaves_the_other_and_what_is_done_is_kept(capsys: Capture) -> None:
    Path("two.toml").write_text(STUDY)
    study = ["study", "two.toml", "-o", "out", "--data", "photos", "--test", "photos"]
    assert main(study) == 1
    said = capsys.readouterr()
    assert "1 of 2 cases failed" in said.err
    assert "prior-grey.safetensors' is of kind prior" in said.out
    plain, broken = csv.DictReader(Path("out/results.csv").read_text().splitlines())
    assert (plain["variant"], plain["seed"], plain["dataset"], plain["images"]) == ("plain", "0", "photos", "3")
    assert float(plain["psnr"]) > 0
    assert plain["paper"] == "38.03 dB"
    assert broken["failed"].startswith("train:")
    assert not broken["psnr"]
    assert json.loads(Path("out/results.json").read_text())["results"][0]["psnr"] == float(plain["psnr"])
    assert "plain" in Path("out/report-photos.html").read_text()
    weights = Path("out/cases/plain/seed-0/run/weights.safetensors")
    made = weights.stat().st_mtime_ns
    Path("two.toml").write_text(STUDY.replace("training.batch=1", "training.batch=2"))
    assert main(study) == 2
    assert "was made by another `idm train`" in capsys.readouterr().err
    Path("two.toml").write_text(STUDY.partition('[[variants]]\nname = "broken"')[0])
    assert main(study) == 0
    assert weights.stat().st_mtime_ns == made


def test_a_dry_run_lists_commands_and_starts_nothing(capsys: Capture) -> None:
    Path("two.toml").write_text(STUDY.replace('do = ["train", "evaluate"]', 'do = ["evaluate"]'))
    assert main(["study", "two.toml", "-o", "out", "--test", "photos", "--dry-run"]) == 0
    assert "idm eval photos --preset rk-ccsnet" in capsys.readouterr().out
    assert not Path("out").exists()


def test_the_studies_are_listed_and_shown(capsys: Capture) -> None:
    assert main(["study"]) == 0
    assert "table6" in capsys.readouterr().out
    assert main(["study", "table6", "--show"]) == 0
    assert 'name = "CSNet+ both"' in capsys.readouterr().out


def test_paper_s_scale_where_there_is_none(capsys: Capture) -> None:
    assert main(["study", "memory", "--paper"]) == 2
    assert "has one scale only" in capsys.readouterr().err


def test_measurements_by_a_learned_sampling_need_nothing_but_their_file(capsys: Capture) -> None:
    save_weights(Path("rk.safetensors"), RKCCSNet(SamplingConfig()), training={}, trained_for={"task": "learned"})
    assert main(["sense", "photos/0.png", "--weights", "rk.safetensors", "-o", "m"]) == 0
    assert any(key.startswith("operator") or "phi" in key for key in safetensors.torch.load_file("m/0.safetensors"))
    assert main(["reconstruct", "m/0.safetensors", "--weights", "rk.safetensors", "-o", "by-network"]) == 0
    assert Path("by-network/0.png").is_file()
    Path("rk.safetensors").unlink()
    assert main(["reconstruct", "m/0.safetensors", "-o", "without"]) == 0
    assert Path("without/0.png").is_file()


def test_weights_that_do_not_measure_are_refused(capsys: Capture) -> None:
    from idmcli.models import shipped_weights

    assert main(["sense", "photos/0.png", "--weights", str(shipped_weights("prior-grey"))]) == 2
    assert "no network that learned its own sampling" in capsys.readouterr().err
