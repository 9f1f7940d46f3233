"""Draw the diagrams of the concepts."""

from pathlib import Path

from docs.figures import coupling, memory, step

FOLDER = Path(__file__).parent

for figure in (step, coupling, memory):
    name = figure.__name__.rpartition(".")[2]
    (FOLDER / f"{name}.svg").write_text(str(figure.draw()), encoding="utf-8")
