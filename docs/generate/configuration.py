"""The keys of the configuration."""

from __future__ import annotations

from docs.generate.markdown import first_paragraph, joined
from docs.generate.options import options_table
from idmcli import tasks
from idmcli.config.schema import ModelSettings, SolverConfig, TaskConfig, TrainingConfig
from idmcli.plugins import MODELS
from idmcli.tasks import OperatorOptions

HEAD = """A configuration has five sections: `[task]`, `[operator]`, `[solver]`, `[model]` and `[training]`. Its values
come from these sources; a later one wins:

1. the defaults on this page;
2. a preset (`--preset NAME`; `idm presets show NAME` prints it);
3. a TOML file of yours (`--config FILE`);
4. environment variables `IDM_SECTION__KEY`;
5. `--set section.key=value`, and the options that set a key, such as `--ratio`.

`--print-config` prints all values and where each came from. A key that belongs to another task, method or model is
an error.
"""


def page() -> str:
    """Every key, by section."""
    parts = ["# Configuration", HEAD, "## [task]", options_table(TaskConfig, prefix="task.")]
    parts += ["## [operator]", "Every task has these keys:", options_table(OperatorOptions, prefix="operator.")]
    common = {name for name in OperatorOptions.__dataclass_fields__}
    for kind in tasks.kinds():
        task = tasks.find(kind)
        parts += [f'### task.kind = "{kind}"', f"{task.summary[:1].upper()}{task.summary[1:]}."]
        parts += [first_paragraph(type(task).__doc__)]
        parts += [options_table(task.options, without=common, prefix="operator.") or "It has no other keys."]
    parts += ["## [solver]", options_table(SolverConfig, without={"options"}, prefix="solver.")]
    parts += ["The options of a method stand in this section too: see [Methods](methods.md)."]
    parts += ["## [model]", "Every model has this key:", options_table(ModelSettings, prefix="model.")]
    for name in MODELS.names():
        kind = MODELS.find(name)
        parts += [f'### model.kind = "{name}"', f"{kind.noun[:1].upper()}{kind.noun[1:]}."]
        parts += [options_table(kind.settings, without={"kind"}, prefix="model.")]
    parts += ["## [training]", options_table(TrainingConfig, prefix="training.")]
    return joined(*parts)
