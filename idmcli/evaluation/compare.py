"""The comparison of methods on pictures: each picture is measured, reconstructed by each method, and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from idmcli import solvers
from idmcli.batch import try_each
from idmcli.distributed import Processes
from idmcli.errors import ConfigError, IdmError, InputError
from idmcli.evaluation.benchmark import Benchmark
from idmcli.evaluation.comparison import Comparison
from idmcli.evaluation.score_log import ScoreLog
from idmcli.io.images import MAX_PIXELS, read_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale
from idmcli.measuring import operator_for
from idmcli.reporting import Count, Listener


def compare(
    comparison: Comparison,
    pictures: Sequence[Item],
    *,
    processes: Processes,
    listener: Listener,
    log: ScoreLog | None = None,
    shown: Sequence[Item] = (),
    max_pixels: int = MAX_PIXELS,
    scale: Scale | None = None,
) -> None:
    """Score this process's share of the pictures, every N-th of them, into ``comparison``.

    A picture that cannot be read or measured does not stop the others; a single picture does.

    Args:
        comparison: gains scores, warnings and failures as they are found.
        pictures: files and pages.
        processes: the processes that share the pictures.
        listener: told of progress, warnings and failures.
        log: gets each score at once.
        shown: pictures to keep views of.
        max_pixels: larger pictures are refused.
        scale: what 0 and 1 stand for in the pictures, as :func:`idmcli.io.images.read_image` takes it.

    Raises:
        ConfigError: a method cannot run here.
        InputError, NumericalError: the only picture failed.
    """

    def warn(message: str) -> None:
        comparison.findings.warnings.append(message)
        listener.warning(message)

    def work(item: Item, count: Count) -> None:
        image = read_image(item, scale=scale, max_pixels=max_pixels)
        for note in dict.fromkeys(image.notes):
            warn(f"{str(item)!r}: {note}")
        for result in comparison.benchmark.run(image, count.note, lambda doubt: warn(f"{str(item)!r}: {doubt}")):
            comparison.findings.take(result, show=item in shown)
            if log is not None:
                log.add(result.score)

    def failed(item: Item, error: IdmError) -> None:
        comparison.findings.failures.append((str(item), error))
        if len(pictures) == 1:
            raise error from None
        listener.failure(str(item), error)

    try_each(pictures[processes.rank :: processes.size], work, listener, "evaluating", failed)


def check_weights_are_taken(named: Mapping[str, object], methods: Sequence[str | None]) -> None:
    """Raise InputError if weights were named that none of the methods takes.

    Args:
        named: the files by kind, as :meth:`idmcli.methods.Methods.named` gives them.
        methods: names; None for the default method.
    """
    wanted = [solvers.find(name).weights for name in methods if name is not None]
    for kind, path in named.items():
        if wanted and kind not in wanted:
            raise InputError(
                f"{str(path)!r} is {solvers.need_text(kind)}, which none of these methods takes",
                f"methods for it: {', '.join(solvers.running_on(kind))}",
            )


def with_all_methods(
    benchmark: Benchmark, pictures: Sequence[Item], max_pixels: int = MAX_PIXELS
) -> tuple[Benchmark, Mapping[str, str]]:
    """The benchmark with all methods that apply to the first picture that can be measured, and why others do not.

    Raises:
        ConfigError: no method applies.
    """
    for item in pictures:
        try:
            image = read_image(item, max_pixels=max_pixels)
            operators = [operator_for(image, config) for config in benchmark.configs]
        except InputError:  # told when its turn comes
            continue
        ready, left_out = benchmark.applicable(operators)
        if not ready:
            reasons = "\n".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ConfigError(f"no method applies\n{reasons}", "`idm methods` says what each needs")
        return replace(benchmark, methods=ready), left_out
    return replace(benchmark, methods=[None]), {}
