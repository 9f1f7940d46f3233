"""The command line: run a command, and turn whatever stops it into a message and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import typer

from idmcli.cli.options import command_name, read_output_flags
from idmcli.cli.output import Output, silence
from idmcli.errors import IdmError, InputError, error_of

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(IdmError):
    """Stopped by a signal, or by the end of the input."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``idm`` with ``arguments`` (default: the process's own); returns the exit code.

    Codes: see :mod:`idmcli.errors`. Nobody has to read stdout or stderr: that changes neither what is done nor the
    code, except that a full disk under stdout is one.
    """
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    output = read_output_flags(arguments)
    output.arguments = arguments
    with _signals_as_exceptions() as received:
        error = _run(arguments, output)
    if error is not None and received:  # libraries make other exceptions of one
        error = _stopped(received[0])
    if error is not None:
        output.error(error)
        with suppress(OSError):
            output.finish(error)
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
    return 0 if error is None else error.exit_code


def _run(arguments: list[str], output: Output) -> IdmError | None:
    """Run one command; what stopped it, or None."""
    from idmcli.cli.app import command_tree

    try:
        _refuse_empty(arguments)
        code = command_tree()(arguments or ["--help"], prog_name="idm", obj=output, standalone_mode=False)
        if code == 130:  # Typer's word for Ctrl-C
            raise KeyboardInterrupt
        assert not code, "a command fails by raising an IdmError"
        if output.command:  # --help and --version are no commands
            output.finish()
    except BaseException as failure:
        return _translate(failure, output)
    return None


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an empty argument: a path would stand for the working folder."""
    for argument in arguments:
        if not argument or (argument.startswith("--") and argument.find("=") == len(argument) - 1 > 0):
            raise InputError(f"the argument {argument!r} is empty", "is a variable of the shell unset?")


def _translate(failure: BaseException, output: Output) -> IdmError | None:
    """The error to report for an exception that ended a command; None for a quiet end."""
    if isinstance(failure, SystemExit) and failure.code == 1 and isinstance(failure.__context__, BrokenPipeError):
        failure = failure.__context__  # Typer and rich make SystemExit(1) of it
    if output.debug:
        with suppress(OSError):
            traceback.print_exception(failure)
    match failure:
        case SystemExit(code=0 | None):
            return None
        case BrokenPipeError() if not output.command:  # the reader of --help has gone
            return None
        case IdmError():
            return failure
        case typer.TyperException():
            context = getattr(failure, "ctx", None)
            output.command = command_name(context) if context else output.command
            help_command = f"idm {output.command}".strip() + " --help"
            return InputError(failure.format_message().rstrip("."), f"`{help_command}` lists what is possible")
        case KeyboardInterrupt() | typer.Abort():
            return _stopped(signal.SIGINT)
        case SystemExit(code=129 | 143 as code):
            return _stopped(code - 128)
    if isinstance(failure, Exception):
        return error_of(failure)
    return IdmError(f"internal error: {type(failure).__name__}: {failure}", "run it again with --debug and report it")


def _stopped(number: int) -> Stopped:
    reason = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    return Stopped(reason, 128 + number)


@contextmanager
def _signals_as_exceptions() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that temporary files are removed.

    One that is ignored, as nohup and cron have it, stays ignored. Yields the numbers of those received.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    heeded = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
