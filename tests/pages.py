"""What the tests read out of an HTML page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO

from PIL import Image

VOID = {"meta", "img", "input"}


@dataclass
class Element:
    """A tag with its attributes and all text below it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    below: list[Element] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Those below it of a tag that have these attributes (class_ stands for class, data_x for data-x)."""
        wanted = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
        here = self.tag == tag and wanted.items() <= self.attributes.items()
        return [self] * here + [found for child in self.below for found in child.all(tag, **attributes)]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("page", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].below.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parse(page: str) -> Element:
    """The page as a tree; AssertionError unless it is well-formed, has each id once and needs nothing else."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root], f"<{parser.open[-1].tag}> is not closed"
    root = parser.root
    everything = _flat(root)
    ids = [element.attributes["id"] for element in everything if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    for element in everything:
        assert element.tag not in ("link", "iframe", "object") and "href" not in element.attributes
        assert element.attributes.get("src", "data:").startswith("data:")
        assert element.tag != "img" or "alt" in element.attributes
        assert not [name for name in element.attributes if name.startswith("on")]
    assert "http:" not in page and "https:" not in page and "url(" not in page and "@import" not in page
    return root


def _flat(element: Element) -> list[Element]:
    return [element, *(found for child in element.below for found in _flat(child))]


def picture(image: Element) -> Image.Image:
    """The picture of an <img>, decoded."""
    head, data = image.attributes["src"].split(",", 1)
    assert head == "data:image/png;base64"
    found = Image.open(BytesIO(base64.b64decode(data, validate=True)))
    found.load()
    return found
