"""Write templates/airflow/kubernetes.json: the pod models of the Kubernetes client, as data.

    python scripts/kubernetes_models.py PYTHON [PYTHON ...]

Each PYTHON is the interpreter of an Airflow environment that is to load generated files. What is
written holds for all of their clients: a model's constructor raises TypeError for a field that it
does not know, so a field must be known to every one of them.

The file maps a model to its fields, each from the name in Kubernetes' YAML to
`[argument, type]` or `[argument, type, allowed values]`, and to its required fields:

    "V1Toleration": {"fields": {"tolerationSeconds": ["toleration_seconds", "int"]}, "required": []}

A type is `str`, `int`, `bool`, `quantity`, `int_or_str`, a model, or one of these in `list[...]` or
`dict[str, ...]`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = "V1Pod"
OUTPUT = Path(__file__).parents[1] / "templates" / "airflow" / "kubernetes.json"

# Set by the server; nobody writes them.
NOT_WRITTEN = {
    "V1Pod": {"status"},
    "V1ObjectMeta": {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
        "managedFields", "resourceVersion", "selfLink", "uid",
    },
}  # fmt: skip

# The client has str where Kubernetes has a quantity: 1, 0.5 and "500m" are all right in YAML.
QUANTITIES = {
    "V1EmptyDirVolumeSource": {"sizeLimit"},
    "V1ResourceFieldSelector": {"divisor"},
    "V1ResourceRequirements": {"limits", "requests"},
    "V1VolumeResourceRequirements": {"limits", "requests"},
    "V1PodSpec": {"overhead"},
}

# The client states allowed values in words only, so these are copied from there by hand, and
# `allowed_values` holds each of them against the words. Left out are lists that Kubernetes still
# adds to, such as the operator of a toleration (Lt and Gt since 1.35).
ALLOWED_VALUES = {
    "V1AppArmorProfile": {"type": ["Localhost", "RuntimeDefault", "Unconfined"]},
    "V1Container": {
        "imagePullPolicy": ["Always", "Never", "IfNotPresent"],
        "terminationMessagePolicy": ["File", "FallbackToLogsOnError"],
    },
    "V1ContainerPort": {"protocol": ["UDP", "TCP", "SCTP"]},
    "V1EmptyDirVolumeSource": {"medium": ["", "Memory"]},
    "V1LabelSelectorRequirement": {"operator": ["In", "NotIn", "Exists", "DoesNotExist"]},
    "V1NodeSelectorRequirement": {
        "operator": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    },
    "V1PodSecurityContext": {"fsGroupChangePolicy": ["OnRootMismatch", "Always"]},
    "V1PodSpec": {
        "dnsPolicy": ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
        "preemptionPolicy": ["Never", "PreemptLowerPriority"],
        "restartPolicy": ["Always", "OnFailure", "Never"],
    },
    "V1SeccompProfile": {"type": ["Localhost", "RuntimeDefault", "Unconfined"]},
    "V1Toleration": {"effect": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
    "V1TopologySpreadConstraint": {"whenUnsatisfiable": ["DoNotSchedule", "ScheduleAnyway"]},
}

# A model as {"fields": {key: [argument, type, ...]}, "required": [key, ...]}.
Model = dict[str, Any]


def read_client() -> dict[str, Model]:
    """Return every model that a pod can hold, as this environment's client has it."""
    models = importlib.import_module("kubernetes.client.models")
    found: dict[str, Model] = {}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _read_model(getattr(models, name))
            waiting += _models_in(found[name])
    return found


def _read_model(model: Any) -> Model:
    written = {
        key: argument
        for argument, key in model.attribute_map.items()
        if key not in NOT_WRITTEN.get(model.__name__, ())
    }
    return {
        "fields": {
            key: [
                argument,
                _type_of(model.__name__, key, model.openapi_types[argument]),
                *_allowed_values(model, key, argument),
            ]
            for key, argument in sorted(written.items())
        },
        "required": sorted(k for k, argument in written.items() if _is_required(model, argument)),
    }


def _type_of(model: str, key: str, spelled: str) -> str:
    """Return a field's type; older clients spell `dict[str, str]` as `dict(str, str)`."""
    kind = spelled.replace("(", "[").replace(")", "]")
    if key in QUANTITIES.get(model, ()):
        return "quantity" if kind == "str" else "dict[str, quantity]"
    return "int_or_str" if kind == "object" else kind


def _allowed_values(model: Any, key: str, argument: str) -> list[list[str]]:
    """Return the allowed values of a field in a list, or an empty list where any value goes.

    Raises:
        ValueError: the client's own description does not name one of the values.
    """
    values = ALLOWED_VALUES.get(model.__name__, {}).get(key)
    if values is None:
        return []
    description = inspect.getdoc(getattr(model, argument)) or ""
    if missing := [value for value in values if value not in description]:
        raise ValueError(f"{model.__name__}.{key}: {missing} is not in: {description}")
    return [values]


def _is_required(model: Any, argument: str) -> bool:
    """Return whether the constructor refuses None, which only the source of the setter says."""
    return "must not be `None`" in inspect.getsource(getattr(model, argument).fset)


def _models_in(model: Model) -> list[str]:
    types = (field[1] for field in model["fields"].values())
    return [name for kind in types for name in re.findall(r"\b\w*V\d\w+", kind)]


def common(clients: list[dict[str, Model]]) -> dict[str, Model]:
    """Return the models and fields that all clients have alike, as far as a pod still reaches them.

    A field is required when any client requires it.
    """
    found: dict[str, Model] = {}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        versions = [client.get(name) for client in clients]
        if name not in found and all(versions):
            found[name] = _common_model([version for version in versions if version])
            waiting += _models_in(found[name])
    return {
        name: {**model, "fields": _reachable_fields(model["fields"], found)}
        for name, model in sorted(found.items())
    }


def _common_model(versions: list[Model]) -> Model:
    fields = {
        key: field
        for key, field in versions[0]["fields"].items()
        if all(version["fields"].get(key) == field for version in versions)
    }
    required = {key for version in versions for key in version["required"]}
    return {"fields": fields, "required": sorted(required & set(fields))}


def _reachable_fields(fields: dict[str, Any], models: dict[str, Model]) -> dict[str, Any]:
    return {
        key: field
        for key, field in fields.items()
        if all(name in models for name in _models_in({"fields": {key: field}}))
    }


def to_json(models: dict[str, Model]) -> str:
    """Return the models as JSON with one field a line, so that a change shows as one line."""
    return "{\n" + ",\n".join(_model_to_json(name, models[name]) for name in models) + "\n}\n"


def _model_to_json(name: str, model: Model) -> str:
    fields = ",\n".join(
        f"   {json.dumps(key)}: {json.dumps(field)}" for key, field in model["fields"].items()
    )
    return (
        f' {json.dumps(name)}: {{\n  "fields": {{\n{fields}\n  }},\n'
        f'  "required": {json.dumps(model["required"])}\n }}'
    )


def make(interpreters: list[str]) -> str:
    """Return the text of kubernetes.json for the environments of these interpreters."""
    return to_json(common([_dump(interpreter) for interpreter in interpreters]))


def _dump(interpreter: str) -> dict[str, Model]:
    command = [interpreter, __file__, "--dump"]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    models: dict[str, Model] = json.loads(run.stdout)
    return models


def main() -> None:
    """Write the file, or with --dump print the models of the running environment's client."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("interpreters", nargs="*", metavar="PYTHON")
    parser.add_argument("--dump", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.dump:
        json.dump(read_client(), sys.stdout)
    elif given.interpreters:
        OUTPUT.write_text(make(given.interpreters), encoding="utf-8")
    else:
        parser.error("name at least one interpreter")


if __name__ == "__main__":
    main()
