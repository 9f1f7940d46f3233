"""``idm methods``: what can be asked for, and how."""

from __future__ import annotations

import json

import pytest

from idmcli import solvers
from idmcli.cli import main
from idmcli.cli.options import complete_method_lists, complete_methods

Capture = pytest.CaptureFixture[str]


def test_every_method_is_listed_with_what_it_needs_and_its_options(capsys: Capture) -> None:
    assert main(["methods", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [r["name"] for r in results] == solvers.names()
    by_name = {r["name"]: r for r in results}
    assert by_name["ddnm"]["options"] == {"steps": 100, "eta": 0.85} and by_name["ddnm"]["samples"]
    assert by_name["vamp"]["needs"][0] == "a prior" and not by_name["vamp"]["samples"]
    assert by_name["pinv"]["options"] == {}


@pytest.mark.parametrize("name", solvers.names())
def test_what_is_shown_can_be_typed(name: str, capsys: Capture) -> None:
    assert main(["methods", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == name
    settings = [line.strip() for line in lines if line.strip().startswith("--set ")]
    overrides = [part for setting in settings for part in setting.split(" ", 1)]
    assert main(["reconstruct", "--method", name, *overrides, "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert f'method = "{name}"' in shown
    assert all(f"{setting.removeprefix('--set solver.').partition('=')[0]} = " in shown for setting in settings)


def test_an_unknown_method(capsys: Capture) -> None:
    assert main(["methods", "tikonov"]) == 2
    assert capsys.readouterr().err == "error: --method 'tikonov' is unknown\nhint: did you mean tikhonov?\n"


def test_names_are_completed() -> None:
    assert complete_methods("t") == ["tikhonov", "tv"]
    assert complete_methods("") == solvers.names()
    assert complete_method_lists("al") == ["all"] and complete_method_lists("tv,ti") == ["tv,tikhonov"]


def test_those_for_a_task(capsys: Capture) -> None:
    assert main(["methods", "--task", "ct", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names, left_out = {r["name"] for r in found["results"]}, found["summary"]["left_out"]
    assert {"hqs", "tv", "fbp", "ddnm"} <= names and not names & set(left_out)
    assert sorted([*names, *left_out]) == solvers.names()
    assert "whose singular values are known" in left_out["ddrm"]
    assert left_out["idm"] == "no weights for --method idm on task ct come with idm"


def test_whether_one_is_for_a_task(capsys: Capture) -> None:
    assert main(["methods", "fbp", "--task", "hdr"]) == 0
    assert capsys.readouterr().out.startswith("not fbp: method fbp needs a linear operator and ")
    assert main(["methods", "fbp", "--task", "ct"]) == 0
    assert capsys.readouterr().out.startswith("fbp\n")
    assert main(["methods", "--task", "magic"]) == 2
    assert "expected 'cs' or 'ct'" in capsys.readouterr().err
