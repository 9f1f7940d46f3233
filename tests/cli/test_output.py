from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from idmcli.cli.output import CountBar, Output
from idmcli.errors import InputError
from idmcli.text import escape, jsonable

Capture = pytest.CaptureFixture[str]


def test_results_and_messages_go_to_their_streams(capsys: Capture) -> None:
    output = Output()
    output.status("reading")
    output.result({"file": "a.png", "psnr": 31.4159})
    output.result({"file": "b.png"}, "b is done")
    output.summary({"mean": 30.0})
    output.warning("odd size")
    output.hint("try more")
    output.error(InputError("no such file: c.png", "check the name"))
    output.finish()
    out, err = capsys.readouterr()
    assert out == "file: a.png, psnr: 31.42\nb is done\nmean: 30.00\n"
    assert err.splitlines() == [
        "reading",
        "warning: odd size",
        "hint: try more",
        "error: no such file: c.png",
        "hint: check the name",
    ]


def test_quiet_leaves_results_warnings_and_errors(capsys: Capture) -> None:
    output = Output(quiet=True)
    output.status("reading")
    output.hint("try more")
    with output.progress(2, "images") as progress:
        progress.advance()
    output.result({"psnr": 1})
    output.warning("odd")
    output.error(InputError("bad"))
    out, err = capsys.readouterr()
    assert (out, err) == ("psnr: 1\n", "warning: odd\nerror: bad\n")


def test_json_is_one_object_with_everything(capsys: Capture) -> None:
    output = Output(json=True)
    output.command = "eval"
    output.inputs(data=Path("a/b"), ratio=0.3)
    output.status("reading")
    output.table([{"psnr": math.inf, "ssim": np.float32(0.5)}, {"psnr": math.nan, "ssim": None}])
    output.result({"psnr": np.int64(3)}, "text")
    output.summary({"mean": [1.5, -math.inf]})
    output.warning("odd")
    output.finish(InputError("bad", "better"))
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema_version": 1,
        "command": "eval",
        "inputs": {"data": "a/b", "ratio": 0.3},
        "results": [{"psnr": None, "ssim": 0.5}, {"psnr": None, "ssim": None}, {"psnr": 3}],
        "summary": {"mean": [1.5, None]},
        "warnings": ["odd"],
        "error": {"message": "bad", "hint": "better", "exit_code": 2},
    }
    assert err == "warning: odd\n"


def test_json_without_a_failure_has_null_for_error(capsys: Capture) -> None:
    output = Output(json=True)
    output.finish()
    assert json.loads(capsys.readouterr().out)["error"] is None


def test_table_is_aligned_and_never_cut(capsys: Capture) -> None:
    Output().table(
        [{"image": "x" * 200, "psnr": 9.5}, {"image": "y\n", "psnr": None}, {"image": "z", "psnr": 10.0}], "Set"
    )
    title, head, rule, *rows = capsys.readouterr().out.splitlines()
    assert title == "Set"
    assert head == "image" + " " * 195 + "   psnr"
    assert rule == "-" * 207
    assert rows == ["x" * 200 + "   9.50", "y\\n".ljust(200) + "      -", "z".ljust(200) + "  10.00"]


def test_empty_table_prints_nothing(capsys: Capture) -> None:
    Output().table([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\x1b[31mb.png", "a\\x1b[31mb.png"),
        ("a\nb\r\x00\x7f\x9b", "a\\nb\\r\\x00\\x7f\\x9b"),
        ("gnp.\u202ea", "gnp.\\u202ea"),
        ("\udcff", "\\udcff"),
        ("Bücher 图 🙂", "Bücher 图 🙂"),
    ],
)
def test_escape(text: str, safe: str) -> None:
    assert escape(text) == safe


def test_a_file_name_cannot_forge_a_line(capsys: Capture) -> None:
    output = Output()
    output.error(InputError("no such file: a\nerror: b\x1b[2J"))
    output.result({"file": "a\nb\x1b[2J"})
    out, err = capsys.readouterr()
    assert err == "error: no such file: a\n  error: b\\x1b[2J\n"
    assert out == "file: a\\nb\\x1b[2J\n"


def test_jsonable_keeps_what_json_knows() -> None:
    value = {"a": [1, 2.5, "x", True, None], 3: (Path("p"), np.float64("nan"))}
    assert jsonable(value) == {"a": [1, 2.5, "x", True, None], "3": ["p", None]}


@pytest.mark.parametrize(
    ("color", "env", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_on_terminals_only(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, color: bool, env: dict[str, str], expected: bool
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    Output(color=color).warning("odd")
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Output(color=color).warning("odd")
    assert ("\x1b[33m" in capsys.readouterr().err) is expected


def test_progress_in_a_log_is_a_line_now_and_then(capsys: Capture) -> None:
    with Output(interval=0).progress(3, "images") as progress:
        progress.advance()
        progress.advance(2, note="loss 0.1\x1b")
    with Output(interval=0).progress(None, "steps") as progress:
        progress.advance()
    with Output(interval=3600).progress(3, "rare") as progress:
        progress.advance()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["images 1/3, about 1 s left", "images 3/3 loss 0.1\\x1b", "steps 1"]


def test_progress_tells_the_time_left_from_the_parts_of_items(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 30.0, 40.0, 100.0])
    monkeypatch.setattr("idmcli.cli.output.time.monotonic", lambda: next(now))
    with Output(interval=10).progress(2, "images") as progress:
        progress.note("a: hqs 5/20", 0.25)
        progress.note("a: hqs 15/20", 0.75)
        progress.advance(note="a")
        progress.advance(note="b")
    assert capsys.readouterr().err.splitlines() == [
        "images 0/2 a: hqs 5/20, about 1 min 10 s left",
        "images 0/2 a: hqs 15/20, about 50 s left",
        "images 1/2 a, about 40 s left",
        "images 2/2 b",
    ]


def test_time_left_does_not_count_what_was_done_before(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0])
    monkeypatch.setattr("idmcli.cli.output.time.monotonic", lambda: next(now))
    with Output(interval=10).progress(100, "iterations", before=50) as progress:
        progress.advance(10)
    assert capsys.readouterr().err.splitlines() == ["iterations 60/100, about 40 s left"]


def test_the_bar_moves_with_the_parts_of_items(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Output().progress(2, "images") as progress:
        assert isinstance(progress, CountBar)
        progress.note("a: hqs 5/20", 0.25)
        assert progress._bar.tasks[0].completed == 0.25
        progress.advance(note="a")
        assert progress._bar.tasks[0].completed == 1
    capsys.readouterr()


def test_progress_on_a_terminal_is_a_bar_on_stderr(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output = Output()
    with output.progress(2, "[red]images") as progress:
        progress.advance(note="[bold]30 dB")
        output.result({"psnr": 30})
        output.warning("odd")
        progress.advance()
    out, err = capsys.readouterr()
    assert out == "psnr: 30\n"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)
    assert "[red]images" in plain and "2/2" in plain and "warning: odd" in plain


def test_progress_is_silent_in_json_mode(capsys: Capture) -> None:
    with Output(json=True, interval=0).progress(1, "images") as progress:
        progress.advance()
        assert progress.done == 1
    assert capsys.readouterr() == ("", "")


def test_a_muted_output_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        output = Output(json=as_json)
        output.muted = True
        output.status("status")
        output.warning("warning")
        output.hint("hint")
        output.error(InputError("error", "hint"))
        output.result({"a": 1})
        with output.progress(3, "progress") as progress:
            progress.advance()
        output.finish()
    assert capsys.readouterr() == ("", "")
