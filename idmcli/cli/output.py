"""The output of a command: results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from idmcli.errors import IdmError
from idmcli.reporting import Count, Listener
from idmcli.text import escape, jsonable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

SCHEMA_VERSION = 1
Text = str | Sequence[str]  # a line, whatever is in it, or several


class Output(Listener):
    """The one channel of a command to its user.

    In human mode results are text. In JSON mode stdout carries exactly one object, written by
    :meth:`finish`. ``quiet`` leaves results, warnings and errors only.

    Args:
        json: write one JSON object instead of text.
        quiet: no status, progress or hints.
        color: colour allowed; it is used on terminals only, and not under NO_COLOR or TERM=dumb.
        debug: show where an error comes from.
        interval: seconds between progress lines where stderr is not a terminal.

    Attributes:
        muted: say nothing at all: another process of the same command speaks.
        arguments: what the command was called with.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        color: bool = True,
        debug: bool = False,
        interval: float = 10.0,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.debug = debug
        self.color = color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.interval = interval
        self.muted = False
        self.arguments: Sequence[str] = ()
        self.command = ""
        self._inputs: dict[str, Any] = {}
        self._results: list[dict[str, Any]] = []
        self._summary: dict[str, Any] = {}
        self._warnings: list[str] = []
        self._lost: OSError | None = None

    def inputs(self, **values: Any) -> None:
        """Record what the command works on, for the JSON object."""
        self._inputs.update(values)

    def result(self, record: Mapping[str, Any], text: Text | None = None) -> None:
        """Report one result; ``text`` is its human form, ``key: value`` pairs by default."""
        self._results.append(dict(record))
        self._print(_pairs(record) if text is None else text)

    def failure(self, item: str, error: IdmError) -> None:
        """Report that one of several inputs failed, and why; the command goes on with the others."""
        reason = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        self._results.append({"input": item, "error": reason})
        if self.debug and not self.muted:
            _tell("".join(traceback.format_exception(error)).rstrip())
        self.error(error)

    def summary(self, record: Mapping[str, Any], text: Text | None = None) -> None:
        """Report what holds for all results together."""
        self._summary.update(record)
        self._print(_pairs(record) if text is None else text)

    def table(self, records: Sequence[Mapping[str, Any]], title: str = "") -> None:
        """Report several results with the same keys as a table."""
        self._results += [dict(record) for record in records]
        if records and not self.json:
            table = _table([list(records[0]), *([_cell(value) for value in record.values()] for record in records)])
            self._print([title, *table] if title else table)

    def warning(self, message: str) -> None:
        """Report something that did not stop the command but may make its results wrong."""
        self._warnings.append(message)
        self._say("warning", message, "33")

    def error(self, error: IdmError) -> None:
        """Report a failure and what to do about it."""
        self._say("error", error.message, "31")
        if error.hint:
            self._say("hint", error.hint, "36")

    def hint(self, message: str) -> None:
        """Suggest a next step."""
        if not (self.quiet or self.json):
            self._say("hint", message, "36")

    def status(self, message: str) -> None:
        """Tell what is going on."""
        if not (self.quiet or self.json or self.muted):
            _tell(escape(message))

    @contextmanager
    def progress(self, total: int | None, what: str, before: int = 0) -> Iterator[Count]:
        """Show how far ``what`` is: a bar on a terminal, a line every few seconds elsewhere."""
        what = escape(what)
        if self.quiet or self.json or self.muted:
            yield Count(total, before)
        elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _bar(self.color) as bar:
                yield CountBar(total, bar, what, before)
        else:
            yield CountLines(total, what, self.interval, before)

    def finish(self, error: IdmError | None = None) -> None:
        """End the command: in JSON mode, write the object.

        Raises:
            OSError: stdout could not take all results, on a full disk for example.
        """
        if self.json:
            document = {
                "schema_version": SCHEMA_VERSION,
                "command": self.command,
                "inputs": self._inputs,
                "results": self._results,
                "summary": self._summary,
                "warnings": self._warnings,
                "error": error and {"message": error.message, "hint": error.hint, "exit_code": error.exit_code},
            }
            self._write(json.dumps(jsonable(document), allow_nan=False))
        if self._lost is not None:
            raise self._lost

    def _print(self, text: Text) -> None:
        if not self.json:
            lines = [text] if isinstance(text, str) else text
            self._write("\n".join(escape(line, keep="\t") for line in lines))

    def _write(self, text: str) -> None:
        """Write to stdout at once. Where it takes no more, the work goes on: its results may be files."""
        if self.muted:
            return
        try:
            print(text, flush=True)
        except OSError as error:
            silence(sys.stdout)
            if not isinstance(error, BrokenPipeError):  # a reader that left (``| head``) wants no more
                self._lost = error

    def _say(self, label: str, message: str, color: str) -> None:
        if self.muted:
            return
        first, *rest = escape(message, keep="\n").split("\n")
        head = f"\x1b[{color}m{label}:\x1b[0m" if self.color and sys.stderr.isatty() else f"{label}:"
        _tell("\n".join([f"{head} {first}", *(f"  {line}" for line in rest)]))


class CountBar(Count):
    """A bar with the time left, which moves with each part of an item."""

    def __init__(self, total: int | None, bar: RichProgress, what: str, before: int) -> None:
        super().__init__(total, before)
        self._bar = bar
        self._task = bar.add_task(what, total=total, completed=before, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        super().advance(count, note)
        self.note(note)

    def note(self, note: str, part: float = 0.0) -> None:
        super().note(note, part)
        self._bar.update(self._task, completed=self.done + part, note=escape(note))


class CountLines(Count):
    """One plain line every ``interval`` seconds, for logs."""

    def __init__(self, total: int | None, what: str, interval: float, before: int) -> None:
        super().__init__(total, before)
        self._what = what
        self._interval = interval
        self._begun = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        super().advance(count, note)
        self.note(note)

    def note(self, note: str, part: float = 0.0) -> None:
        super().note(note, part)
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            of = "" if self.total is None else f"/{self.total}"
            _tell(f"{self._what} {self.done}{of} {escape(note)}".rstrip() + self._left(now - self._begun))

    def _left(self, seconds: float) -> str:
        """The time that the rest takes at the speed so far; nothing before there is a speed, and in the end."""
        done = self.done + self.part
        if self.total is None or not self.before < done < self.total:
            return ""
        minutes, rest = divmod(math.ceil(seconds * (self.total - done) / (done - self.before)), 60)
        return ", about " + (f"{minutes} min {rest} s" if minutes else f"{rest} s") + " left"


class Lenient(io.TextIOBase):
    """A stream whose reader may go: from then on what is written goes nowhere, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            silence(self._stream)
        return len(text)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def silence(stream: TextIO) -> None:
    """Send whatever a stream still gets, the interpreter's last flush included, nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _tell(text: str) -> None:
    """Write a line to stderr, for whoever still reads it."""
    Lenient(sys.stderr).write(f"{text}\n")


def _bar(color: bool) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=cast(TextIO, Lenient(sys.stderr)), no_color=not color),
        redirect_stdout=sys.stdout.isatty(),  # both on one terminal: print above the bar, not into it
    )


def _pairs(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {_cell(value)}" for key, value in record.items())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns under a rule; those that hold numbers are aligned to the right."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table

    rule = Box("    \n    \n -- \n    \n    \n    \n    \n    \n")  # nothing but a line under the head
    table = Table(box=rule, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head, column in zip(rows[0], zip(*rows[1:], strict=True), strict=True):
        number = all(re.fullmatch(r"-?[\d.]*|-?inf|nan", cell) for cell in column)
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    with (console := Console(width=10_000, color_system=None, markup=False)).capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]
