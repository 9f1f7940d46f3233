"""The result of a comparison: its scores, as a table, a document, files and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from idmcli import __version__
from idmcli.environment import environment
from idmcli.errors import IdmError
from idmcli.evaluation.benchmark import Benchmark, Result
from idmcli.evaluation.tables import Score, means_csv, to_csv, to_json, to_table
from idmcli.evaluation.views import View, views_of
from idmcli.io.atomic import write_bytes, write_text
from idmcli.text import jsonable

FILES = ("scores.csv", "means.csv", "scores.json")


@dataclass
class Findings:
    """The results of a comparison, or of one process's share of it.

    Attributes:
        scores: one for each picture, method and ratio, in the order they were found.
        settings: the options and the weights of each method.
        left_out: the methods that do not apply, with the reason.
        warnings: as they were told.
        failures: the inputs that failed, with the reason.
        scenes: the views of each (picture, column) that a page shows.
    """

    scores: list[Score] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[tuple[str, IdmError]] = field(default_factory=list)
    scenes: dict[tuple[str, str], list[View]] = field(default_factory=dict)

    def take(self, result: Result, *, show: bool) -> None:
        """Add one reconstruction, which a page may show."""
        method = result.method
        self.scores.append(result.score)
        self.settings[method.name] = {
            "options": asdict(method.options),
            "weights": method.weights_name or None,
            "precision": method.precision if method.weights_name else None,
        }
        if show:
            scene = self.scenes.setdefault((result.score.image, result.score.column), [])
            scene += views_of(result, first=not scene)

    def add(self, other: Findings) -> None:
        """Add the findings of another process."""
        self.scores += other.scores
        self.settings |= other.settings
        self.warnings += other.warnings
        self.failures += other.failures
        for key, views in other.scenes.items():
            self.scenes.setdefault(key, []).extend(views)


@dataclass
class Comparison:
    """Methods compared on pictures: what is compared, and what was found.

    Attributes:
        benchmark: the pictures' measurement, and the methods.
        findings: the results.
    """

    benchmark: Benchmark
    findings: Findings = field(default_factory=Findings)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The scores as dictionaries, sorted: dataset, method, ratio, image, psnr, ssim, seconds, ..."""
        return [asdict(score) for score in sorted(self.findings.scores)]

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            **to_json(self.findings.scores, self.benchmark.published_colour()),
            "measured": self._measured,
            "configuration": self._configuration,
            "methods": dict(sorted(self.findings.settings.items())),
            "left_out": self.findings.left_out,
            "device": str(self.benchmark.methods_at_hand.device),
            "version": __version__,
        }

    def __str__(self) -> str:
        """The table of means in Markdown, with its caption below."""
        from rich import box
        from rich.console import Console

        table = to_table(self.findings.scores, self.benchmark.published_colour())
        table.box, caption, table.caption = box.MARKDOWN, table.caption, None
        text = StringIO()
        Console(file=text, width=1000, color_system=None).print(table)
        lines = [line.strip() for line in text.getvalue().splitlines() if line.strip()]
        return "\n".join([*lines, "", f"{caption}."])

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``scores.csv`` with a row for each image, ``means.csv``, and ``scores.json`` into a folder; returns
        their paths.

        Raises:
            ResourceError: the folder cannot be written to.
        """
        table, means, record = paths = [Path(folder) / name for name in FILES]
        write_text(table, to_csv(self.findings.scores))
        write_text(means, means_csv(self.findings.scores))
        write_text(record, json.dumps(jsonable(self.document()), indent=2, allow_nan=False) + "\n")
        return paths

    def save_page(self, path: str | Path, command: str = "", *, replace: bool = True) -> None:
        """Write the comparison as one HTML page that needs no other file.

        Args:
            path: of the page.
            command: that made the comparison, to be shown on it.
            replace: a file that exists.

        Raises:
            InputError: the file exists and may not be replaced.
            ResourceError: the folder cannot be written to.
        """
        from idmcli.evaluation.report import PageFacts, to_html

        facts = PageFacts(
            title=self.benchmark.dataset,
            colour=self.benchmark.published_colour(),
            measured=self._measured,
            configuration=self._configuration,
            settings=dict(sorted(self.findings.settings.items())),
            left_out=self.findings.left_out,
            failures=[error.message for _, error in self.findings.failures],
            command=command,
            versions=environment() | {"device": str(self.benchmark.methods_at_hand.device)},
        )
        scenes = dict(sorted(self.findings.scenes.items(), key=lambda scene: scene[0][0]))
        page = to_html(self.findings.scores, scenes, facts).encode("utf-8", "backslashreplace")
        write_bytes(Path(path), page, replace=replace)

    @property
    def _measured(self) -> str:
        return "luminance" if self.benchmark.configs[0].task.channels == 1 else "rgb"

    @property
    def _configuration(self) -> dict[str, dict[str, Any]]:
        config = self.benchmark.configs[0]
        return {
            "task": asdict(config.task),
            "operator": {key: value for key, value in asdict(config.operator).items() if key != "ratio"},
            "solver": asdict(config.solver),
        }
