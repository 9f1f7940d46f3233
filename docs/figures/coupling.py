"""The coupling, forwards (Eq. 4) and backwards (Eq. 5)."""

from __future__ import annotations

from docs.figures.svg import Drawing

TOP, MIDDLE, LOW = 70, 130, 185  # the heights of F, of the stream h, and of the copy of x


def draw() -> Drawing:
    """Both directions beside one another."""
    d = Drawing(760, 220, "The coupling: forwards and backwards")
    forwards(d, 20)
    backwards(d, 400)
    return d


def forwards(d: Drawing, left: float) -> None:
    """x' = (1 - v) F(x) + v h, h' = x."""
    d.text((left + 170, 24), "forwards (Eq. 4)", "soft")
    d.text((left, TOP), "x", anchor="start")
    d.text((left, MIDDLE), "h", anchor="start")
    d.box((left + 125, TOP), (60, 40), "F")
    d.node((left + 260, TOP), "+")
    d.arrow([(left + 16, TOP), (left + 95, TOP)])
    d.arrow([(left + 155, TOP), (left + 246, TOP)])
    d.text((left + 200, TOP - 14), "(1 - v)")
    d.arrow([(left + 16, MIDDLE), (left + 260, MIDDLE), (left + 260, TOP + 14)])
    d.text((left + 200, MIDDLE - 14), "v")
    d.arrow([(left + 274, TOP), (left + 310, TOP)])
    d.text((left + 316, TOP), "x'", anchor="start")
    d.arrow([(left + 50, TOP), (left + 50, LOW), (left + 310, LOW)])
    d.text((left + 316, LOW), "h'", anchor="start")


def backwards(d: Drawing, left: float) -> None:
    """x = h', h = (x' - (1 - v) F(h')) / v."""
    d.text((left + 170, 24), "backwards (Eq. 5)", "soft")
    d.text((left, TOP), "x", anchor="start")
    d.text((left, MIDDLE), "h", anchor="start")
    d.box((left + 125, TOP), (60, 40), "F")
    d.node((left + 260, TOP), "−")
    d.arrow([(left + 310, LOW), (left + 50, LOW), (left + 50, TOP), (left + 14, TOP)])
    d.arrow([(left + 50, TOP), (left + 95, TOP)])
    d.arrow([(left + 155, TOP), (left + 246, TOP)])
    d.text((left + 200, TOP - 14), "(1 - v)")
    d.arrow([(left + 260, TOP + 14), (left + 260, MIDDLE), (left + 14, MIDDLE)])
    d.text((left + 200, MIDDLE - 14), "/ v")
    d.arrow([(left + 310, TOP), (left + 274, TOP)])
    d.text((left + 316, TOP), "x'", anchor="start")
    d.text((left + 316, LOW), "h'", anchor="start")
