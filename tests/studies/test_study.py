"""Study files: what they may say, and the variants that come out."""

from __future__ import annotations

import pytest

from idmcli.errors import ConfigError
from idmcli.studies import list_studies, read_study
from idmcli.studies.study import folder_name, parse_study, purpose

SMALL = """
preset = "rk-ccsnet"
[small]
set = ["training.iterations=1"]
seeds = [3, 4]
"""


def test_a_grid_repeats_every_variant_with_every_combination() -> None:
    text = SMALL + '[grid]\n"model.v" = [0.4, 0.5]\n"training.loss" = ["l1", "l2"]\n'
    both = parse_study(
        text + '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nset = ["model.injectors=true"]\n', "x"
    )
    variants = both.expanded()
    assert [variant.name for variant in variants[:2]] == ["a v=0.4 loss=l1", "a v=0.4 loss=l2"]
    assert len(variants) == 8
    assert variants[-1].set == ("model.injectors=true", "model.v=0.5", 'training.loss="l2"')
    assert [variant.name for variant in parse_study(text, "x").expanded()][0] == "v=0.4 loss=l1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = 1", "preset: Input should be a valid string"),
        ("", "preset: Field required"),
        (SMALL + "wrong = 1", "wrong: Unexpected keyword argument"),
        (SMALL + '[[variants]]\nname = "a"\nsets = []', "variants.0.sets"),
        (SMALL + '[[variants]]\nname = "a b"\n[[variants]]\nname = "A-b"', "two variants are called 'a-b'"),
        (SMALL + '[grid]\n"model.v" = []', "has 0 cases"),
        ("preset = ", "not valid TOML"),
    ],
)
def test_a_wrong_study_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_study(text, "mine.toml")
    assert message in error.value.message
    assert "mine.toml" in error.value.message
    assert error.value.hint


def test_a_missing_study_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no study 'tabel6'") as error:
        read_study("tabel6")
    assert "table6" in error.value.hint


@pytest.mark.parametrize("name", ["curves", "memory", "prior", "steps", "table5", "table6", "unseen-ratio"])
def test_the_studies_that_come_with_idm(name: str) -> None:
    study, text = read_study(name)
    assert name in list_studies()
    assert purpose(text).endswith(".")
    assert f"idm study {name}" in text
    assert study.expanded()


@pytest.mark.parametrize(("name", "folder"), [("T = 3", "t-=-3"), ("../a/b", "a-b"), ("CSNet+ both", "csnet+-both")])
def test_folders_have_plain_names(name: str, folder: str) -> None:
    assert folder_name(name) == folder
