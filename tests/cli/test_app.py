from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from idmcli import __version__, cli, tasks
from idmcli.cli import app as tree
from idmcli.cli import main
from idmcli.cli.env import advice
from idmcli.cli.options import output_flags, output_of
from idmcli.config import list_presets
from idmcli.devices import choose_device
from idmcli.errors import CheckFailed, IdmError, InputError, NumericalError, ResourceError

Run = Callable[..., subprocess.CompletedProcess[str]]
Capture = pytest.CaptureFixture[str]


def here(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Code, stdout and stderr of a command in this process; without arguments it reads those of the process."""
    capsys.readouterr()
    code = main(arguments or None)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["idm", *arguments])
    code, out, err = here(capsys)
    assert (code, err) == (0, "")
    assert "presets" in out and "env" in out and "Exit codes" in out


def test_version(capsys: Capture, idm: Run) -> None:
    code, out, _ = here(capsys, "--version", "--json")
    assert code == 2 and json.loads(out)["error"]
    assert idm("--version").stdout == f"idm {__version__}\n"


def test_light_commands_do_not_load_heavy_packages() -> None:
    script = (
        "import sys; from idmcli.cli import main; [main(line.split()) for line in sys.argv[1:]]; "
        "print(sorted({'torch', 'diffusers', 'imageio', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    lines = ["--help", "--version", "presets", "presets show x", "env --x"]
    done = subprocess.run([sys.executable, "-c", script, *lines], capture_output=True, text=True, timeout=500)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_every_command_has_help_and_the_output_options(capsys: Capture) -> None:
    commands = tree.command_tree().commands
    names = [[name] for name in commands] + [["presets", name] for name in commands["presets"].commands]
    assert ["presets", "show"] in names
    for name in names:
        assert main([*name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(f"--{flag}" in shown for flag in ("json", "quiet", "no-color", "debug")), name


def test_presets_are_listed(capsys: Capture) -> None:
    code, out, err = here(capsys, "presets")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == sorted(
        path.stem for path in (Path(__file__).parents[2] / "presets").glob("*.toml")
    )
    assert err.startswith("hint: ")
    assert here(capsys, "presets", "--quiet")[2] == ""


def test_presets_as_json(capsys: Capture) -> None:
    code, out, err = here(capsys, "presets", "--json")
    document = json.loads(out)
    assert (code, err, document["command"], document["error"]) == (0, "", "presets", None)
    assert {("ct", "ct"), ("rk-ccsnet", "learned")} <= {(row["name"], row["task"]) for row in document["results"]}


def test_presets_say_what_they_can_do_on_any_machine() -> None:
    for preset in list_presets():
        assert "CUDA" not in preset.purpose and "not yet trained" not in preset.text, preset.name


def test_the_help_of_ratio_has_the_defaults_of_the_tasks(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    shown = " ".join(here(capsys, "sense", "--help")[1].split())
    for kind in ("cs", "inpainting", "mri"):
        task = tasks.find(kind)
        assert re.search(rf"\({kind}, {task.ratio(task.options()):g}[ )]", shown), kind


def printed(capsys: Capture, *command: str) -> dict[str, dict[str, Any]]:
    """The sections that --print-config prints."""
    capsys.readouterr()
    assert main([*command, "--print-config"]) == 0
    return tomllib.loads(capsys.readouterr().out)


def test_print_config_shows_what_a_command_uses(capsys: Capture) -> None:
    assert list(printed(capsys, "sense", "a.png")) == ["task", "operator"]
    assert list(printed(capsys, "train", "--preset", "cs-tiny")) == ["task", "operator", "model", "training"]
    for command in ("reconstruct", "eval"):
        found = printed(capsys, command, "--preset", "deblur")
        assert list(found) == ["task", "operator", "solver"]
        assert found["solver"]["method"] == "hqs" and found["solver"]["iterations"] > 0
    assert printed(capsys, "reconstruct", "--method", "tv")["solver"]["method"] == "tv"


def test_what_is_printed_is_a_configuration(capsys: Capture, tmp_path: Path) -> None:
    assert main(["reconstruct", "--preset", "mri", "--print-config"]) == 0
    (tmp_path / "mine.toml").write_text(capsys.readouterr().out)
    again = printed(capsys, "reconstruct", "--config", str(tmp_path / "mine.toml"))
    assert again == printed(capsys, "reconstruct", "--preset", "mri")


def test_a_shown_preset_can_be_copied(capsys: Capture, idm: Run) -> None:
    done = idm("presets", "show", "mri")
    assert done.stdout == (Path(__file__).parents[2] / "presets/mri.toml").read_text(encoding="utf-8")
    document = json.loads(here(capsys, "presets", "show", "mri", "--json")[1])
    assert (document["command"], document["inputs"]) == ("presets show", {"name": "mri"})
    assert document["results"][0]["toml"] == done.stdout


def test_unknown_preset_suggests_the_closest(idm: Run) -> None:
    done = idm("presets", "show", "cs-tinny")  # as a process: its exit code and streams
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no preset called 'cs-tinny'\nhint: did you mean cs-tiny?\n"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["presnts"], "No such command 'presnts'. Did you mean 'presets'?", "`idm --help`"),
        (["presets", "shw"], "No such command 'shw'. Did you mean 'show'?", "`idm presets --help`"),
        (["presets", "show"], "Missing argument 'name'", "`idm presets show --help`"),
        (["env", "--jsn"], "No such option: --jsn (Possible options: --json)", "`idm env --help`"),
        (["env", "a"], "Got unexpected extra argument(s) (a)", "`idm env --help`"),
        (["--bogus"], "No such option: --bogus", "`idm --help`"),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], error: str, hint: str) -> None:
    code, out, err = here(capsys, *arguments)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first == f"error: {error}" and second.startswith(f"hint: {hint}")


def test_wrong_usage_as_json(capsys: Capture) -> None:
    code, out, err = here(capsys, "presets", "show", "--json")
    document = json.loads(out)
    assert document["command"] == "presets show"
    assert document["error"]["exit_code"] == code == 2
    assert err.startswith("error: ")
    _, out, err = here(capsys, "presets", "show", "--", "--json")
    assert out == "" and "'--json'" in err


def test_env_reports_versions_and_threads(idm: Run) -> None:
    done = idm("env", "--json", OMP_NUM_THREADS="1")
    [values] = json.loads(done.stdout)["results"]
    assert (values["idm"], values["threads"], values["devices"][0]) == (__version__, 1, "cpu")
    assert values["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("arguments", [["presets", "--quiet"], ["presets", "--json"], ["--help"]])
def test_a_reader_that_leaves_ends_it_quietly(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "idmcli", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=500,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["presets"], ["presets", "--json"], ["--help"]])
def test_a_full_disk_is_out_of_resources(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "idmcli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=500)
    assert done.returncode == 4
    assert "error: cannot write: No space left on device" in done.stderr


def test_streams_may_be_closed() -> None:
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m idmcli presets >&- 2>&-"], timeout=500)
    assert done.returncode == 0


def test_latin1_terminal(idm: Run) -> None:
    done = idm("presets", "show", "\u56fe", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: there is no preset called '\\u56fe'")


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch names its own."""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | Callable[[], None]], list[str]]:
    """A command line whose command fails with a given exception."""

    def install(failure: BaseException | Callable[[], None]) -> list[str]:
        app = typer.Typer()

        @app.callback()
        def idm() -> None: ...

        @app.command()
        @output_flags
        def fail(context: typer.Context) -> None:
            output = output_of(context)
            output.inputs(a=1)
            output.result({"b": 2})
            output.warning("c")
            if isinstance(failure, BaseException):
                raise failure
            failure()

        monkeypatch.setattr(tree, "command_tree", lambda: typer.main.get_command(app))
        return ["fail"]

    return install


FAILURES: list[tuple[BaseException, int, str]] = [
    (CheckFailed("too low"), 1, "error: too low\n"),
    (InputError("bad file", "use another"), 2, "error: bad file\nhint: use another\n"),
    (typer.BadParameter("odd"), 2, "error: Invalid value: odd\n"),
    (NumericalError("diverged"), 3, "error: diverged\n"),
    (ResourceError("full"), 4, "error: full\n"),
    (MemoryError(), 4, "error: out of memory\n"),
    (OutOfMemoryError("CUDA out of memory"), 4, "error: out of memory\n"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 TB"), 4, "error: out of memory\n"),
    (OSError(errno.ENOSPC, "", "a/b.png"), 4, "error: cannot write: No space left on device (a/b.png)\n"),
    (IdmError("odd state"), 70, "error: odd state\n"),
    (ValueError("first\nsecond"), 70, "error: internal error: ValueError: first\n"),
    (
        BrokenPipeError(errno.EPIPE, "worker died"),
        70,
        "error: internal error: BrokenPipeError: [Errno 32] worker died\n",
    ),
    (KeyboardInterrupt(), 130, "error: interrupted\n"),
    (EOFError(), 130, "\nerror: interrupted\n"),
    (SystemExit(143), 143, "error: stopped by SIGTERM\n"),
    (SystemExit(129), 129, "error: stopped by SIGHUP\n"),
]


@pytest.mark.parametrize(("failure", "code", "message"), FAILURES, ids=lambda value: type(value).__name__)
def test_exit_codes(
    broken: Callable[..., list[str]], capsys: Capture, failure: BaseException, code: int, message: str
) -> None:
    assert cli.main(broken(failure)) == code
    out, err = capsys.readouterr()
    assert out == "b: 2\n"
    assert err.startswith(f"warning: c\n{message}")
    assert "Traceback" not in err


@pytest.mark.parametrize(("failure", "code", "message"), FAILURES, ids=lambda value: type(value).__name__)
def test_failures_as_json(
    broken: Callable[..., list[str]], capsys: Capture, failure: BaseException, code: int, message: str
) -> None:
    assert cli.main([*broken(failure), "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert (document["command"], document["inputs"], document["results"]) == ("fail", {"a": 1}, [{"b": 2}])
    assert document["warnings"] == ["c"]
    assert document["error"]["exit_code"] == code
    assert message.strip().startswith(f"error: {document['error']['message']}".partition("\n")[0])


def test_debug_prints_the_traceback(broken: Callable[..., list[str]], capsys: Capture) -> None:
    assert cli.main([*broken(ValueError("x")), "--debug"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err and err.index("Traceback") < err.index("error: internal error: ValueError: x")


STOPS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_signals_unwind_the_stack(broken: Callable[..., list[str]], capsys: Capture, number: int, code: int) -> None:
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(30)
        finally:
            cleaned.append(True)

    before = signal.getsignal(number)
    assert cli.main(broken(work)) == code
    assert cleaned == [True]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_that_is_ignored_stays_ignored(broken: Callable[..., list[str]], number: int, code: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as nohup and cron have it
    try:
        assert cli.main(broken(lambda: os.kill(os.getpid(), number))) == 0
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_devices() -> None:
    import torch

    threads = torch.get_num_threads()
    assert choose_device("cpu", 1) == torch.device("cpu")
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="is not there; found: cpu"):
        choose_device("cuda:4096")
    for name in ("gpu", "cuda:x", "cuda:-1", "meta", "CPU", "cuda:99999", ""):
        with pytest.raises(InputError, match="is not a device"):
            choose_device(name)


@pytest.mark.parametrize("command", ["sense", "reconstruct", "eval"])
def test_inputs_are_what_was_given(capsys: Capture, command: str) -> None:
    assert cli.main([command, "nowhere", "--ratio=0.5", "--set=operator.block=8", "--seed=3", "--json"]) == 2
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert inputs["settings"] == ["operator.block=8"] and inputs["seed"] == 3 and inputs["noise"] is None
    assert not {"json", "debug", "context"} & inputs.keys()


@pytest.mark.parametrize(
    ("cuda", "devices", "gpu", "words"),
    [
        (None, 0, False, ""),
        (None, 0, True, "for the GPU: pip install"),
        ("12.6", 1, True, ""),
        ("12.6", 0, False, "--index-url https://download.pytorch.org/whl/cpu"),
        ("12.6", 0, True, "nvidia-smi"),
    ],
)
def test_a_pytorch_for_another_machine(cuda: str | None, devices: int, gpu: bool, words: str) -> None:
    """The issue: a plain wheel pulls CUDA torch without advice."""
    found = advice(cuda, devices, gpu=gpu)
    assert words in found and bool(found) == bool(words)
