"""The exit codes."""

from __future__ import annotations

from collections.abc import Iterator

from docs.generate.markdown import first_paragraph, joined, table
from idmcli.errors import IdmError, ReportedElsewhere

TAIL = """Results go to stdout, everything else to stderr.

With `--json`, a command prints one object: `inputs` (every argument as it was given, under the names that `--help` has
for them; `--set` is called `settings`), `results`, `summary`, `warnings` and `error`.

To report a problem, add `--debug` to the command, and the output of `idm env`.
"""


def page() -> str:
    """Every code."""
    rows = {code: text for code, text in _errors(IdmError)}
    rows |= {0: "Success."} | {
        128 + n: f"Stopped by {name}." for n, name in ((1, "SIGHUP"), (2, "Ctrl-C"), (15, "SIGTERM"))
    }
    rows[70] = "An internal error: please report it."
    return joined("# Exit codes", table(("code", "meaning"), [(str(code), rows[code]) for code in sorted(rows)]), TAIL)


def _errors(error: type[IdmError]) -> Iterator[tuple[int, str]]:
    """The subclasses of an error, the nearest last."""
    for each in error.__subclasses__():
        yield from _errors(each)
        if "exit_code" in vars(each) and each is not ReportedElsewhere:
            yield each.exit_code, first_paragraph(each.__doc__)
