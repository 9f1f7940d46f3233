"""Files that are written: never half, never over an input, never lost."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import idmcli.measuring
import idmcli.methods
from idmcli.errors import InputError
from idmcli.evaluation.benchmark import Benchmark
from idmcli.io import atomic
from idmcli.io.atomic import atomic_path, ensure_writable
from tests.faults.hostile import FAST, Capture, draw, failed, files, results, run


def test_panels_and_pictures_are_checked_for_collisions_together(capsys: Capture) -> None:
    """`a.png a_compare.png --compare` overwrote one."""
    draw("a.png"), draw("a_compare.png"), draw("a_mean.png")
    error = failed(capsys, "reconstruct", "a.png", "a_compare.png", "--compare", *FAST)
    assert "'a.png' and 'a_compare.png' would both be written to 'reconstructions/a_compare.png'" in error
    error = failed(capsys, "reconstruct", "a.png", "a_mean.png", "--samples=2", "--method=ddnm")
    assert "would both be written to 'reconstructions/a_mean.png'" in error
    assert not Path("reconstructions").exists()


def test_an_input_is_never_an_output(capsys: Capture) -> None:
    """Not through a link or `..` either."""
    whole = draw("in/a.png").read_bytes()
    Path("link").symlink_to("in")
    for out in ("in", "link", "in/../in", "./in"):
        assert "is an input" in failed(capsys, "reconstruct", "in/a.png", *FAST, "-o", out, "--overwrite")
    draw("panel.png")
    Path("out").mkdir(), Path("out/a_compare.png").symlink_to("../panel.png")
    both = ["in/a.png", "panel.png"]
    assert "is an input" in failed(capsys, "reconstruct", *both, *FAST, "-o", "out", "--compare", "--overwrite")
    assert Path("in/a.png").read_bytes() == whole


def test_outputs_that_exist(capsys: Capture) -> None:
    draw("a.png")
    Path("out/a.png").mkdir(parents=True)
    assert "exists already" in failed(capsys, "reconstruct", "a.png", *FAST, "-o", "out")
    assert "is not a file that can be replaced" in failed(
        capsys, "reconstruct", "a.png", *FAST, "-o", "out", "--overwrite"
    )


def test_a_link_is_replaced_and_not_followed(capsys: Capture) -> None:
    draw("a.png")
    Path("precious").write_text("mine")
    Path("out").mkdir()
    Path("out/a.png").symlink_to("../precious")
    run(capsys, "reconstruct", "a.png", *FAST, "-o", "out", "--overwrite")
    assert Path("precious").read_text() == "mine" and not Path("out/a.png").is_symlink()


def test_long_names(capsys: Capture) -> None:
    """The issue: long names ended with 70."""
    name = "x" * 240 + ".png"
    draw(name), draw("a.png"), draw("x" * 244 + ".png")
    run(capsys, "reconstruct", name, *FAST)
    error = failed(capsys, "reconstruct", "x" * 244 + ".png", *FAST, "--compare")
    assert "the name of its output" in error and "is too long" in error
    assert "too long" in run(capsys, "sense", "y" * 252 + ".png", "a.png", code=2)[1].lower()
    assert "too long" in failed(capsys, "sense", "a.png", "-o", "z" * 300)
    draw("w" * 245 + ".png")
    assert "too long" in failed(capsys, "sense", "w" * 245 + ".png")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_disk(capsys: Capture, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    draw("a.png")
    run(capsys, "sense", "a.png", "-o", "out")
    before = Path("out/a.safetensors").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        error = failed(capsys, "sense", "a.png", "-o", "out", "--overwrite", "--ratio=0.1", code=4)
    assert os.strerror(code) in error and "MiB are free" in error
    assert files("out") == ["a.safetensors"] and Path("out/a.safetensors").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(capsys: Capture) -> None:
    """Before any work."""
    draw("a.png")
    Path("out").mkdir(0o500)
    for more in ([], ["--dry-run"]):
        assert "cannot write to the folder 'out'" in failed(capsys, "sense", "a.png", "-o", "out", *more, code=4)


def test_what_a_killed_save_left_is_removed_later() -> None:
    """Kill -9 in a save left temporary files for ever."""
    script = (
        "import os, signal, sys; from pathlib import Path; from idmcli.io.atomic import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as path:\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, "out.bin"], timeout=500)
    [leftover] = Path().glob(".idm-*.tmp")
    assert done.returncode == -signal.SIGKILL and not Path("out.bin").exists()
    ensure_writable(Path())
    assert leftover.exists(), "it could be that of a running process"
    long_ago = time.time() - 2 * atomic.LEFTOVER_SECONDS
    with atomic_path(Path("other.bin")) as mine:
        os.utime(mine, (long_ago, long_ago)), os.utime(leftover, (long_ago, long_ago))
        Path("mine.tmp").touch(), os.utime("mine.tmp", (long_ago, long_ago))
        ensure_writable(Path())
        assert files(".") == sorted([mine.name, "mine.tmp"]), "only those that no process uses"
    assert files(".") == ["mine.tmp", "other.bin"]


def test_a_clock_that_went_backwards() -> None:
    """A file from the future is not taken for an old one."""
    Path(".idm-0.tmp").touch(), os.utime(".idm-0.tmp", (2**33, 2**33))
    ensure_writable(Path())
    assert files(".") == [".idm-0.tmp"]


def test_what_is_there_is_skipped(capsys: Capture) -> None:
    """The issue: --skip-existing."""
    draw("in/a.png"), draw("in/b.png", seed=1)
    for command in (["sense"], ["reconstruct", *FAST, "--compare"]):
        run(capsys, *command, "in/a.png", "-o", command[0])
        before = {name: Path(command[0], name).stat().st_mtime_ns for name in files(command[0])}
        out, err = run(capsys, *command, "in", "-o", command[0], "--skip-existing")
        assert out.count("\n") == 1 and "1 of 2 inputs are left out" in err
        assert {name: Path(command[0], name).stat().st_mtime_ns for name in before} == before
        assert run(capsys, *command, "in", "-o", command[0], "--skip-existing")[0] == ""
        assert "leave out one" in failed(capsys, *command, "in", "--skip-existing", "--overwrite")
    Path("reconstruct/a_compare.png").unlink()
    run(capsys, "reconstruct", *FAST, "--compare", "in", "-o", "reconstruct", "--skip-existing")
    assert Path("reconstruct/a_compare.png").exists()


def test_a_dry_run_checks_and_writes_nothing(capsys: Capture) -> None:
    """The issue: --dry-run."""
    draw("in/a.png"), draw("in/b.png", seed=1)
    before = files(".")
    for command in (["sense"], ["reconstruct", "--method=pinv", "--compare"]):
        document = results(capsys, *command, "in", "-o", "out/there", "--dry-run")
        assert [record["outputs"][0].startswith("out/there/") for record in document["results"]] == [True, True]
        Path("in/c.png").write_bytes(b"no")
        assert "1 of 3 files failed" in results(capsys, *command, "in", "--dry-run", code=2)["error"]["message"]
        Path("in/c.png").unlink()
        assert "not a folder" in failed(capsys, *command, "in", "-o", "in/a.png/x", "--dry-run")
    assert "needs" in failed(capsys, "reconstruct", "in/a.png", "--preset=ct", "--method=vamp", "--dry-run")
    assert "made for other" in failed(capsys, "reconstruct", "in/a.png", *other_task(), "--dry-run")
    assert files(".") == before


def other_task() -> list[str]:
    from idmcli.models import shipped_weights

    return ["--preset=mri", "--weights", str(shipped_weights("cs-tiny"))]


def test_subfolders(capsys: Capture) -> None:
    """The issue: --recursive; results lie as the inputs do, so that equal names do not collide."""
    draw("in/a.png"), draw("in/x/a.png", seed=1), draw("in/x/y/a.png", seed=2), draw("in/.hidden/a.png")
    Path("in/x/loop").symlink_to("..")
    run(capsys, "sense", "in", "-o", "flat")
    assert files("flat") == ["a.safetensors"]
    run(capsys, "sense", "in", "-o", "deep", "--recursive")
    assert files("deep") == ["a.safetensors", "x/a.safetensors", "x/y/a.safetensors"]
    run(capsys, "reconstruct", "deep", *FAST[:2], "-o", "back", "--recursive")
    assert files("back") == ["a.png", "x/a.png", "x/y/a.png"]


@pytest.fixture
def data() -> Path:
    for n in range(4):
        draw(f"data/{n}.png", (8, 8), n)
    return Path("data")


EVAL = ["eval", "data", "--ratio=0.3,0.5", *FAST, "-o", "scores"]


def rows(name: str = "scores.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(Path("scores", name).read_text().splitlines()))


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch, data: Path) -> Any:
    """Let something happen in the middle of the third picture, after one of its two scores."""

    def install(what: Any) -> None:
        plain = Benchmark.run

        def wrapped(self: Benchmark, image: Any, *more: Any) -> Iterator[Any]:
            for n, found in enumerate(plain(self, image, *more)):
                if image.path.name == "2.png" and n == 1:
                    what()
                yield found

        monkeypatch.setattr(Benchmark, "run", wrapped)

    return install


def test_scores_are_on_the_disk_as_they_are_computed(capsys: Capture, third: Any) -> None:
    """The issue: eval wrote nothing until the end."""
    seen: list[list[dict[str, str]]] = []
    third(lambda: seen.append(rows()))
    run(capsys, *EVAL)
    assert [(row["image"], row["ratio"]) for row in seen[0]] == [
        ("0.png", "0.3"),
        ("0.png", "0.5"),
        ("1.png", "0.3"),
        ("1.png", "0.5"),
        ("2.png", "0.3"),
    ]
    assert len(rows()) == 8 and len(rows("means.csv")) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_loses_no_scores(capsys: Capture, third: Any, number: int, code: int) -> None:
    """Ctrl-C lost all scores."""
    third(lambda: os.kill(os.getpid(), number))
    out, err = run(capsys, *EVAL, code=code)
    last = "error: interrupted\n" if code == 130 else f"error: stopped by {signal.Signals(number).name}\n"
    assert "| data" in out and err.endswith(last)
    assert (
        len(rows()) == 5
        and len(rows("means.csv")) == 2
        and len(json.loads(Path("scores/scores.json").read_text())["results"]) == 5
    )


def test_scores_of_an_earlier_call_never_stand_beside_new_ones(capsys: Capture, third: Any) -> None:
    """The issue: with --overwrite and kill -9, scores.json of before lay beside the new scores.csv."""
    run(capsys, *EVAL, "--method=tikhonov")
    assert files("scores") == ["means.csv", "scores.csv", "scores.json"]
    seen: list[list[str]] = []
    third(lambda: seen.append(files("scores")))
    assert "exists already" in failed(capsys, *EVAL) and files("scores") == ["means.csv", "scores.csv", "scores.json"]
    run(capsys, *EVAL, "--overwrite")
    assert seen == [["scores.csv"]] and files("scores") == ["means.csv", "scores.csv", "scores.json"]
    assert {row["method"] for row in rows()} == {"pinv"}


def test_running_out_of_memory_loses_no_scores(capsys: Capture, third: Any) -> None:
    """The rest of a batch is done."""

    def fail() -> None:
        raise MemoryError

    third(fail)
    out, err = run(capsys, *EVAL, code=4)
    assert "error: 'data/2.png': out of memory" in err and "error: 1 of 4 files failed" in err
    assert len(rows()) == 7


def test_a_disk_that_fills_up_loses_no_scores(capsys: Capture, third: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full lost all scores."""

    def full() -> None:
        monkeypatch.setattr(os, "fsync", no_space)

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    third(full)
    out, err = run(capsys, *EVAL, code=4)
    assert "| data" in out and "No space left on device" in err
    assert len(rows()) == 8 and all(row["seconds"] for row in rows())


def test_a_row_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    script = (
        "import resource, signal; from pathlib import Path; from idmcli.io.atomic import append_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "for n in range(9): append_text(Path('a.csv'), 29 * str(n) + chr(10))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=500)
    assert "ResourceError: cannot write" in done.stderr
    assert Path("a.csv").read_text() == "".join(29 * str(n) + "\n" for n in range(3))


def test_scores_of_the_first_pictures(capsys: Capture, data: Path) -> None:
    """The issue: eval --limit and positional data; what is published is not shown beside a part of the data."""
    data.rename("Set11")
    arguments = ["eval", "Set11", "--ratio=0.3", *FAST]
    document = results(capsys, *arguments, "--limit=2")
    assert [(r["image"], r["dataset"]) for r in document["results"]] == [
        ("0.png", "Set11 (first 2)"),
        ("1.png", "Set11 (first 2)"),
    ]
    assert document["summary"]["published"] == []
    assert results(capsys, *arguments, "--limit=99")["summary"]["published"] != []
    same = results(capsys, "eval", "--data=Set11", "--ratio=0.3", *FAST)
    assert [r["psnr"] for r in same["results"]] == [r["psnr"] for r in results(capsys, *arguments)["results"]]
    assert "both name the pictures" in failed(capsys, *arguments, "--data=Set11")
    failed(capsys, *arguments, "--limit=0")
    assert "no pictures to evaluate" in failed(capsys, "eval")


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, path: str) -> None:
    """Let another command write ``path`` when this one is about to call a function."""
    plain = getattr(module, name)

    def late(*inputs: Any, **options: Any) -> Any:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("theirs")
        return plain(*inputs, **options)

    monkeypatch.setattr(module, name, late)


@pytest.mark.parametrize("out", ["out", "link"])
def test_what_another_command_has_written_meanwhile_is_kept(
    out: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both exited with 0, and one result was gone."""
    draw("a.png"), Path("out").mkdir(), Path("link").symlink_to("out")
    meanwhile(monkeypatch, idmcli.methods, "solve", "out/a.png")
    assert "a.png' exists already" in failed(capsys, "reconstruct", "a.png", *FAST, "-o", out)
    assert Path("out/a.png").read_text() == "theirs"
    meanwhile(monkeypatch, idmcli.measuring, "simulate", "out/a.safetensors")
    assert "exists already" in failed(capsys, "sense", "a.png", "-o", out)
    assert Path("out/a.safetensors").read_text() == "theirs"
    run(capsys, "sense", "a.png", "-o", out, "--overwrite")
    assert files("out") == ["a.png", "a.safetensors"] and Path("out/a.safetensors").stat().st_size > 100


@pytest.mark.parametrize("out", ["scores", "link"])
def test_scores_that_another_command_began_meanwhile_are_kept(
    out: str, capsys: Capture, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("scores").mkdir(), Path("link").symlink_to("scores")
    meanwhile(monkeypatch, Benchmark, "run", "scores/scores.csv")
    _, err = run(capsys, *[out if argument == "scores" else argument for argument in EVAL], code=2)
    assert "scores.csv' exists already" in err
    assert files("scores") == ["scores.csv"] and Path("scores/scores.csv").read_text() == "theirs"


def test_a_link_to_a_folder_is_that_folder(capsys: Capture, data: Path) -> None:
    Path("link").symlink_to("scores")
    run(capsys, *EVAL)
    assert "exists already" in failed(capsys, *[{"scores": "link"}.get(argument, argument) for argument in EVAL])


def test_a_link_to_nothing_is_an_output_that_exists(capsys: Capture) -> None:
    draw("a.png"), Path("out").mkdir(), Path("out/a.png").symlink_to("nowhere")
    assert "exists already" in failed(capsys, "reconstruct", "a.png", *FAST, "-o", "out")
    run(capsys, "reconstruct", "a.png", *FAST, "-o", "out", "--overwrite")
    assert not Path("out/a.png").is_symlink() and not Path("nowhere").exists()


@pytest.mark.parametrize("links", [True, False])
def test_of_several_that_write_one_file_one_succeeds(links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a file system has no links."""

    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    written: list[int] = []

    def work(number: int) -> None:
        with suppress(InputError):
            atomic.write_text(Path("out.txt"), str(number), replace=False)
            written.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1 and Path("out.txt").read_text() == str(written[0])
    assert files(".") == ["out.txt"]
