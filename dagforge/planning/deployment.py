"""What a deployment takes, for orchestrators that know such: who runs a flow, when, from where.

A deployment needs a work pool and a place that its workers fetch the flow's file from: a container
image that holds it, a source such as a git repository, or the folder that the file lies in.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from dagforge.errors import Origin, Problem, Problems
from dagforge.frozen import frozen
from dagforge.resolve import Settings

WORK_POOL = "work_pool_name"
DEPLOYED = ("deployment", "source")
"""Groups of settings that only a deployment takes."""
ANNOTATIONS: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    dict: "dict",
}
_STORED = frozenset({"from_variable", "from_block"})
_OF_THE_IMAGE = ("build", "push")
# What a parameter may say besides its default that an annotation can express or nobody misses.
_DESCRIBED_BY = frozenset({"default", "type", "title", "description"})


@frozen
class Parameter:
    """A parameter of a flow's runs.

    Attributes:
        annotation: Python type; None where the default has none that says something.
        default: what a run gets that is given no other value.
        required: it has no default.
        stored: name of what the orchestrator keeps, taken where a run gives no value; None if it
            keeps none.
        block: dotted path of the class that `stored` is of; None for a variable.
    """

    annotation: str | None
    default: Any
    required: bool = False
    stored: str | None = None
    block: str | None = None


@frozen
class Deployment:
    """What a flow is deployed with.

    Attributes:
        arguments: of the deployment's constructor, in the target's order; empty without one.
        source: of what fetches the code: `source`, where one is set. None when the image holds
            the code, or there is no deployment.
        folder: of the flow's file in the source.
        parameters: of the flow, by name.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] | None = None
    folder: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def deploy(
    given: Mapping[str, Any], settings: Settings, *, env: str | None, problems: Problems
) -> Deployment:
    """Return what a flow is deployed with.

    Args:
        given: typed values of the settings that only a deployment takes by argument, in the
            target's order.
        settings: where these were written.
        env: names the deployment that has no other name; None for base alone.
        problems: takes what the orchestrator would refuse, or leave out.
    """
    arguments = dict(given)
    parameters = _parameters(arguments.pop("parameters", {}), settings, problems)
    source = arguments.pop("source", None)
    if WORK_POOL not in arguments:
        _report_without_pool(given, settings, problems)
        return Deployment(parameters=parameters)
    image = arguments.get("image")
    if image is None:
        for name in _OF_THE_IMAGE:
            if arguments.pop(name, False) is True:
                problems.error(
                    "missing-setting",
                    f"'{name}' needs an `image`",
                    settings.place((name,), settings.dag_layers),
                    fix="set `image:` beside it, or leave it out",
                    at_key=True,
                )
    elif isinstance(image, str):
        _check_image(image, bool(arguments.get("build")), settings, problems)
    return Deployment(
        {"name": env or "default", **arguments},
        None
        if source is None and image is not None
        else {}
        if source is None
        else {"source": source},
        settings.for_dag().get("source_folder", ""),
        parameters,
    )


def _report_without_pool(given: Mapping[str, Any], settings: Settings, problems: Problems) -> None:
    """Refuse a schedule that nothing runs, and warn of the rest that would need a deployment."""
    written = [
        (name, at)
        for name, at in _written(given, settings)
        if name != "parameters" and given[_argument(name, settings)] is not None
    ]
    for name, at in written:
        if name == "schedule":
            problems.error(
                "missing-setting",
                f"a schedule needs a deployment, and that needs a `{WORK_POOL}`",
                at,
                fix=f"set `{WORK_POOL}:` beside it",
                at_key=True,
            )
            return
    if written:
        names = [f"'{name}'" for name, _ in written]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        problems.warn(
            Problem(
                "cannot-express",
                f"{listed} {'are' if len(names) > 1 else 'is'} left out: without a `{WORK_POOL}` "
                "there is no deployment",
                written[0][1],
                at_key=True,
            )
        )


def _argument(name: str, settings: Settings) -> str:
    return settings.target.arguments[name]


def _written(given: Mapping[str, Any], settings: Settings) -> Iterator[tuple[str, Origin | None]]:
    """Yield the deployment's settings that someone wrote, and where; DagForge's own are none."""
    for setting in settings.target.settings_for("dag"):
        if setting.group not in DEPLOYED or _argument(setting.name, settings) not in given:
            continue
        found = settings.explain((setting.name,), settings.dag_layers)
        if found and (found[0].at is not None or found[0].layer.label.startswith("--")):
            yield setting.name, found[0].at


def _check_image(image: str, built: bool, settings: Settings, problems: Problems) -> None:
    """Refuse an image that would become another one.

    As at 2026-11, Prefect 3.8 gives an image without a tag the present time for one, which exists
    only when it also builds the image, and writes a digest as if it were a tag.
    """
    last = image.rpartition("/")[2]
    at = settings.place(("image",), settings.dag_layers)
    if "@" in last:
        problems.error(
            "wrong-value",
            f"Prefect would look for the digest of '{image}' as if it were a tag",
            at,
            fix="name the image by a tag",
        )
    elif ":" not in last and not built:
        problems.error(
            "wrong-value",
            f"the image '{image}' has no tag: Prefect would make one up from the time of day",
            at,
            fix=f"write its tag, such as {image}:latest",
        )


# --- parameters


def _parameters(
    given: Mapping[str, Any] | object, settings: Settings, problems: Problems
) -> dict[str, Parameter]:
    def report(name: str, message: str, fix: str) -> None:
        at = settings.place(("parameters", name), settings.dag_layers)
        problems.error("wrong-value", message, at, fix=fix, at_key=True)

    if not isinstance(given, Mapping):
        at = settings.place(("parameters",), settings.dag_layers)
        message = "the parameters of a flow are its signature, and cannot come from an object"
        problems.error("wrong-type", message, at, fix="write them one by one")
        return {}
    taken = settings.target.facts.get("reserved_parameters", ())
    parameters: dict[str, Parameter] = {}
    for written, value in given.items():
        # A parameter of the project may be called by its own name, with dots.
        name = identifier(written) if "." in written else written
        if not name.isidentifier() or keyword.iskeyword(name):
            report(name, f"'{name}' cannot be a parameter of a flow", "a Python name")
        elif name in taken:
            report(name, f"a flow has a use of its own for '{name}'", "give it another name")
        parameters[name] = _parameter(name, value, report)
    return parameters


def _parameter(name: str, value: Any, report: Callable[[str, str, str], None]) -> Parameter:
    if is_stored(value):
        return _stored(name, value, report)
    if isinstance(value, Mapping) and "default" in value:
        unknown = sorted(value.keys() - _DESCRIBED_BY)
        if unknown:
            report(
                name,
                f"parameter '{name}' cannot have a '{unknown[0]}' here: a flow's parameter has a "
                "type and a default",
                "remove it",
            )
        value = value["default"]
    return Parameter(ANNOTATIONS.get(type(value)), value)


def identifier(name: str) -> str:
    """Return the name of a parameter as a Python name, such as `score_limit` for `score.limit`."""
    text = re.sub(r"\W", "_", name)
    text = f"_{text}" if text[:1].isdigit() else text
    return f"{text}_" if keyword.iskeyword(text) else text


def is_stored(value: Any) -> bool:
    """Say whether a parameter is spelled `{from_variable: ...}` or `{from_block: ...}`."""
    return isinstance(value, Mapping) and len(value) == 1 and value.keys() <= _STORED


def _stored(
    name: str, value: Mapping[str, Any], report: Callable[[str, str, str], None]
) -> Parameter:
    """Return a parameter whose value the orchestrator keeps: in a variable, or in a block."""
    [(kind, stored)] = value.items()
    if kind == "from_variable":
        if not isinstance(stored, str) or not stored:
            report(name, f"'from_variable' of '{name}' is no name", "the name of a variable")
        return Parameter(None, None, stored=str(stored))
    parts = stored if isinstance(stored, Mapping) else {}
    path, block = parts.get("type"), parts.get("name")
    words = path.split(".") if isinstance(path, str) else []
    if (
        parts.keys() != {"type", "name"}
        or not isinstance(block, str)
        or len(words) < 2
        or not all(word.isidentifier() and not keyword.iskeyword(word) for word in words)
    ):
        report(
            name,
            f"'from_block' of '{name}' does not say which block",
            "{type: dotted.path.of.its.Class, name: ...}",
        )
        return Parameter(None, None)
    return Parameter(None, None, stored=block, block=path)
