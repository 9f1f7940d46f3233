"""Configurations: where values come from, what is wrong with them, and how they are written."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from idmcli import tasks
from idmcli.config import (
    Config,
    Preset,
    list_presets,
    load_config,
    preset_folder,
    read_preset,
    render_with_sources,
    sections_of,
    to_toml,
    value_of,
)
from idmcli.config.load import EXAMPLE
from idmcli.config.render import inline
from idmcli.errors import ConfigError
from idmcli.tasks.inpainting import InpaintingOptions

SECTIONS = ("task", "operator", "solver", "model", "training")


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **kwargs)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value.message


def test_defaults_are_valid_and_frozen() -> None:
    loaded = load_config()
    assert loaded.config == Config()
    assert set(loaded.sources.values()) == {"default"}
    with pytest.raises(FrozenInstanceError):
        loaded.config.task.kind = "ct"  # type: ignore[misc]


def test_every_default_passes_its_own_check() -> None:
    settings = [
        f"{section}.{key}={inline(value)}"
        for section, content in sections_of(Config()).items()
        for key, value in content.items()
        if value is not None and value != ()
    ]
    assert load_config(overrides=settings).config == Config()


@pytest.mark.parametrize("kind", tasks.kinds())
def test_keys_without_a_value_default_to_none(kind: str) -> None:
    """Otherwise leaving them out of the written file would not load back."""
    needed = ["operator.matrix_file='a.npy'"] if kind == "matrix" else []
    config = load_config(overrides=[f"task.kind={kind}", *needed]).config
    sections = [config.task, config.operator, config.solver, config.model, config.training]
    optional = [(section, key.name) for section in sections for key in fields(section) if "None" in str(key.type)]
    assert len(optional) >= 4
    assert {key for section, key in optional if getattr(section, key) is not None} <= {"matrix_file"}


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_presets_validate_and_say_what_they_are(preset: Any) -> None:
    config = load_config(preset.name).config
    assert config.task.kind == preset.task
    header = preset.text.splitlines()[:3]
    assert preset.purpose == header[0][2:] and preset.purpose.endswith(".")
    assert header[1].startswith("# Run:   idm ") and f"--preset {preset.name}" in header[1]
    assert header[2].startswith("# Gives: ")


def test_preset_names() -> None:
    assert [preset.name for preset in list_presets()] == [
        "cs",
        "cs-tiny",
        "csnet-plus",
        "ct",
        "ct-tiny",
        "deblur",
        "hadamard",
        "hdr",
        "inpainting",
        "inpainting-tiny",
        "latent-ct-tiny",
        "motion-deblur",
        "mri",
        "mri-tiny",
        "nonlinear-deblur",
        "prior-colour",
        "prior-ct",
        "prior-grey",
        "prior-mixed",
        "prior-mri",
        "rk-ccsnet",
        "sr",
        "sr3-sr",
        "sr3-tiny",
    ]
    assert read_preset("ct").text == (preset_folder() / "ct.toml").read_text(encoding="utf-8")


def test_later_sources_win_and_are_named(tmp_path: Path) -> None:
    lines = "\n".join(f"{key} = 1" for key in ("iterations", "batch", "warmup", "seed"))
    file = write(tmp_path, f"[training]\n{lines}\n")
    loaded = load_config(
        "cs-tiny",
        file,
        ["training.warmup=3", "training.seed=3"],
        {"IDM_TRAINING__BATCH": "2", "IDM_TRAINING__WARMUP": "2", "IDM_TRAINING__SEED": "2", "IDM_HOME": "x"},
        {"--seed": ("training.seed", 4), "--threads": ("training.threads", None)},
    )
    training, sources = loaded.config.training, loaded.sources
    assert (training.iterations, training.batch, training.warmup, training.seed) == (1, 2, 3, 4)
    assert loaded.config.model.kind == "idm"
    assert sources["model.kind"] == "preset cs-tiny"
    assert sources["training.iterations"] == str(file)
    assert sources["training.batch"] == "environment IDM_TRAINING__BATCH"
    assert sources["training.warmup"] == "--set"
    assert sources["training.seed"] == "--seed"
    assert sources["training.threads"] == "default"


def test_all_problems_at_once(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '[operator]\nratoi = 0.3\nblock = "32"\nseed = -1\n[trainig]\nbatch = 1\n[training]\nema = 1.5\nloss = "l3"\n',
    )
    message = problems("cs", file, ["task.kind", "model.v=nan"], {"IDM_MODEL__STEPS": "0"})
    first, *lines = message.split("\n")
    assert first == "9 problems in the configuration:"
    assert sorted(lines) == sorted(
        [
            '--set: "task.kind": expected section.key=value',
            f"{file}: unknown section [trainig]; did you mean training?",
            f"{file}: unknown key operator.ratoi; did you mean operator.ratio?",
            f'{file}: operator.block = "32": expected a valid integer',
            f"{file}: operator.seed = -1: expected greater than or equal to 0",
            f"{file}: training.ema = 1.5: expected less than 1",
            f"{file}: training.loss = \"l3\": expected 'l1', 'l2', 'rmse' or 'psnr'",
            "environment IDM_MODEL__STEPS: model.steps = 0: expected greater than or equal to 1",
            "--set: model.v = nan: expected a finite number",
        ]
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("operator.ratio=0", "greater than 0"),
        ("operator.ratio=1.0000001", "less than or equal to 1"),
        ("operator.ratio=nan", "a finite number"),
        ("operator.ratio=inf", "a finite number"),
        ("operator.ratio=true", "a valid number"),
        ("operator.noise=1979-05-27", "a valid number"),
        ("task.kind=mri operator.acceleration=inf", "a finite number"),
        ("training.batch=1.0", "a valid integer"),
        ("training.batch=true", "a valid integer"),
        ("training.batch=99999999999999999999", "expected"),
        ("training.seed=4294967296", "less than or equal to 4294967295"),
        ("task.channels=2", "1 or 3"),
        ("task.kind=inpainting operator.mask_file=7", "a valid string"),
        ("task.kind=inpainting operator.boxes=[[1, 2, 3]]", "operator.boxes[0][3]"),
        ("task.kind=inpainting operator.boxes=[[0, 0, 0, 1]]", "operator.boxes[0][2]"),
        ("model.channels=48", "a list"),
        ("model.channels={a=1}", "a list"),
        ("model.channels=[48, 'x', 1]", "model.channels[1]"),
    ],
)
def test_wrong_values_are_named(setting: str, expected: str) -> None:
    overrides = re.split(r" (?=operator)", setting)
    message = problems(overrides=overrides)
    assert message.startswith(f"--set: {overrides[-1].partition('=')[0]}") and expected in message


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["operator.ratio_min=0.6"], "operator.ratio_min = 0.6 (--set), operator.ratio_max = 0.5 (default)"),
        (["training.sigma_min=1.5"], "training.sigma_min"),
        (["model.channels=[8, 16]"], "model.channels = [8, 16] (--set), model.blocks = [2, 2, 2] (default)"),
        (["model.channels=[]", "model.blocks=[]"], "model.channels"),
        (
            ["task.kind=mri", "operator.mask=file"],
            'operator.mask = "file" (--set): mask = "file" needs operator.mask_file',
        ),
        (["task.kind=inpainting", "operator.mask=boxes"], "operator.boxes"),
        (["task.kind=mri", "operator.acceleration=2"], 'operator.mask = "pseudo-radial" (default)'),
        (["task.kind=ct", "task.channels=3"], 'task.channels = 3 (--set), task.kind = "ct" (--set): task ct measures'),
        (["training.memory_budget=1GiB"], "model.kind"),
        (["model.kind=idm", "model.start=operator"], 'model.rule = "paper" (default): start is for rule = "splitting"'),
    ],
)
def test_conflicts_name_both_keys_and_sources(overrides: list[str], keys: str) -> None:
    assert keys in problems(overrides=overrides)


def test_integers_may_stand_for_numbers_and_bare_words_for_strings() -> None:
    overrides = ["operator.noise=1", "task.kind = inpainting", "operator.mask=file", "operator.mask_file=a b.png"]
    config = load_config(overrides=overrides).config
    assert isinstance(config.operator.noise, float) and isinstance(config.operator, InpaintingOptions)
    assert (config.task.kind, config.operator.mask_file) == ("inpainting", "a b.png")


def test_a_value_cannot_smuggle_in_another_key() -> None:
    assert "task.channels" in problems(overrides=["task.channels=3\ntask.kind='ct'"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cs-tyny", "cs-tiny"), ("xyz", "prior-grey"), ("./a.toml", "--config ./a.toml"), ("../pyproject", "presets are")],
)
def test_unknown_preset(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="no preset called") as caught:
        load_config(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[task]\nkind = \n", "line 2, column 8"),
        ('[task]\nkind = "cs"\nkind = "ct"\n', "line 3"),
        ("ratio = 0.3\n", "ratio stands outside any section; did you mean operator.ratio?"),
        ("views = 9\n", "views stands outside any section; did you mean operator.views?"),
        ("task = 3\n", "task = 3: expected a section, [task]"),
        ("[training]\nratio = 0.3\n", "unknown key training.ratio; did you mean operator.ratio?"),
        ("[task]\nkind = " + "[" * 40 + "]" * 40, "cannot be read"),
        ("[task]\n" + ".".join("a" * 100_000) + " = 1", "cannot be read"),
        ("[" + ".".join("a" * 100_000) + "]", "cannot be read"),
        ("[task]\nkind = " + "[" * 5000 + "]" * 5000, "cannot be read"),
        ("[training]\nseed = " + "9" * 5000, "cannot be read"),
        ("[operator.ratio]\na = 1\n", "operator.ratio = {a = 1}: expected a valid number"),
        ("#" * 1_000_001, "larger than 1 MB"),
        ('[task]\n"k\\u001bind" = 1', "unknown key task.k"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problems(file=write(tmp_path, text))


def test_no_more_problems_than_anybody_reads(tmp_path: Path) -> None:
    message = problems(file=write(tmp_path, "[task]\n" + "\n".join(f"a{i} = 1" for i in range(50_000))))
    first, *lines = message.split("\n")
    assert first == "50 or more problems in the configuration:"
    assert len(lines) == 50


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    assert "does not exist" in problems(file=file)
    assert "not a file" in problems(file=tmp_path)
    file.write_bytes(b"[task]\n\xff\xfe")
    assert "not UTF-8 text (line 2)" in problems(file=file)
    file.write_bytes('\ufeff[task]\nkind = "ct"\n'.encode())
    assert load_config(file=file).config.task.kind == "ct"


def test_the_task_decides_which_keys_the_operator_has(tmp_path: Path) -> None:
    """Wherever it is named, and the last source counts."""
    file = write(tmp_path, "[operator]\nviews = 9\n[task]\nkind = 'ct'\n")
    assert value_of(load_config(file=file).config, "operator.views") == 9
    assert value_of(load_config("ct", overrides=["operator.views=7"]).config, "operator.views") == 7
    assert (
        value_of(load_config(env={"IDM_TASK__KIND": "mri", "IDM_OPERATOR__COILS": "4"}).config, "operator.coils") == 4
    )
    message = problems(file=file, overrides=["task.kind=cs"])
    assert message == (
        f"{file}: operator.views is for task ct, and the task is cs, "
        "which has seed, noise, ratio, ratio_min, ratio_max, block, permutation"
    )
    assert "operator.mask is for task inpainting or mri, and the task is cs" in problems(
        overrides=["operator.mask=file"]
    )


def test_what_a_preset_says_of_the_operator_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio of the preset's is for its own mask; what the user says is never dropped."""
    preset = Preset("mine", "# x\n[task]\nkind = 'mri'\n[operator]\nmask = 'pseudo-radial'\nratio = 0.4\n")
    monkeypatch.setattr("idmcli.config.load.read_preset", lambda name: preset)
    assert value_of(load_config("mine").config, "operator.ratio") == 0.4
    loaded = load_config("mine", overrides=["operator.mask=equispaced"])
    assert (value_of(loaded.config, "operator.ratio"), loaded.sources["operator.ratio"]) == (None, "default")
    message = problems("mine", overrides=["operator.acceleration=4", "operator.centre_fraction=0.1"])
    assert message.startswith("2 problems") and message.count('acceleration is for mask = "equispaced"') == 1
    message = problems("mine", overrides=["operator.mask=equispaced", "operator.ratio=0.3"])
    assert message == (
        'operator.ratio = 0.3 (--set), operator.mask = "equispaced" (--set): ratio is for mask = "pseudo-radial"'
    )


def test_a_flag_of_another_task_is_named() -> None:
    message = problems("ct", flags={"--ratio": ("operator.ratio", 0.2)})
    assert message.startswith(
        "--ratio: operator.ratio is for task cs, hadamard, inpainting or mri, and the task is ct, which has"
    )


def test_unknown_tasks_are_listed() -> None:
    message = problems(overrides=["task.kind=fan"])
    assert message == '--set: task.kind = "fan": expected ' + " or ".join(repr(kind) for kind in tasks.kinds())


def test_options_of_methods_are_kept_for_the_method(tmp_path: Path) -> None:
    """They are checked where the method is known."""
    file = write(tmp_path, "[solver]\nmethod = 'ddnm'\nsteps = 50\neta = 0.5\n")
    loaded = load_config(file=file, overrides=["solver.eta=0.7", "solver.seed=3"])
    solver = loaded.config.solver
    assert (solver.method, solver.seed, solver.options) == ("ddnm", 3, {"steps": 50, "eta": 0.7})
    assert (loaded.sources["solver.steps"], loaded.sources["solver.eta"]) == (str(file), "--set")
    assert value_of(loaded.config, "solver.eta") == 0.7
    assert load_config(file=write(tmp_path, to_toml(loaded.config))).config == loaded.config
    assert load_config(file=write(tmp_path, render_with_sources(loaded, SECTIONS))).config == loaded.config
    assert "solver.seed = -1: expected greater than or equal to 0" in problems(overrides=["solver.seed=-1"])
    assert "solver.method = 3: expected a valid string" in problems(overrides=["solver.method=3"])


def test_written_configuration_loads_back(tmp_path: Path) -> None:
    overrides = ["task.kind=inpainting", "operator.mask=boxes", "operator.boxes=[[0,1,2,3],[4,5,6,7]]"]
    loaded = load_config(overrides=[*overrides, "solver.note='a\\b\"c'", "training.learning_rate=3e-5"])
    assert load_config(file=write(tmp_path, to_toml(loaded.config))).config == loaded.config
    shown = render_with_sources(loaded, SECTIONS)
    assert load_config(file=write(tmp_path, shown)).config == loaded.config
    assert re.search(r'^kind = "inpainting" +# --set$', shown, re.MULTILINE)
    assert re.search(r"^# ratio is not set +# default$", shown, re.MULTILINE)


@given(
    st.floats(min_value=1e-300, max_value=1),
    st.lists(st.integers(1, 1000), min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_configuration_survives_toml(ratio: float, channels: list[int], name: str) -> None:
    flags = {
        "a": ("operator.ratio", ratio),
        "b": ("model.channels", channels),
        "c": ("model.blocks", channels),
        "d": ("solver.note", name),
    }
    config = load_config(flags=flags).config
    parsed = tomli.loads(to_toml(config))
    again = {
        f"{section}.{key}": (f"{section}.{key}", value) for section in parsed for key, value in parsed[section].items()
    }
    assert load_config(flags=again).config == config


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["operator.ratio=2"], "correct --set"),
        (["operator.rato=0.1"], EXAMPLE),
        (["=1"], EXAMPLE),
        (["operator.ratio=2", "x.y=1"], f"{EXAMPLE}; correct --set"),
        (["training.sigma_min=2"], "--print-config shows where each value comes from"),
    ],
)
def test_the_hint_fits(overrides: list[str], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=overrides)
    assert caught.value.hint == hint
