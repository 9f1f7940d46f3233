"""A format of pictures that another package adds by an entry point, read and written by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idmcli.cli import main
from idmcli.errors import ConfigError, InputError
from idmcli.io.formats import format_of
from idmcli.io.images import find_items, image_suffixes, read_image, read_provenance, write_image
from idmcli.io.items import Item
from tests.distributions import install, use
from tests.small import camera

# Pages of text: the size, the comment and numbers from 0 to 255.
CODE = '''
"""Pictures as text."""

import numpy as np

from idmcli.io.formats.base import PictureFormat, Raw, check_size, choose_page


class Words(PictureFormat):
    name = "words"
    suffixes = (".words",)
    signatures = (b"WORDS",)
    bits = (8,)

    def pages(self, file):
        return file.read().decode().split("WORDS")[1:]

    def count(self, file):
        return len(self.pages(file))

    def decode(self, file, number, max_pixels):
        pages = self.pages(file)
        size, _, values = pages[choose_page(number, len(pages))].strip().split("\\n", 2)
        height, width = map(int, size.split())
        check_size(width, height, max_pixels)
        return Raw(np.array(values.split(), np.uint8).reshape(height, width), 1, [])

    def comment(self, file):
        return self.pages(file)[0].strip().split("\\n")[1]

    def encode(self, picture):
        height, width = picture.samples.shape
        values = " ".join(map(str, picture.samples.ravel()))
        return f"WORDS\\n{height} {width}\\n{picture.comment}\\n{values}\\n".encode()


FORMAT = Words()
'''
PHOTO = camera(32, 8)[0, 0].numpy()


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(install(tmp_path / "site", "words_format", CODE, {"idmcli.formats": {"words": "FORMAT"}}), monkeypatch)


@pytest.mark.usefixtures("folder", "words")
def test_a_format_of_another_package(capsys: pytest.CaptureFixture[str]) -> None:
    write_image("photo.words", PHOTO, provenance={"by": "a test"})
    found = format_of(Path("photo.words"))
    assert found is not None and found.name == "words" and ".words" in image_suffixes()
    assert np.abs(read_image("photo.words").pixels - PHOTO).max() <= 0.5 / 255 + 1e-6
    assert read_provenance("photo.words") == {"by": "a test"}
    pages = Path("photo.words").read_text() * 2
    Path("stack.words").write_text(pages)
    with pytest.raises(InputError, match="holds 2 pages"):
        read_image("stack.words")
    assert find_items(["."]) == [Item(Path("photo.words")), Item(Path("stack.words"))]

    assert main(["sense", "stack.words#2", "--ratio", "0.5"]) == 0
    command = ["reconstruct", "measurements/stack_2.safetensors", "--method", "pinv", "--format", "words"]
    assert main(command) == 0
    assert read_image("reconstructions/stack_2.words").pixels.shape == PHOTO.shape
    assert main(["reconstruct", "stack.words#1", "--method", "pinv"]) == 0
    capsys.readouterr()
    assert main(["info", "photo.words"]) == 0
    assert "words" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_a_broken_package_stands_in_the_way_of_unknown_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(install(tmp_path / "site", "bad", "FORMAT = 3", {"idmcli.formats": {"bad": "FORMAT"}}), monkeypatch)
    monkeypatch.setattr("idmcli.io.images.picture_formats", lambda: [])  # names of files are not asked
    Path("words").write_text("words")
    with pytest.raises(ConfigError, match="is no Format"):
        read_image("words")


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
@pytest.mark.usefixtures("folder")
def test_numbers_are_no_picture(name: str) -> None:
    np.save(name, np.eye(3)) if name == "a.npy" else np.savetxt(name, np.eye(3))
    with pytest.raises(InputError, match="not a readable image") as caught:
        read_image(name)
    assert "idm import" in caught.value.hint


def test_a_format_that_is_not_written() -> None:
    with pytest.raises(InputError, match="unknown image suffix") as caught:
        write_image("a.gif", PHOTO)
    assert ".png" in caught.value.hint and ".dcm" in caught.value.hint
