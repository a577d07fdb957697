"""The pods that the real operators would request are valid and hold what was planned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from dagforge.planning.model import DagPlan, Task
from dagforge.target import Target
from dagforge.values import Instance, Literal, Model, RunValue
from tests.real.airflow_plans import (
    CONTEXT,
    EVERY_FILE,
    PlannedFile,
    answer_of,
    arguments_of,
    as_template,
    defaults_of,
    home,
)

__all__ = ["home"]

KUBERNETES = "1.37"
Pod = Mapping[str, Any]

RENDERED: Mapping[str, str] = {
    **{name: value for name, value in CONTEXT.items() if isinstance(value, str)},
    **{f"var.value.{name}": value for name, value in CONTEXT["variables"].items()},
    **{f"params.{name}": value for name, value in CONTEXT["params"].items()},
}

# Where an argument of the operator stands in a pod: of its metadata, its spec, its main container.
METADATA = {"namespace": "namespace", "labels": "labels", "annotations": "annotations"}
SPEC = {
    "active_deadline_seconds": "activeDeadlineSeconds",
    "affinity": "affinity",
    "automount_service_account_token": "automountServiceAccountToken",
    "dns_config": "dnsConfig",
    "dnspolicy": "dnsPolicy",
    "host_aliases": "hostAliases",
    "hostname": "hostname",
    "hostnetwork": "hostNetwork",
    "image_pull_secrets": "imagePullSecrets",
    "init_containers": "initContainers",
    "node_selector": "nodeSelector",
    "priority_class_name": "priorityClassName",
    "runtime_class_name": "runtimeClassName",
    "schedulername": "schedulerName",
    "security_context": "securityContext",
    "service_account_name": "serviceAccountName",
    "subdomain": "subdomain",
    "termination_grace_period": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
    "volumes": "volumes",
}
CONTAINER = {
    "arguments": "args",
    "cmds": "command",
    "container_resources": "resources",
    "container_security_context": "securityContext",
    "env_from": "envFrom",
    "image": "image",
    "image_pull_policy": "imagePullPolicy",
    "pod_runtime_info_envs": "env",
    "ports": "ports",
    "termination_message_policy": "terminationMessagePolicy",
    "volume_mounts": "volumeMounts",
}
# Arguments that say how the operator finds the cluster, waits for the pod and tells of it.
NOT_IN_THE_POD = {
    "base_container_status_polling_interval", "callbacks", "cluster_context", "cluster_name",
    "config_file", "container_logs", "container_name_log_prefix_enabled", "deferrable", "durable",
    "gcp_conn_id", "get_logs", "impersonation_chain", "in_cluster", "init_container_logs",
    "kubernetes_conn_id", "location", "log_events_on_failure", "log_events_on_startup",
    "log_formatter", "log_pod_spec_on_failure", "logging_interval", "on_finish_action",
    "on_kill_action", "poll_interval", "project_id", "reattach_on_restart",
    "schedule_timeout_seconds", "skip_on_exit_code", "startup_check_interval_seconds",
    "startup_timeout_seconds", "trigger_kwargs", "use_dns_endpoint", "use_internal_ip",
}  # fmt: skip
# Arguments that have a test of their own below.
APART = {
    "base_container_name", "configmaps", "do_xcom_push", "env_vars", "full_pod_spec", "name",
    "pod_template_dict", "pod_template_file", "random_name_suffix", "secrets",
    "xcom_sidecar_container_security_context",
}  # fmt: skip


def rendered(value: Any, dag: DagPlan) -> Any:
    """Return a planned value as it is when Airflow has rendered it."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, RunValue):
        if value.name == "parameters":
            params = defaults_of(dag)
            return json.dumps({name: params[key] for name, key in value.keys}, sort_keys=True)
        return rendered(as_template(value), dag)
    if isinstance(value, str):
        return re.sub(r"{{ ([\w.]+) }}", lambda match: RENDERED[match[1]], value)
    if isinstance(value, Mapping):
        return {key: rendered(inner, dag) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rendered(inner, dag) for inner in value]
    return value


def as_kubernetes(value: Any, target: Target, dag: DagPlan) -> Any:
    """Return planned values in Kubernetes' own YAML, rendered."""
    if isinstance(value, Model):
        fields = target.kubernetes_models[value.type]["fields"]
        names = {entry[0]: name for name, entry in fields.items()}
        return {
            names[key]: as_kubernetes(inner, target, dag) for key, inner in value.fields.items()
        }
    if isinstance(value, (list, tuple)):
        return [as_kubernetes(inner, target, dag) for inner in value]
    return rendered(value, dag)


def holds(found: Any, planned: Any) -> bool:
    """Say whether a pod's value holds the planned one; operators add to mappings and lists."""
    if isinstance(planned, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and holds(found[key], value) for key, value in planned.items()
        )
    if isinstance(planned, list):
        return isinstance(found, list) and all(
            any(holds(each, value) for each in found) for value in planned
        )
    return type(found) is type(planned) and bool(found == planned)


def main_container(task: Task, file: PlannedFile, pod: Pod) -> Mapping[str, Any]:
    name = arguments_of(task, file.dag).get("base_container_name", "base")
    (found,) = (each for each in pod["spec"]["containers"] if each["name"] == name)
    container: Mapping[str, Any] = found
    return container


def pods(version: str, home: Path) -> Iterator[tuple[PlannedFile, Task, Pod | None]]:
    """Yield every task that runs in a pod of a golden file, and the pod."""
    files, answer = answer_of(version, home)
    for file in files:
        tasks = answer[str(file.path)]["dags"][file.dag.dag_id]["tasks"]
        for task in file.dag.tasks:
            if task.operator.rpartition(".")[2] in ("KubernetesPodOperator", "GKEStartPodOperator"):
                yield file, task, tasks[task.task_id]["pod"]


@pytest.mark.parametrize("version", EVERY_FILE)
def test_pods_are_what_kubernetes_takes(version: str, home: Path) -> None:
    count = 0
    for file, task, pod in pods(version, home):
        if pod is None:
            assert "pod_template_file" in task.arguments, (file.path, task.task_id)
            continue
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        count += 1
    assert count > 60


@pytest.mark.parametrize("version", EVERY_FILE)
def test_pods_hold_what_was_planned(version: str, home: Path) -> None:
    wrong = []
    for file, task, pod in pods(version, home):
        if pod is None:
            continue
        container = main_container(task, file, pod)
        planned = arguments_of(task, file.dag)
        for place, names in (
            (pod["metadata"], METADATA),
            (pod["spec"], SPEC),
            (container, CONTAINER),
        ):
            for argument, name in names.items():
                if argument in planned and (file.builtin or argument not in ("cmds", "arguments")):
                    value = as_kubernetes(planned[argument], file.target, file.dag)
                    if not holds(place.get(name), value):
                        wrong.append((file.path, task.task_id, argument, place.get(name), value))
        exact = (("command", "cmds"), ("args", "arguments"), ("resources", "container_resources"))
        wrong += [
            (file.path, task.task_id, argument, container.get(name), planned.get(argument))
            for name, argument in exact
            if file.builtin
            and container.get(name) != as_kubernetes(planned.get(argument), file.target, file.dag)
        ]
    assert wrong == []


@pytest.mark.parametrize("version", EVERY_FILE)
def test_pod_names(version: str, home: Path) -> None:
    for file, task, pod in pods(version, home):
        if pod is None or task.runs == "operator":
            continue
        name = re.escape(task.pod_name)
        if arguments_of(task, file.dag).get("random_name_suffix", True):
            name += "-[a-z0-9]{8}"
        assert re.fullmatch(name, pod["metadata"]["name"])
        assert len(pod["metadata"]["name"]) <= 63


@pytest.mark.parametrize("version", EVERY_FILE)
def test_environment_secrets_and_config_maps(version: str, home: Path) -> None:
    for file, task, pod in pods(version, home):
        if pod is None:
            continue
        planned = arguments_of(task, file.dag)
        container = main_container(task, file, pod)
        variables = planned.get("env_vars", {})
        if isinstance(variables, dict):
            variables = [
                {"name": key, "value": rendered(text, file.dag)} for key, text in variables.items()
            ]
        assert holds(container.get("env", []), as_kubernetes(variables, file.target, file.dag))
        maps = [{"configMapRef": {"name": name}} for name in planned.get("configmaps", ())]
        assert holds(container.get("envFrom", []), maps)
        for secret in planned.get("secrets", ()):
            assert isinstance(secret, Instance)
            check_secret(secret.arguments, pod, container)


def check_secret(secret: Mapping[str, Any], pod: Pod, container: Mapping[str, Any]) -> None:
    name = secret["secret"]
    if secret["deploy_type"] == "volume":
        (volume,) = (
            each["name"]
            for each in pod["spec"]["volumes"]
            if each.get("secret", {}).get("secretName") == name
        )
        mount = {"name": volume, "mountPath": secret["deploy_target"]}
        assert holds(container["volumeMounts"], [mount])
    elif secret["deploy_target"] is None:
        assert holds(container["envFrom"], [{"secretRef": {"name": name}}])
    else:
        reference = {"secretKeyRef": {"name": name, "key": secret["key"]}}
        variable = {"name": secret["deploy_target"], "valueFrom": reference}
        assert holds(container["env"], [variable])


def containers(pod: Pod) -> Any:
    return pod["spec"]["containers"]


def names_of_containers(pod: Pod) -> list[str]:
    return [each["name"] for each in containers(pod)]


PRE_STOP = {"exec": {"command": ["sh", "-c", 'echo "2024-01-01"']}}
PARTS: list[tuple[str, Callable[[Pod], Any], Any]] = [
    ("everything", names_of_containers, ["main", "airflow-xcom-sidecar"]),
    ("everything", lambda pod: containers(pod)[1]["securityContext"], {"runAsNonRoot": True}),
    ("overridden", names_of_containers, ["base"]),
    ("overridden", lambda pod: pod["metadata"]["labels"]["override"], "yes"),
    ("overridden", lambda pod: pod["spec"]["shareProcessNamespace"], True),
    ("overridden", lambda pod: pod["spec"]["topologySpreadConstraints"][0]["topologyKey"], "zone"),
    ("overridden", lambda pod: containers(pod)[0]["livenessProbe"]["periodSeconds"], 30),
    ("overridden", lambda pod: containers(pod)[0]["lifecycle"]["preStop"], PRE_STOP),
    ("whole_spec", names_of_containers, ["base", "proxy"]),
    ("whole_spec", lambda pod: pod["metadata"]["labels"]["whole"], "yes"),
    ("whole_spec", lambda pod: pod["spec"]["enableServiceLinks"], False),
    ("whole_spec", lambda pod: containers(pod)[0]["workingDir"], "/app"),
]  # fmt: skip


@pytest.mark.parametrize("version", EVERY_FILE)
def test_overrides_of_pods(version: str, home: Path) -> None:
    found = {
        (file.target.name, str(task.task_id)): pod
        for file, task, pod in pods(version, home)
        if file.case == "pods"
    }
    for target in ("airflow-k8s", "airflow-gke"):
        for task_id, part, expected in PARTS:
            pod = found[target, task_id]
            assert pod is not None
            assert part(pod) == expected, (target, task_id, expected)


def test_every_setting_of_pods_is_set_in_a_case(home: Path) -> None:
    files, _ = answer_of(EVERY_FILE[0], home)
    used = {
        name
        for file in files
        if file.case == "pods"
        for task in file.dag.tasks
        for name in arguments_of(task, file.dag)
    }
    target = files[0].target
    settings = {
        target.arguments[name]
        for name, setting in target.settings.items()
        if name in target.arguments and setting.kinds and setting.kinds & {"pod", "gke"}
    }
    assert settings - used == set()
    known = {*METADATA, *SPEC, *CONTAINER, *NOT_IN_THE_POD, *APART}
    assert settings - known == set()
