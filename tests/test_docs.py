"""The documentation shows what works: the commands and the Python of each page run in order, links lead somewhere, and
figures are those that their code draws."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import chdir
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy.sparse
import skimage.data
import tifffile
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard

from docs.figures.__main__ import FIGURES
from docs.generate import PAGES as PAGES_OF_CODE
from idmcli import solvers
from idmcli.cli import main
from idmcli.cli.app import app
from idmcli.config import Config, sections_of
from idmcli.io.geometry import Geometry
from idmcli.io.images import write_image
from idmcli.io.scale import Scale
from idmcli.memory import report, variants
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.released import released_names
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.operators import FanBeamCT, ParallelBeamCT
from idmcli.operators.hadamard import pattern_rows
from tests import foreign, scanners
from tests.tomography_files import write_ct_data, write_dxchange

ROOT = Path(__file__).parent.parent
GENERATED = {ROOT / "docs/reference" / name for name in PAGES_OF_CODE}
TOP = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FILES = [*TOP, *sorted({*(ROOT / "docs").rglob("*.md")} - GENERATED)]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in FILES}

# Commands stay as they are shown, and their work shrinks: a training takes one step of a network of a few thousand
# weights, or of the network that --init names.
SHORT = [
    *("--set", "training.iterations=1", "--set", "training.batch=1", "--set", "training.patch=32"),
    *("--set", "training.precision='float32'", "--set", "model.size='tiny'"),
]
NARROW = ["--set", "model.channels=[4, 16, 64]"]
PRINTED = {
    "README.md": ["torch.Size([256, 256])"],
    "docs/tutorials/first-reconstruction.md": ["(32, 40) True"],
    "docs/howto/python.md": ["(32, 40) True True", "weights.safetensors"],
    "docs/howto/reversible.md": ["Deviations("],
}
SMALL = ["--size", "tiny", "--patch", "16", "--set", "model.channels=[4]", "--set", "model.blocks=[1]"]
SMALLER = {"12": "2", "3": "2", "T=1,3,12": "T=1,2"}


def short(training: list[str]) -> list[str]:
    """What makes a training of these arguments take one step of a small network."""
    prior = any("prior-" in part for part in training[: training.index("--init") if "--init" in training else None])
    return SHORT + ([] if "--init" in training else NARROW) + ([] if prior else ["--set", "model.steps=2"])


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def shown_commands(page: str, program: str = "idm") -> list[str]:
    lines = [re.split(r"\s#", line)[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


def scans() -> None:
    """The sinograms of a square that docs/howto/ct.md names."""
    x = torch.zeros(1, 1, 48, 48)
    x[..., 12:30, 20:38] = 0.02
    angles = np.arange(0, 180, 4.5)
    views = ParallelBeamCT((1, 48, 48), angles, detectors=50, axis=24.5, origin="middle").A(x)[0, 0].numpy()
    fan = FanBeamCT((1, 48, 48), 60, source_axis=410.66, source_detector=553.74, pitch=4, detectors=50, origin="middle")
    counts = 60000 * np.exp(-views)
    full = np.full((1, 1, 50), 60000.0)
    write_dxchange("tooth.h5", counts[:, None], angles, white=full, dark=0 * full)
    turned = {"distanceSourceOrigin": 410.66, "distanceSourceDetector": 553.74, "pixelSizePost": 4.0}
    write_ct_data("scan.mat", fan.A(x)[0, 0].numpy(), angles=np.array(fan.degrees), **turned)
    for name, values in {"views": views, "counts": counts, "fan": fan.A(x)[0, 0].numpy()}.items():
        np.save(name, values)
    np.savetxt("angles.txt", angles)
    tifffile.imwrite("views.tif", views)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the commands name; the released checkpoint has fewer channels."""
    folder = tmp_path_factory.mktemp("files")
    with chdir(folder):
        write_files()
    return folder


@pytest.fixture
def pictures(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with those files."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for the largest batch ends at two crops."""
    for module in (report, variants):
        monkeypatch.setattr(module, "largest", partial(report.largest, limit=2))


def write_files() -> None:
    """Pictures, measurements and weights."""
    large = skimage.data.camera()[128:192, 160:240].astype(np.float32) / 255
    camera = large[::2, ::2]
    for name in (
        "photo.png",
        "Set11/one.png",
        "Set11/two.png",
        "BSDS400/a.png",
        "BSDS400/b.png",
        "slices/s.png",
        "slice.png",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        write_image(name, np.roll(large if name.startswith("BSDS400") else camera, len(name), axis=1))
    write_damaged(camera)
    tifffile.imwrite("stack.tif", np.stack([np.uint8(255 * camera)] * 2), photometric="minisblack")
    scans()
    kspace = scanners.kspace_of(scanners.coil_images(4))
    scanners.write_fastmri(Path("scan.h5"), np.stack([kspace] * 2))
    scanners.write_cfl(Path("kspace.cfl"), kspace.transpose(1, 2, 0)[None])
    scanners.write_cfl(Path("noise.cfl"), scanners.noise((200, 1, 1, 4), 0.01))
    torch.manual_seed(0)
    unet = StableDiffusionConfig(steps=2, channels=(32, 64))
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet, 0.0)))
    released = {theirs: model.get_parameter(ours) for ours, theirs in released_names(model).items()}
    torch.save(foreign.drawn(foreign.FILES["ffdnet_gray.pth"]), "ffdnet_gray.pth")
    write_readings(camera[:32, :32])
    write_medical(camera)
    torch.save(
        {name: value.detach().reshape(value.shape or 1) for name, value in released.items()}, "net_params_50.pkl"
    )


def write_damaged(picture: NDArray[np.float32]) -> None:
    """A picture with lost rows and its mask, and a blurred one with its kernel."""
    known = np.ones_like(picture)
    known[10:12] = known[25:28] = 0
    kernel = np.zeros((5, 5), np.float32)
    kernel[2] = 1
    blurred = np.mean([np.roll(picture, shift, axis=1) for shift in range(-2, 3)], axis=0)
    for name, content in (("damaged", picture * known), ("known", known), ("blurred", blurred), ("kernel", kernel)):
        write_image(Path(f"{name}.png"), content)


def write_readings(scene: NDArray[np.float32]) -> None:
    """What a single-pixel camera reads of a scene of 32 x 32 pixels: all patterns, some, and those of a matrix."""
    patterns = hadamard(1024)
    np.savetxt("readings.csv", np.stack([(s * patterns > 0) @ scene.ravel() for s in (1, -1)], 1).reshape(-1, 1))
    numbers = np.arange(256)
    rows = pattern_rows("sequency-2d", (32, 32))[numbers]
    np.savetxt("shown.csv", numbers, fmt="%d")
    np.savetxt("some.csv", np.stack([(s * patterns[rows] > 0) @ scene.ravel() for s in (1, -1)], 1).reshape(-1, 1))
    phi = scipy.sparse.random(400, 1024, 0.1, "csr", random_state=0)
    scipy.sparse.save_npz("phi.npz", phi)
    np.save("y.npy", phi @ scene.ravel())


def write_medical(picture: NDArray[np.float32]) -> None:
    """A slice in DICOM and a volume in NIfTI."""
    scale, place = Scale(-1024, 3072, "HU"), Geometry((-10, 20, 30), (0, 1, 0), (1, 0, 0), (0, 0, 5))
    write_image("slice.dcm", picture, 32, scale=scale, geometry=place)
    volume = np.repeat(100 * picture.T[::-1, ::-1, None], 3, axis=2)
    nibabel.Nifti1Image(volume, np.diag([1, 1, 5, 1])).to_filename("head.nii.gz")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in PAGES if shown_commands(page)])
@pytest.mark.usefixtures("few_crops")
def test_every_command_of_a_page_runs(page: str, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in shown_commands(page):
        arguments = shlex.split(command)[1:]
        if arguments[0] == "train":
            arguments += short(arguments)
        if "ddnm" in arguments and arguments[0] == "reconstruct":
            arguments += ["--set", "solver.steps=5"]
        if arguments[0] in ("benchmark-memory", "bench-memory"):
            arguments = [SMALLER.get(argument, argument) for argument in arguments]
            arguments += ["--batch", "2"] if "csnet" in command else SMALL
        if arguments[0] == "study" and len(arguments) > 1:  # hours of work: their options are read, and the file shown
            arguments += ["--show"]
        code = main(arguments)
        captured = capsys.readouterr()
        assert code == 0, f"{command}\n{captured.err}"
    if page == "docs/tutorials/first-reconstruction.md":
        assert (pictures / "reconstructions/photo.png").read_bytes() == (pictures / "received/photo.png").read_bytes()
        assert (pictures / "reconstructions/photo_compare.png").is_file()
    if page == "README.md":
        assert (pictures / "scores/scores.csv").is_file() and (pictures / "scores/report.html").is_file()


def anchors(text: str) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for name, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", PAGES[page]):
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.is_file() or path in GENERATED, name
        assert not anchor or anchor in anchors(path.read_text()), (name, anchor)


@pytest.mark.parametrize("name", PAGES_OF_CODE)
def test_pages_of_the_reference_are_whole(name: str) -> None:
    text = PAGES_OF_CODE[name]()
    assert text.startswith("# ") and "None" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()
    widths = [{row.count("|") - row.count("\\|") for row in rows.splitlines()} for rows in tables(text)]
    assert all(len(width) == 1 for width in widths)


def tables(text: str) -> list[str]:
    return re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)


def test_the_reference_has_every_command_key_and_method() -> None:
    commands, keys, methods = (PAGES_OF_CODE[f"{name}.md"]() for name in ("commands", "configuration", "methods"))
    names = [
        info.name or info.callback.__name__ for info in app.registered_commands if info.callback and not info.hidden
    ]
    assert [name for name in names if f"## idm {name}\n" not in commands] == []
    assert [key for key in sections_of(Config())["training"] if f"`training.{key}`" not in keys] == []
    assert [name for name in solvers.names() if f"## {name}\n" not in methods] == []


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_by_their_code(name: str) -> None:
    assert (ROOT / "docs/figures" / name).read_text(encoding="utf-8") == str(FIGURES[name]())


def test_the_front_page_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 200
    assert (ROOT / "docs/figures/front.png").stat().st_size < 150_000


def test_the_commands_in_several_processes_run(pictures: Path) -> None:
    """In one process: tests/cli/test_processes.py starts several by the same words."""
    commands = [shlex.split(command) for page in PAGES for command in shown_commands(page, "torchrun")]
    assert [command[4] for command in commands] == ["train", "eval"]
    for command in commands:
        assert command[:4] == ["torchrun", "--nproc_per_node=2", "-m", "idmcli"]
        assert main([*command[4:], *(short(command) if "train" in command else ["--method", "pinv"])]) == 0
    assert (pictures / "runs/grey-two/weights.safetensors").is_file() and (pictures / "scores-two/scores.csv").is_file()


def test_every_command_is_shown() -> None:
    """By its name or another one of its."""
    commands = {info.name or info.callback.__name__: info.callback for info in app.registered_commands if info.callback}
    groups = {info.name for info in app.registered_groups}
    names = {shlex.split(command)[1] for page in PAGES for command in shown_commands(page)}
    assert groups <= names
    assert set(commands.values()) == {commands[name] for name in names - groups}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_of_a_page_runs(page: str, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile("\n".join(blocks(page, "python")), page, "exec"), {})
    printed = capsys.readouterr().out
    for expected in PRINTED.get(page, []):
        assert expected in printed


def test_the_demo_of_make_reconstructs_the_embedded_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^\t\$\(BIN\)/(idm .*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(line)[1:], "--set", "solver.iterations=4"]) == 0
    (psnr,) = re.findall(r"PSNR ([\d.]+) dB", capsys.readouterr().out)
    assert float(psnr) > 33
    assert (tmp_path / "demo/camera_compare.png").is_file()


def test_the_presets_say_how_they_are_run() -> None:
    for path in (ROOT / "presets").glob("*.toml"):
        purpose, run, *_ = path.read_text().splitlines()
        assert purpose.startswith("# ")
        assert f"--preset {path.stem}" in run
