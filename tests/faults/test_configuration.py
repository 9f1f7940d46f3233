"""Options and configurations that cannot be meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from idmcli.solvers import names
from tests.faults.hostile import Capture, draw, failed, python, run

NUMBERS = [
    "--noise=1e300",
    "--noise=-1",
    "--noise=nan",
    "--seed=-1",
    "--seed=1099511627776",
    "--max-pixels=0",
    "--set=operator.block=1000000",
    "--set=operator.block=0",
    "--set=operator.views=7",
    "--set=operator.seed=99999999999999999999",
    "--set=model.steps=100000000",
    "--set=model.blocks=[1000000000]",
    "--set=model.patch=100000",
    "--workers=0",
    "--workers=1000000",
    "--scale=1,1",
    "--scale=nan,1",
    "--preset=ct --set=operator.views=10000000000",
    "--preset=ct --set=operator.detectors=10000000000",
    "--preset=mri --set=operator.coils=1000000",
]


@pytest.mark.parametrize("options", NUMBERS)
@pytest.mark.parametrize("command", ["sense", "reconstruct"])
def test_absurd_numbers(capsys: Capture, command: str, options: str) -> None:
    """--seed, --workers; the issue: --noise 1e300, absurd views, coils, blocks and seeds."""
    draw("a.png")
    failed(capsys, command, "a.png", *options.split())


@pytest.mark.parametrize("options", ["--threads=0", "--threads=1000000", "--samples=0", "--tile=1", "--device=tpu"])
def test_absurd_computations(capsys: Capture, options: str) -> None:
    draw("a.png")
    failed(capsys, "reconstruct", "a.png", options)


@pytest.mark.parametrize("options", ["--T=100000000", "--batch=0", "--sweep=T=1..9999", "--fit=1e99", "--patch=1"])
def test_absurd_memory(capsys: Capture, options: str) -> None:
    """The issue: hangs on 10^6-10^9 steps."""
    failed(capsys, "benchmark-memory", options)


CONFIGS: list[tuple[bytes, str]] = [
    (b"[operator]\nratio 0.1\n", "line 2"),
    (b"[operator]\nratio = 0.1\nratio = 0.2\n", "line 3"),
    (b"[operator]\nrato = 0.1\nnois = 1\n", "2 problems"),
    (b"[operator]\nratio = 'x'\n", "operator.ratio"),
    (b"[operator]\nratio = 0.1 # \xff\n", "not UTF-8 text (line 2)"),
    (b"# " + b"x" * 10_000_000, "larger than 1 MB"),
    (b"a = " + b"[" * 5000 + b"]" * 5000, "cannot be read"),
    (b".".join([b"a"] * 5000) + b" = 1", ""),
    (b"[operator]\nratio = " + b"9" * 5000, ""),
]


@pytest.mark.parametrize(("content", "reason"), CONFIGS, ids=lambda value: str(value)[:20])
def test_configurations(capsys: Capture, content: bytes, reason: str) -> None:
    """Deep TOML keys."""
    draw("a.png")
    Path("a.toml").write_bytes(content)
    assert reason in failed(capsys, "sense", "a.png", "--config", "a.toml")
    Path("a.toml").write_bytes(b"\xef\xbb\xbf[operator]\nratio = 0.1\n")
    run(capsys, "sense", "a.png", "--config", "a.toml")


def test_keys_of_another_task(capsys: Capture) -> None:
    """The issue: keys of other tasks ignored."""
    draw("a.png")
    error = failed(capsys, "sense", "a.png", "--preset=ct", "--set=operator.ratio=0.1")
    assert "operator.ratio is for task cs, hadamard, inpainting or mri, and the task is ct" in error
    mask = ["--preset=inpainting", "--set=operator.mask_file=m.png"]
    assert 'mask_file is for mask = "file"' in failed(capsys, "sense", "a.png", *mask)


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["recnstruct"], "reconstruct"),
        (["presets", "show", "inpaintin"], "did you mean inpainting?"),
        (["sense", "a.png", "--preset=inpaintin"], "did you mean inpainting?"),
        (["sense", "a.png", "--ratoi=1"], "--ratio"),
        (["sense", "a.png", "--set=operator.bloc=8"], "did you mean operator.block?"),
        (["reconstruct", "a.png", "--method=vmp"], "did you mean vamp?"),
        (["eval", ".", "--method=tv,vmp"], "did you mean vamp?"),
        (["methods", "vmp"], "did you mean vamp?"),
        (["reconstruct", "a.png", "--method=tv", "--set=solver.iteratons=3"], "iterations"),
    ],
)
def test_the_closest_name_is_suggested(capsys: Capture, arguments: list[str], suggestion: str) -> None:
    """The issue: unclear messages."""
    draw("a.png")
    assert suggestion in failed(capsys, *arguments)


@pytest.mark.parametrize("command", ["sense", "reconstruct", "eval"])
def test_options_that_no_method_has(capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The issue: what is refused is refused before any work."""
    draw("in/a.png")
    monkeypatch.setattr("idmcli.io.images.read_image", lambda *_, **__: pytest.fail("work was done"))
    error = failed(capsys, command, "in", "--set=solver.iteratons=3")
    assert "no method has an option solver.iteratons" in error and "did you mean solver.iterations?" in error


def test_options_of_one_of_several_methods(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issue: as before."""
    draw("in/a.png")
    monkeypatch.setattr("idmcli.io.images.read_image", lambda *_, **__: pytest.fail("work was done"))
    assert "method pinv has no option" in failed(capsys, "eval", "in", "--method=tv,pinv", "--set=solver.iterations=3")


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("idm methods", "t", [name for name in names() if name.startswith("t")]),
        ("idm reconstruct --method", "", names()),
        ("idm eval --method", "pinv,t", ["pinv,tikhonov", "pinv,tv"]),
        ("idm sense --preset", "mr", ["mri", "mri-tiny"]),
    ],
)
def test_names_are_completed_without_pytorch(line: str, word: str, expected: list[str]) -> None:
    """The issue: completion of methods."""
    script = (
        "import sys; from idmcli.cli import main; code = main([]); "
        "print(code, sorted({'torch', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    words = f"{line} {word}"
    environment = {"_IDM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(line.split()))}
    import os

    done = python(script, env=os.environ | environment)
    assert sorted(done.stdout.split()) == sorted(expected), done.stderr
    assert done.stderr.split("\n")[0] == "0 []"


def test_short_options(capsys: Capture) -> None:
    """The issue: -o and -q."""
    draw("a.png", (32, 32))
    for command in ("sense", "reconstruct"):
        err = run(capsys, command, "a.png", "-qo", f"{command}-out", *(["--method=pinv"] if command[0] == "r" else []))[
            1
        ]
        assert err == "" and len(list(Path(f"{command}-out").iterdir())) == 1
    assert run(capsys, "presets", "-q")[1] == ""


def test_a_name_that_begins_with_a_dash(capsys: Capture) -> None:
    draw("-q.png")
    failed(capsys, "sense", "-q.png")
    run(capsys, "sense", "--", "-q.png")
    assert Path("measurements/-q.safetensors").is_file()


def test_a_device_that_is_not_there(capsys: Capture) -> None:
    """No silent fall-back."""
    draw("a.png")
    for command in (["reconstruct", "a.png"], ["eval", "."]):
        assert "found: cpu" in failed(capsys, *command, "--device=cuda:77")


def test_from_another_folder_as_a_wheel(tmp_path: Path) -> None:
    """The suite runs in a checkout; users do not: sense, reconstruct, eval, presets and methods from a wheel."""
    import os
    import zipfile

    root = Path(__file__).parents[2]
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=root, check=True, capture_output=True, timeout=500)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    draw("work/a.png")
    script = (
        "import sys, idmcli; from idmcli.cli import main; assert 'site' in idmcli.__file__; "
        "codes = [main(line.split()) for line in sys.argv[1:]]; assert codes == [0] * len(codes), codes"
    )
    lines = [
        "presets",
        "methods",
        "sense a.png",
        "reconstruct measurements --out there",
        "reconstruct --example --method pinv --compare",
        "eval . --ratio 0.3 --method idm,pinv --out scores",
        "sense a.png --preset mri --dry-run --out elsewhere",
    ]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *lines],
        cwd="work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert Path("work/there/a.png").is_file() and Path("work/scores/scores.json").is_file()
