"""Draw the diagrams of the concepts."""

from pathlib import Path

from docs.figures import coupling, memory, step

FOLDER = Path(__file__).parent
FIGURES = {"step.svg": step.draw, "coupling.svg": coupling.draw, "memory.svg": memory.draw}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (FOLDER / name).write_text(str(draw()), encoding="utf-8")
