"""Damaged files against every reader of idm.

    python -m tests.fuzz_readers --seconds 600

Valid files are mutated: bits flipped, numbers overwritten, pieces cut out, repeated or spliced in from another file;
checksums are mended in half of them, so that what lies behind is reached. Records, configurations and state dicts are
also written anew with odd values in them. Each file must be read or be refused with an IdmError, within 10 seconds of
processor time and 512 MiB, without a warning. Inputs that break this are kept in the folder given by ``--out``, and the
exit status is 1.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import logging
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import h5py
import nibabel
import numpy as np
import pydicom
import scipy.io
import scipy.sparse
import tifffile
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel, UNet2DModel
from PIL import Image as Pillow
from safetensors.torch import load, save

from idmcli import learned
from idmcli.config import TrainingConfig, list_presets, load_config
from idmcli.errors import IdmError, InputError
from idmcli.importing import import_item
from idmcli.io import png
from idmcli.io.formats import CFL, format_of
from idmcli.io.geometry import Geometry
from idmcli.io.images import read_image, read_provenance, write_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale
from idmcli.measuring import Provenance
from idmcli.measuring.file import Stored, read_stored, write_stored
from idmcli.methods import Methods
from idmcli.models.checkpoints import load_weights, save_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.pretrained import CONFIG
from idmcli.models.released import released_names
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.start import initialise
from idmcli.models.unet import UNetConfig
from idmcli.operators import (
    HDR,
    MRI,
    Blur,
    CompressedSensing,
    Inpainting,
    NonlinearBlur,
    ParallelBeamCT,
    SuperResolution,
)
from idmcli.operators.kernels import motion_kernel
from idmcli.priors import load_prior
from idmcli.priors.published.diffusers_folders import SCHEDULER
from idmcli.runs.resume import check_data
from idmcli.tasks.kernels import read_kernel
from idmcli.tasks.masks import read_mask
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step
from tests.foreign import FILES, drawn
from tests.scanners import coil_images, kspace_of, write_cfl

MAX_PIXELS = 1_000_000
MEMORY = 2**29
DEADLINE = 10


@dataclass(frozen=True)
class Reader:
    """What a file is given to, and valid files for it.

    Attributes:
        read: reads the file or refuses it.
        seeds: valid files.
        name: of the file.
        mend: gives a damaged file the checksums that it asks for.
        forge: makes a whole file of a valid one, with odd contents.
    """

    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    name: str = "input"
    mend: Callable[[bytes], bytes] | None = None
    forge: Callable[[bytes, Random], bytes] | None = None


class BrokenError(AssertionError):
    """A reader did something else than to read or to refuse."""


def outcome(reader: Reader, content: bytes, folder: Path) -> str:
    """ "read" or "refused"; BrokenError for anything else."""
    path = folder / reader.name
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(record=True) as leaked, logged() as remarks, limits():
            warnings.simplefilter("always")
            reader.read(path)
        result = "read"
    except IdmError as error:
        if not error.message.replace("\n", "").isprintable():
            raise BrokenError(f"a message that could act on a terminal: {error.message!r}") from error
        result = "refused"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise BrokenError(f"{type(error).__name__}: {error}") from error
    for text in [str(warning.message) for warning in leaked] + remarks:
        raise BrokenError(f"a warning: {text}")
    return result


@contextmanager
def logged() -> Iterator[list[str]]:
    """What a library logs without anybody to listen, which would be printed."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            remarks.append(record.getMessage())

    remarks: list[str] = []
    before, logging.lastResort = logging.lastResort, Collector(logging.WARNING)
    try:
        yield remarks
    finally:
        logging.lastResort = before


@contextmanager
def limits() -> Iterator[None]:
    """Refuse more than 512 MiB of further memory, and interrupt after 10 seconds of processor time."""

    def interrupt(*_: object) -> None:
        raise TimeoutError(f"longer than {DEADLINE} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGPROF, interrupt)
    timer = signal.setitimer(signal.ITIMER_PROF, DEADLINE, 1)  # again, should somebody swallow the first
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGPROF, handler)
        signal.setitimer(signal.ITIMER_PROF, *timer)


# Mutations --------------------------------------------------------------------------------------------------------

NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def mutant(reader: Reader, rng: Random) -> bytes:
    """A damaged file; of those that can be forged, half are."""
    if reader.forge is not None and rng.random() < 0.5:
        return reader.forge(rng.choice(reader.seeds), rng)
    return damaged(reader, rng)


def damaged(reader: Reader, rng: Random) -> bytes:
    """A valid file with one to four edits, its checksums perhaps mended."""
    content = bytearray(rng.choice(reader.seeds))
    for _ in range(rng.randint(1, 4)):
        edit(content, reader.seeds, rng)
    if reader.mend is not None and rng.random() < 0.5:
        return reader.mend(bytes(content))
    return bytes(content)


def edit(content: bytearray, seeds: tuple[bytes, ...], rng: Random) -> None:
    """One edit in place; half of them in the first 200 bytes, where the structure is."""
    if not content:
        return
    start = rng.randrange(min(len(content), rng.choice([200, len(content)])))
    end = min(start + rng.randint(1, rng.choice([8, 2000])), len(content))
    match rng.choice(["flip", "byte", "number", "truncate", "cut", "repeat", "splice"]):
        case "flip":
            content[start] ^= 1 << rng.randrange(8)
        case "byte":
            content[start] = rng.randrange(256)
        case "number":
            kind = rng.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
            size = struct.calcsize(kind)
            content[start : start + size] = struct.pack(kind, rng.choice(NUMBERS) % 256**size)
        case "truncate":
            del content[start:]
        case "cut":
            del content[start:end]
        case "repeat":
            content[start:end] = content[start:end] * rng.choice([2, 3, 50, 1000])
            del content[200_000:]
        case "splice":
            other = rng.choice(seeds)
            place = rng.randrange(len(other))
            content[start:end] = other[place : place + end - start]


ODD: list[Any] = [None, True, -1, 0, 1, 2, 7, 64, 4096, 2**31, 2**63, 10**30, 0.5, -1e308, float("nan")]
ODD += ["", "cs", "random", "x" * 1000, "\x1b[31m", "\udcff"]


def odd_value(rng: Random, depth: int = 2) -> Any:
    """Something that a record may not expect."""
    match rng.randrange(6) if depth else 5:
        case 0:
            return [odd_value(rng, depth - 1) for _ in range(rng.randrange(5))]
        case 1:
            return {rng.choice(["type", "kind", "a"]): odd_value(rng, depth - 1) for _ in range(rng.randrange(3))}
        case _:
            return rng.choice(ODD)


def made_odd(content: dict[Any, Any], rng: Random, odd: Callable[[Random], Any] = odd_value) -> None:
    """Put one to three odd values into nested dictionaries and lists."""
    for _ in range(rng.randint(1, 3)):
        place: Any = content
        while place:
            name = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[name], dict | list) or not place[name] or rng.random() < 0.25:
                place[name] = odd(rng)
                break
            place = place[name]


def forged_record(content: bytes, rng: Random) -> bytes:
    """A safetensors file of idm's whose checksum fits, with odd values in the record."""
    key, record = record_of(content)
    made_odd(record, rng)
    return signed(key, record, load(content))


def forged_json(content: bytes, rng: Random) -> bytes:
    record = json.loads(content)
    made_odd(record, rng)
    return json.dumps(record).encode()


def forged_pickle(content: bytes, rng: Random) -> bytes:
    """What ``torch.save`` writes of a dictionary with odd values, or tensors of other shapes and types, in it."""

    def odd(rng: Random) -> Any:
        shape = rng.choices([0, 1, 2, 3, 4, 64], k=rng.randrange(5))
        kind = rng.choice([torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64, torch.float64])
        tensors = [torch.ones(shape, dtype=kind), torch.ones(1).expand(2**20, 2**20), torch.full(shape, torch.nan)]
        return rng.choice([*tensors, torch.ones(shape).to_sparse(), torch.ones(2**40, device="meta"), odd_value(rng)])

    state = torch.load(BytesIO(content), weights_only=True)
    made_odd(state, rng, odd)
    return pickled(state)


def record_of(content: bytes) -> tuple[str, dict[str, Any]]:
    """The metadata key and the record of a measurement or weights file."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    [(key, text)] = header.items()
    outer = json.loads(text)
    return key, json.loads(outer["record"]) if "record" in outer else outer


def signed(key: str, record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> bytes:
    """A file of this record and these tensors, with its checksum."""
    text = json.dumps(record)
    sha = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode() + data_of(tensor))
    return save(tensors, {key: json.dumps({"sha256": sha.hexdigest(), "record": text})})


def data_of(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def mend_png(content: bytes) -> bytes:
    """The right checksum for every chunk whose length still makes sense."""
    content, place = bytearray(content), 8  # type: ignore[assignment]
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = zlib.crc32(content[place + 4 : end]).to_bytes(4, "big")  # type: ignore[index]
        place = end + 4
    return bytes(content)


# Valid files ------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (14, 18), np.uint8)
RGB = RNG.integers(0, 256, (14, 18, 3), np.uint8)
PROVENANCE = {"command": "idm reconstruct a.png", "seed": 0}
PLACE = Geometry((-10, 20, 35.5), (0, 0.75, 0), (0.5, 0, 0), (0, 0, 3), "1.2.3.4")


def saved(samples: np.ndarray[Any, Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    picture = Pillow.fromarray(samples)
    (picture if mode is None else picture.convert(mode)).save(buffer := BytesIO(), kind, **options)
    return buffer.getvalue()


def several(kind: str, **options: Any) -> bytes:
    return saved(GREY, kind, save_all=True, append_images=[Pillow.fromarray(GREY[::-1]).copy()], **options)


def tiff(samples: np.ndarray[Any, Any], **options: Any) -> bytes:
    photometric = "rgb" if samples.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(buffer := BytesIO(), samples, photometric=photometric, **options)
    return buffer.getvalue()


def written(folder: Path, name: str, bits: int, **options: Any) -> bytes:
    write_image(folder / name, RGB / 255, bits, provenance=PROVENANCE, **options)
    return (folder / name).read_bytes()


def measured(folder: Path, operator: Any, **options: Any) -> bytes:
    y = operator.A(torch.rand(1, *operator.image_shape))[0]
    colour: Any = "grey" if operator.image_shape[0] == 1 else "rgb"
    provenance = Provenance("idm sense a.png", "a.png", "0" * 64)
    m = Stored(y=y, arrays=operator.arrays(), spec=operator.to_spec(), colour=colour, provenance=provenance, **options)
    write_stored(folder / "m.safetensors", m)
    return (folder / "m.safetensors").read_bytes()


def weights(folder: Path, steps: int) -> bytes:
    config = DenoiserConfig(UNetConfig(channels=(4,), blocks=(1,), steps=steps), 0.1)
    model = InvertibleDiffusion(SamplerConfig(config)) if steps else Denoiser(config)
    save_weights(folder / "w.safetensors", model, training={"iterations": 1}, half=True)
    return (folder / "w.safetensors").read_bytes()


def pickled(state: Any, **options: Any) -> bytes:
    torch.save(state, buffer := BytesIO(), **options)
    return buffer.getvalue()


def full_size() -> InvertibleDiffusion:
    """The network that was released, with fewer channels."""
    torch.manual_seed(0)
    unet = StableDiffusionConfig(steps=1, channels=(32, 32))
    return InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet, 0.0)))


def released(*, zipped: bool = True) -> bytes:
    """A checkpoint of it, in the newer or the older format of pickles."""
    model = full_size()
    parameters = dict(model.named_parameters())
    state = {
        name: parameters[ours].detach().reshape(parameters[ours].shape or 1)
        for ours, name in released_names(model).items()
    }
    return pickled(state, _use_new_zipfile_serialization=zipped)


def pixel_model(folder: Path) -> Path:
    """A model folder of diffusers for a prior."""
    unet = UNet2DModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    unet.save_pretrained(folder / "pixels")
    DDPMScheduler().save_pretrained(folder / "pixels")
    return folder / "pixels"


def latent_model(folder: Path) -> Path:
    """One for the start of a full-size network."""
    UNet2DConditionModel(
        block_out_channels=(32, 32),
        layers_per_block=1,
        cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).save_pretrained(folder / "latents")
    return folder / "latents"


def in_folder(folder: Path, name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
    """``read`` of a folder in which the file at hand takes the place of another."""

    before = (folder / name).read_bytes()

    def with_file(path: Path) -> object:
        (folder / name).write_bytes(path.read_bytes())
        try:
            return read(folder)
        finally:
            (folder / name).write_bytes(before)

    return with_file


def in_run(read: Callable[[RunFolder], object]) -> Callable[[Path], object]:
    """``read`` of the run folder that the file at hand lies in."""
    return lambda path: read(RunFolder(path.parent))


def training_step() -> Step:
    """Something to resume."""
    torch.manual_seed(0)
    step = Step(Denoiser(DenoiserConfig(UNetConfig(channels=(4,), blocks=(1,)), 0.1)), TrainingConfig(optimizer="muon"))
    for parameter in step.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    step.update(0.0)
    return step


def checkpoint(folder: Path) -> bytes:
    step = training_step()
    run = RunFolder(folder)
    with run.locked():
        run.save(step.model, step.average, step.optimisers, Progress(3))
    return (folder / "checkpoint.pt").read_bytes()


def restored(run: RunFolder) -> None:
    step = training_step()
    run.restore(step.model, step.average, step.optimisers)


RUN = '[model]\nkind = "prior"\nchannels = [4]\nblocks = [1]\n'


def run_checkpoint(folder: Path) -> bytes:
    """That of a run of idm's own."""
    (folder / "run").mkdir()
    (folder / "run/config.toml").write_text(RUN)
    config = load_config(file=folder / "run/config.toml").config
    step = Step(learned.build(config), config.training)
    run = RunFolder(folder / "run")
    with run.locked():
        run.save(step.model, step.average, step.optimisers, Progress(3))
    return run.checkpoint.read_bytes()


def averaged(path: Path) -> None:
    """The weights of the run whose checkpoint is at hand."""
    (path.parent / "config.toml").write_text(RUN)
    try:
        load_weights(path.parent)
    finally:
        (path.parent / "config.toml").unlink()


METRICS = b"iteration,loss,psnr\n1,0.5,20.0\n2,0.4,21.0\n3,0.3,22.0\n"


def given_weights(path: Path) -> None:
    """What --weights and --prior take."""
    Methods(torch.device("cpu"), precision="float32").load(path)


def read_pictures(path: Path) -> None:
    """Every page, if the format is recognised, and the provenance."""
    format = format_of(path)
    items = format.items(path) if format is not None else [path]
    for item in items[:3]:
        read_image(item, max_pixels=MAX_PIXELS)
    read_provenance(path)


def read_readings(path: Path) -> None:
    """Readings of a single-pixel camera, if the file holds any."""
    import_item(Item(path), {"patterns": "hadamard:natural", "shape": (8, 8)}, max_pixels=MAX_PIXELS)


def dicom_files(folder: Path) -> tuple[bytes, ...]:
    """A result, a slice with padding, packed, and one of two frames with slopes of their own."""
    write_image(folder / "a.dcm", GREY / 255, 32, scale=Scale(-1024, 3072, "HU"), geometry=PLACE)
    found = [(folder / "a.dcm").read_bytes()]
    data = pydicom.dcmread(folder / "a.dcm")
    data.add_new("PixelPaddingValue", "US", 0)
    data.Modality = "CT"
    data.compress(pydicom.uid.RLELossless)
    pydicom.dcmwrite(buffer := BytesIO(), data, enforce_file_format=True)
    found.append(buffer.getvalue())
    data = pydicom.dcmread(folder / "a.dcm")
    data.NumberOfFrames, data.PixelData = 2, data.PixelData * 2
    change, measures, shared, frame = (pydicom.Dataset() for _ in range(4))
    change.RescaleSlope, change.RescaleIntercept, change.RescaleType = "2", "1", "HU"
    measures.PixelSpacing = ["1", "2"]
    frame.PixelValueTransformationSequence, shared.PixelMeasuresSequence = [change], [measures]
    data.PerFrameFunctionalGroupsSequence, data.SharedFunctionalGroupsSequence = [frame] * 2, [shared]
    pydicom.dcmwrite(buffer := BytesIO(), data, enforce_file_format=True)
    return (*found, buffer.getvalue())


def nifti_files(folder: Path) -> tuple[bytes, ...]:
    """A result with a comment, and a volume of 16-bit samples with a slope."""
    write_image(folder / "a.nii", GREY / 255, 32, provenance=PROVENANCE, geometry=PLACE)
    found = [(folder / "a.nii").read_bytes()]
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        volume = kind(RNG.integers(0, 99, (5, 4, 3, 2)).astype(np.int16), np.diag([1, -2, 3, 1]))
        volume.header.set_slope_inter(2, -5)
        found.append(volume.to_bytes())
    return tuple(found)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def readings_files(folder: Path) -> tuple[bytes, ...]:
    """As text and as an array of NumPy's. MATLAB's are not here: SciPy ends the process at some damaged ones."""
    np.savetxt(folder / "y.csv", RNG.integers(0, 255, (64, 3)), fmt="%d", delimiter=",", header="a,b,c", comments="")
    np.save(folder / "y.npy", RNG.random((64, 2)))
    return tuple((folder / name).read_bytes() for name in ("y.csv", "y.npy"))


def read_numbers(path: Path) -> None:
    """Every array, if the format is recognised."""
    format = format_of(path)
    if format is None:
        raise InputError("it is of no format", "")
    for item in format.items(path)[:3]:
        format.read(item)


def arrays(save: Callable[..., object], *inputs: Any, **options: Any) -> bytes:
    """What a library writes of arrays into a file."""
    save(buffer := BytesIO(), *inputs, **options)
    return buffer.getvalue()


def hdf5_matrix(folder: Path) -> bytes:
    """A MATLAB file of version 7.3."""
    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        file["Phi"] = GREY / 255
    content = bytearray((folder / "a.mat").read_bytes())
    content[:22] = b"MATLAB 7.3 MAT-file   "
    return bytes(content)


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name; ``folder`` is for the making of the valid files."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    pixels, latents, bart = pixel_model(folder), latent_model(folder), folder / "bart"
    bart.mkdir()
    write_cfl(bart / "scan.cfl", kspace_of(coil_images(2)).transpose(1, 2, 0)[None])
    mask = torch.from_numpy(RNG.random((14, 18)) < 0.5)
    boxes = {"type": "boxes", "boxes": [[1, 2, 3, 4]]}
    random = {"type": "random", "ratio": 0.4, "seed": 3}
    return {
        "PNG": Reader(
            read_pictures,
            (
                written(folder, "a.png", 8),
                written(folder, "a.png", 16),
                png.encode16(GREY.astype(np.uint16) * 257),
                saved(GREY, "PNG", exif=exif),
                saved(GREY, "PNG", "1"),
                saved(GREY, "PNG", "P", transparency=3),
                saved(RGB, "PNG", "RGBA"),
                several("PNG"),
            ),
            mend=mend_png,
        ),
        "JPEG": Reader(
            read_pictures,
            (
                written(folder, "a.jpg", 8),
                saved(RGB, "JPEG", exif=exif),
                saved(RGB, "JPEG", progressive=True),
                saved(RGB, "JPEG", "CMYK"),
                several("MPO"),
            ),
        ),
        "TIFF": Reader(
            read_pictures,
            (
                written(folder, "a.tif", 8),
                written(folder, "a.tif", 32, scale=Scale(-1, 2)),
                tiff(GREY.astype(np.uint16), rowsperstrip=3),
                tiff(RGB.astype(np.uint16), tile=(16, 16), compression="zlib"),
                tiff(np.stack([GREY / 255] * 2)),
                saved(RGB, "TIFF", compression="tiff_lzw", exif=exif),
                saved(RGB, "TIFF", compression="jpeg"),
                saved(GREY, "TIFF", "1", compression="group4"),
                saved(GREY, "TIFF", "P"),
                several("TIFF"),
            ),
        ),
        "BMP": Reader(read_pictures, (saved(RGB, "BMP"), saved(GREY, "BMP"), saved(GREY, "BMP", "1"))),
        "GIF": Reader(read_pictures, (saved(GREY, "GIF"), saved(GREY, "GIF", transparency=3), several("GIF"))),
        "DICOM": Reader(read_pictures, dicom_files(folder), "input.dcm"),
        "NIfTI": Reader(read_pictures, nifti_files(folder), "input.nii"),
        "packed NIfTI": Reader(
            read_pictures,
            tuple(map(packed, nifti_files(folder))),
            "input.nii.gz",
            forge=lambda content, rng: packed(damaged(Reader(read_pictures, (gzip.decompress(content),)), rng)),
        ),
        "readings": Reader(read_readings, readings_files(folder), "input.csv"),
        "masks": Reader(lambda path: read_mask(path, (1, 14, 18)), (saved(GREY, "PNG", "1"),), mend=mend_png),
        "kernels": Reader(
            lambda path: Blur((1, 14, 18), read_kernel(path)),
            (saved(GREY, "PNG"), saved(GREY[:13, :13], "PNG"), tiff(GREY / 255), saved(RGB, "PNG")),
            mend=mend_png,
        ),
        "measurements": Reader(
            lambda path: read_stored(path, max_pixels=MAX_PIXELS).measurement(),
            (
                measured(folder, CompressedSensing((1, 14, 18), ratio=0.3, block=4, seed=4), noise=0.1, noise_seed=1),
                measured(folder, CompressedSensing((3, 14, 18), ratio=0.3, block=4, permutation="none")),
                measured(folder, Inpainting((1, 14, 18), mask), value_range=(-1024.0, 3072.0), unit="HU"),
                measured(folder, Inpainting((1, 14, 18), boxes)),
                measured(folder, Inpainting((1, 14, 18), random)),
                measured(folder, MRI((1, 14, 18), {"type": "radial", "lines": 5})),
                measured(folder, ParallelBeamCT((1, 14, 14), 5)),
                measured(folder, Blur((1, 14, 18), {"type": "gaussian", "size": 5, "std": 1.0})),
                measured(folder, Blur((1, 14, 18), motion_kernel(5, 0.5, 0), boundary="circular")),
                measured(folder, SuperResolution((1, 14, 18), 2)),
                measured(folder, HDR((1, 14, 18))),
                measured(folder, NonlinearBlur(Blur((1, 14, 18), motion_kernel(5, 0.5, 0)))),
            ),
            "input.safetensors",
            forge=forged_record,
        ),
        "BART headers": Reader(
            in_folder(bart, "scan.hdr", lambda path: CFL.read(Item(path / "scan.cfl"))),
            ((bart / "scan.hdr").read_bytes(),),
        ),
        "weights": Reader(
            given_weights, (weights(folder, 0), weights(folder, 2)), "input.safetensors", forge=forged_record
        ),
        "released": Reader(given_weights, (released(), released(zipped=False)), "input.pkl", forge=forged_pickle),
        "priors": Reader(
            given_weights,
            tuple(pickled(drawn(shapes)) for shapes in FILES.values()),
            "dncnn_25.pth",
            forge=forged_pickle,
        ),
        "model folders": Reader(
            in_folder(pixels, CONFIG, load_prior), ((pixels / CONFIG).read_bytes(),), forge=forged_json
        ),
        "schedules": Reader(
            in_folder(pixels, SCHEDULER, load_prior), ((pixels / SCHEDULER).read_bytes(),), forge=forged_json
        ),
        "Stable Diffusion": Reader(
            in_folder(latents, CONFIG, lambda path: initialise(full_size(), path)),
            ((latents / CONFIG).read_bytes(),),
            forge=forged_json,
        ),
        "checkpoints": Reader(in_run(restored), (checkpoint(folder),), "checkpoint.pt", forge=forged_pickle),
        "run records": Reader(
            in_run(lambda run: check_data(run.read_record(), {"pictures": 3, "data": "0"})),
            (b'{"init": null, "pictures": 3, "data": "0"}',),
            "run.json",
            forge=forged_json,
        ),
        "averages": Reader(averaged, (run_checkpoint(folder),), "checkpoint.pt", forge=forged_pickle),
        "arrays": Reader(
            read_numbers,
            (
                arrays(np.save, GREY),
                arrays(np.save, GREY / 255 + 1j),
                arrays(np.savez, a=GREY, b=RGB / 255),
                arrays(np.savez_compressed, GREY),
                arrays(scipy.sparse.save_npz, scipy.sparse.csr_matrix(GREY > 128)),
            ),
        ),
        "MATLAB": Reader(
            read_numbers,
            (
                arrays(scipy.io.savemat, {"Phi": GREY / 255, "y": GREY[0]}),
                arrays(scipy.io.savemat, {"A": scipy.sparse.csc_matrix(GREY > 128)}, do_compression=True),
                hdf5_matrix(folder),
            ),
            "input.mat",
        ),
        "tables": Reader(read_numbers, (b"a,b\n1,2.5\n-3,4e9\n", b"1 2 3\n4 5 6\n", b"# y\n0.5;1\n"), "input.csv"),
        "metrics": Reader(in_run(lambda run: run.drop_metrics_after(2)), (METRICS,), "metrics.csv"),
        "TOML": Reader(
            lambda path: load_config(file=path), tuple(preset.text.encode() for preset in list_presets()), "input.toml"
        ),
    }


# The long run -----------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for all readers together")
    parser.add_argument("--only", help="one reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for inputs that break a reader; a temporary one if not given")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    broken = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = {key: reader for key, reader in readers(folder).items() if arguments.only in (None, key)}
        for key, reader in chosen.items():
            counts, found = run(reader, arguments.seconds / len(chosen), f"{arguments.seed}/{key}", folder)
            out = arguments.out or (Path(tempfile.mkdtemp(prefix="fuzz-")) if found else folder)
            out.mkdir(parents=True, exist_ok=True)
            for message, content in found.items():
                digest = hashlib.sha256(content).hexdigest()[:12]
                file = out / f"{key}-{digest}{Path(reader.name).suffix}"
                file.write_bytes(content)
                print(f"{file}: {message[:300]!r}", file=sys.stderr)
            broken += len(found)
            line = ", ".join(f"{counts[result]} {result}" for result in ("read", "refused", "broken"))
            print(f"{key:<14}{counts.total():>8} inputs: {line}", flush=True)
    return int(broken > 0)


def run(reader: Reader, seconds: float, seed: str, folder: Path) -> tuple[Counter[str], dict[str, bytes]]:
    """Outcomes of as many inputs as fit into ``seconds``, and the first input of each kind of failure."""
    counts: Counter[str] = Counter()
    found: dict[str, bytes] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        content = mutant(reader, Random(f"{seed}/{counts.total()}"))
        try:
            counts[outcome(reader, content, folder)] += 1
        except BrokenError as error:
            counts["broken"] += 1
            if len(found) < 20:
                found.setdefault(str(error)[:80], content)
    return counts, found


if __name__ == "__main__":
    sys.exit(main())
