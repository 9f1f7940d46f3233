"""Diagrams in SVG. Colours follow the light or dark setting of the reader; the diagram has a ground of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

STYLE = """
  .ground { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .box { fill: #ddf4ff; stroke: #0969da } .data { fill: #fff8c5; stroke: #9a6700 } .plain { fill: #d1d9e0 }
  .strong { fill: #0969da } .line { fill: none; stroke: #1f2328; stroke-width: 1.5 } .tip { fill: #1f2328 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #151b23 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
    .box { fill: #121d2f; stroke: #4493f8 } .data { fill: #272115; stroke: #d29922 } .plain { fill: #3d444d }
    .strong { fill: #4493f8 } .line { stroke: #f0f6fc } .tip { fill: #f0f6fc }
  }
  text { font: 14px system-ui, sans-serif }"""
TIP = (
    '<marker id="tip" orient="auto" markerWidth="8" markerHeight="8" refX="7" refY="4">'
    '<path class="tip" d="M0 0 8 4 0 8z"/></marker>'
)


class Drawing:
    """A diagram of so many pixels; its parts are drawn in the order of the calls."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size, self._title = (width, height), title
        self._parts: list[str] = []

    def rectangle(self, corner: Point, size: Point, kind: str) -> None:
        """A rectangle by its top left corner; ``kind`` is a class of the style."""
        (x, y), (width, height) = corner, size
        self._parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>')

    def text(self, place: Point, text: str, kind: str = "ink", anchor: str = "middle") -> None:
        """A line of text whose middle, start or end is at a place."""
        x, y = place
        self._parts.append(f'<text class="{kind}" x="{x:g}" y="{y + 5:g}" text-anchor="{anchor}">{escape(text)}</text>')

    def box(self, centre: Point, size: Point, *lines: str, kind: str = "box") -> None:
        """A rectangle with text."""
        (x, y), (width, height) = centre, size
        self.rectangle((x - width / 2, y - height / 2), size, kind)
        for number, line in enumerate(lines):
            self.text((x, y + 18 * (number - (len(lines) - 1) / 2)), line, "ink" if number == 0 else "soft")

    def arrow(self, points: Sequence[Point], *, tip: bool = True) -> None:
        """A line through points, with a tip at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = ' marker-end="url(#tip)"' if tip else ""
        self._parts.append(f'<polyline class="line" points="{path}"{end}/>')

    def node(self, centre: Point, sign: str) -> None:
        """A circle with a sign."""
        x, y = centre
        self._parts.append(f'<circle class="box" cx="{x:g}" cy="{y:g}" r="13"/>')
        self.text(centre, sign)

    def __str__(self) -> str:
        width, height = self._size
        body = "\n".join(f"  {part}" for part in self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img">\n  <title>{escape(self._title)}</title>\n  <style>{STYLE}\n  </style>\n  <defs>{TIP}</defs>\n'
            f'  <rect class="ground" width="{width}" height="{height}" rx="8"/>\n{body}\n</svg>\n'
        )
