"""One sampling step (Eqs. 1 to 3)."""

from __future__ import annotations

from docs.figures.svg import Drawing


def draw() -> Drawing:
    """The step from x_t to F_t(x_t)."""
    d = Drawing(760, 230, "One step of the sampler")
    d.text((20, 110), "x_t", anchor="start")
    size = (150, 64)
    for x, lines in (
        (140, ("denoise", "Eq. 1")),
        (370, ("meet y = A x", "Eq. 2")),
        (600, ("next noise level", "Eq. 3")),
    ):
        d.box((x, 110), size, *lines)
    d.arrow([(46, 110), (65, 110)])
    d.arrow([(215, 110), (295, 110)])
    d.arrow([(445, 110), (525, 110)])
    d.arrow([(675, 110), (700, 110)])
    d.text((706, 110), "F(x_t)", anchor="start")
    d.text((255, 96), "x0")
    d.text((485, 96), "xb")
    d.arrow([(140, 78), (140, 36), (600, 36), (600, 78)])
    d.text((370, 22), "noise estimate e", "soft")
    d.box((370, 198), (150, 34), "y, A", kind="data")
    d.arrow([(370, 181), (370, 142)])
    d.arrow([(295, 198), (140, 198), (140, 142)])
    d.text((215, 184), "injectors (Eqs. 6, 7)", "soft")
    return d
