"""From a study to commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from idmcli.errors import ConfigError, InputError
from idmcli.studies import read_study
from idmcli.studies.planner import Case, Places, plan
from idmcli.studies.study import parse_study

PLACES = Places(Path("out"), ("photos",), (Path("Set11"), Path("CBSD68")))


def planned(text: str, places: Places = PLACES) -> list[Case]:
    study = parse_study(text, "x")
    return plan(study, study.small, places)


def test_a_case_measures_trains_and_evaluates() -> None:
    (case,) = planned('preset = "rk-ccsnet"\nratios = [0.5]\nbudget = "2GB"\n[small]\nset = ["model.reversible=true"]')
    names = [job.name for job in case.jobs]
    assert names == ["train", "evaluate-set11", "evaluate-cbsd68", "memory", "largest-batch"]
    assert case.config.model.reversible
    train, test = case.jobs[0].command, case.jobs[1]
    assert train[:3] == ["train", "--preset", "rk-ccsnet"]
    assert "--set=model.reversible=true" in train
    assert "--set=training.seed=0" in train
    assert str(case.run / "weights.safetensors") in test.command
    assert test.needs_training
    assert test.command[-5:] == ["--ratio", "0.5", "--out", str(case.folder / "evaluate-set11"), "--overwrite"]


def test_given_weights_are_evaluated_alone() -> None:
    text = 'preset = "cs-tiny"\n[[variants]]\nname = "a"\nweights = "prior-grey"\nmethod = "ddnm"'
    (case,) = planned(text)
    assert [job.action for job in case.jobs] == ["evaluate", "evaluate"]
    flag, file, *method = case.jobs[0].command[5:9]
    assert (flag, Path(file).name, method) == ("--weights", "prior-grey.safetensors", ["--method", "ddnm"])


def test_small_settings_are_for_the_small_scale() -> None:
    study, _ = read_study("table6")
    assert study.paper is not None
    small, paper = (plan(study, scale, PLACES)[0].config.training for scale in (study.small, study.paper))
    assert small.sampling_learning_rate == 3e-2
    assert small.iterations < paper.iterations
    assert paper.sampling_learning_rate is None


def test_a_scale_may_start_from_other_weights() -> None:
    study, _ = read_study("unseen-ratio")
    assert study.paper is not None
    small, paper = (plan(study, scale, PLACES)[0].jobs[0].command for scale in (study.small, study.paper))
    assert small[small.index("--init") + 1] == "prior-grey"
    assert paper[paper.index("--init") + 1] == study.paper.init


@pytest.mark.parametrize("name", ["curves", "memory", "prior", "steps", "table5", "table6", "unseen-ratio"])
def test_the_settings_of_the_studies_that_come_with_idm_are_right(name: str) -> None:
    study, _ = read_study(name)
    for scale in (study.small, study.paper):
        if scale is not None:
            cases = plan(study, scale, PLACES)
            assert len(cases) == len(study.expanded()) * len(scale.seeds)
            assert all(case.jobs for case in cases)


def test_a_wrong_setting_names_its_variant() -> None:
    with pytest.raises(ConfigError, match="variant 'base': .*unknown key model.nonsense"):
        planned('preset = "cs-tiny"\n[small]\nset = ["model.nonsense=1"]')


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (Places(Path("o"), (), (Path("t"),)), "no pictures to train on"),
        (Places(Path("o"), ("d",), ()), "no pictures to evaluate on"),
        (Places(Path("o"), ("d",), (Path("a/t"), Path("b/t"))), "have the same name"),
    ],
)
def test_pictures_that_are_missing(places: Places, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned('preset = "cs-tiny"', places)
