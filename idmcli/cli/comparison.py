"""What ``idm eval`` found, and what it prints and writes of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idmcli import __version__
from idmcli.cli.env import environment
from idmcli.cli.output import Output, jsonable
from idmcli.errors import IdmError

if TYPE_CHECKING:
    from idmcli.evaluation.benchmark import Benchmark, Outcome
    from idmcli.evaluation.tables import Score
    from idmcli.evaluation.views import View

FILES = ("scores.csv", "scores.json")


@dataclass
class Found:
    """What one process found.

    Attributes:
        scores: in the order they were found.
        settings: the options and the weights of each method.
        left_out: why, by method.
        warnings: as they were told.
        failures: of each the input and the reason.
        scenes: the views of each (picture, column) that a page shows.
    """

    scores: list[Score] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[tuple[str, IdmError]] = field(default_factory=list)
    scenes: dict[tuple[str, str], list[View]] = field(default_factory=dict)

    def take(self, outcome: Outcome, *, show: bool) -> None:
        """One more reconstruction, which a page may show."""
        from idmcli.evaluation.views import views_of

        method = outcome.method
        self.scores.append(outcome.score)
        self.settings[method.name] = {
            "options": asdict(method.options),
            "weights": method.weights_name or None,
            "precision": method.precision if method.weights_name else None,
        }
        if show:
            scene = self.scenes.setdefault((outcome.score.image, outcome.score.column), [])
            scene += views_of(outcome, first=not scene)

    def add(self, other: Found) -> None:
        """What another process found."""
        self.scores += other.scores
        self.settings |= other.settings
        self.warnings += other.warnings
        self.failures += other.failures
        self.scenes |= other.scenes

    def tell(self, output: Output) -> None:
        """Report what went wrong."""
        for message in self.warnings:
            output.warning(message)
        for item, error in self.failures:
            output.failure({"input": item}, error)

    def write(self, benchmark: Benchmark, out: Path | None, report: Path | None, output: Output) -> None:
        """Print the scores, and write them to the folder ``out`` and the page ``report``."""
        from idmcli.evaluation.tables import to_csv, to_json
        from idmcli.io.atomic import write_bytes, write_text

        config = benchmark.configs[0]
        configuration = {
            "task": asdict(config.task),
            "operator": {key: value for key, value in asdict(config.operator).items() if key != "ratio"},
            "solver": asdict(config.solver),
        }
        document = {
            **to_json(self.scores, benchmark.published_colour()),
            "measured": "luminance" if config.task.channels == 1 else "rgb",
            "configuration": configuration,
            "methods": dict(sorted(self.settings.items())),
            "left_out": self.left_out,
            "device": str(benchmark.library.device),
            "version": __version__,
        }
        if output.json:
            for record in document["results"]:
                output.result(record)
        rest = {key: value for key, value in document.items() if key != "results"}
        measured_on = f"Measured on {document['measured']}. {document['conventions']}"
        output.summary(rest, f"{self._table(benchmark)}\n\n{measured_on}")
        if out is not None:
            table, record = (out / file for file in FILES)
            write_text(table, to_csv(self.scores))
            write_text(record, json.dumps(jsonable(document), indent=2, allow_nan=False) + "\n")
            output.status(f"wrote {table} and {record}")
        if report is not None:
            page = self._page(benchmark, configuration, str(document["measured"]), output)
            write_bytes(report, page.encode("utf-8", "backslashreplace"))
            output.status(f"wrote {report}")

    def _table(self, benchmark: Benchmark) -> str:
        """The table in Markdown, with its caption below."""
        from rich import box
        from rich.console import Console

        from idmcli.evaluation.tables import to_table

        table = to_table(self.scores, benchmark.published_colour())
        table.box, caption, table.caption = box.MARKDOWN, table.caption, None
        text = StringIO()
        Console(file=text, width=1000, color_system=None).print(table)
        lines = [line.strip() for line in text.getvalue().splitlines() if line.strip()]
        return "\n".join([*lines, "", f"{caption}."])

    def _page(
        self, benchmark: Benchmark, configuration: Mapping[str, Mapping[str, Any]], measured: str, output: Output
    ) -> str:
        from idmcli.evaluation.report import Report, to_html

        report = Report(
            title=benchmark.dataset,
            colour=benchmark.published_colour(),
            measured=measured,
            configuration=configuration,
            settings=dict(sorted(self.settings.items())),
            left_out=self.left_out,
            failures=[error.message for _, error in self.failures],
            command=shlex.join(["idm", *output.arguments]),
            versions=environment() | {"device": str(benchmark.library.device)},
        )
        return to_html(self.scores, dict(sorted(self.scenes.items(), key=lambda scene: scene[0][0])), report)
