"""Deploy generated files to the server of PREFECT_API_URL and print, as JSON, what it then holds.

Standard input is

    {"pools": {name: {"type": text, "image": bool}},
     "files": [path],
     "direct": [{argument of Flow.deploy: value}],
     "run": "flow/deployment" or null, "pool": name}

Each file runs as a script does. `direct` deploys a flow of this file with plain arguments. The
answer has `deployments` by flow and name, for each of `direct` the image that came out or the
error, and for `run` the state that a worker of the pool brought the deployment's run to.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import warnings
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate


def do_nothing() -> None:
    """Do nothing."""


nothing = flow(do_nothing, name="nothing")


def create_pools(pools: dict[str, dict[str, Any]]) -> None:
    """Create the work pools; one whose jobs run in containers has an image variable."""
    image = {
        "job_configuration": {"image": "{{ image }}", "env": "{{ env }}"},
        "variables": {
            "type": "object",
            "properties": {"image": {"type": "string"}, "env": {"type": "object"}},
        },
    }
    with get_client(sync_client=True) as client:
        for name, pool in pools.items():
            template = {"base_job_template": image} if pool["image"] else {}
            client.create_work_pool(WorkPoolCreate(name=name, type=pool["type"], **template))


def describe(deployment: Any, flow_name: str) -> dict[str, Any]:
    """Return a deployment of the server as JSON data."""
    limit = deployment.global_concurrency_limit
    options = deployment.concurrency_options
    return {
        "flow": flow_name,
        "name": deployment.name,
        "pool": deployment.work_pool_name,
        "queue": deployment.work_queue_name,
        "job": deployment.job_variables,
        "entrypoint": deployment.entrypoint,
        "path": deployment.path,
        "pull": deployment.pull_steps,
        "schedules": [
            {"active": each.active, **each.schedule.model_dump(mode="json")}
            for each in deployment.schedules
        ],
        "limit": limit.limit if limit else None,
        "collision": options.collision_strategy.value if options else None,
        "tags": deployment.tags,
        "description": deployment.description,
        "paused": deployment.paused,
        "version": deployment.version,
        "parameters": deployment.parameters,
        "schema": deployment.parameter_openapi_schema,
        "enforced": deployment.enforce_parameter_schema,
    }


def deployments() -> list[dict[str, Any]]:
    """Return every deployment of the server."""
    with get_client(sync_client=True) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {each.id: each.name for each in client.read_flows()}
        return [describe(each, names[each.flow_id]) for each in client.read_deployments()]


def try_script(path: str) -> str | None:
    """Run a file as a script; return the error if there is one."""
    try:
        runpy.run_path(path, run_name="__main__")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def try_directly(arguments: dict[str, Any]) -> str:
    """Return the image that a deployment with these arguments gets, or the error."""
    try:
        found = nothing.deploy(name="direct", print_next_steps=False, **arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    with get_client(sync_client=True) as client:
        return str(client.read_deployment(found).job_variables.get("image"))


def run_once(name: str, pool: str) -> dict[str, Any]:
    """Return the final state and id of a run of a deployment that a worker has executed."""
    from prefect.deployments import run_deployment

    started = run_deployment(name, timeout=0, as_subflow=False)
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--run-once"]
    subprocess.run(worker, check=True, stdout=sys.stderr)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(started.id)
    return {"state": run.state.type.value, "message": run.state.message, "id": str(run.id)}


def main() -> None:
    """Answer the question on standard input."""
    # Deploying writes to standard output; the answer must be alone there.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    create_pools(asked["pools"])
    raised = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path in asked["files"]:
            error = try_script(path)
            if error:
                raised.append(f"{path}: {error}")
    result = {
        "raised": raised,
        "warnings": [str(each.message) for each in caught if each.filename in asked["files"]],
        "deployments": deployments(),
        "direct": [try_directly(arguments) for arguments in asked["direct"]],
        "run": run_once(asked["run"], asked["pool"]) if asked["run"] else None,
    }
    json.dump(result, answer)
    answer.close()


if __name__ == "__main__":
    main()
