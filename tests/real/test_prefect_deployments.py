"""What stands under `__main__` of a generated flow: a server accepts it and holds what was set."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dagforge.build import Request, build
from tests.projects import PIPELINES, build_project, problems_of
from tests.real.prefect_environment import ask, events, stub_on_path

PROJECT = Path(__file__).parents[2]
TRICKY = 'O\'Brien "R&D" \\ {{ ds }}'
POOLS = {
    "kubernetes": {"type": "kubernetes", "image": True},
    "local": {"type": "process", "image": False},
}
WHOLE = """
    default:
      dag_id: whole
      deployment_name: all of it
      work_pool_name: kubernetes
      work_queue_name: fast
      image: example.com/team/etl:1.4.0
      job_variables:
        env: {TITLE: 'O''Brien "R&D" \\ {{ ds }}', EMPTY: ""}
        nested: [1, 2.5, null, {a: true}]
      schedule: 90m
      paused: true
      max_active_runs:
        call: prefect.client.schemas.objects.ConcurrencyLimitConfig
        args: {limit: 3, collision_strategy: CANCEL_NEW}
      parameters: {size: 1, title: 'O''Brien "R&D" \\ {{ ds }}', names: [a]}
      enforce_parameter_schema: true
      deployment_description: 'O''Brien "R&D" \\ {{ ds }}'
      tags: [nightly, 'O''Brien "R&D" \\ {{ ds }}']
      deployment_version: "7"
      ignore_warnings: true
      print_next_steps: false
    """
LOCAL = """
    default:
      dag_id: by hand
      work_pool_name: local
      schedule: "@weekly"
      timezone: Europe/Warsaw
    """
IN_GIT = """
    default:
      dag_id: in-git
      work_pool_name: kubernetes
      image: example.com/team/etl@1.4.0
      source: {call: prefect.runner.storage.GitRepository, args: {url: "file://%s", branch: main}}
      source_folder: flows
    """


def flow_file(folder: Path, settings: str, env: str | None = None) -> Path:
    """Write the flow of a small project with these settings and return its file."""
    files = {"conf/base/prefect.yml": settings}
    [file] = build_project(folder, files, target="prefect", env=env, render=True).files
    path = folder / file.path
    path.write_text(file.text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def answer(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Deploy everything that is tried here, once."""
    root = tmp_path_factory.mktemp("deployments")
    request = Request(root=PROJECT, target="prefect", env="cloud", every=True)
    files = []
    for file in build(request).files:
        (root / file.path).write_text(file.text, encoding="utf-8")
        files.append(root / file.path)
    files.append(flow_file(root / "whole", WHOLE))
    files.append(flow_file(root / "local", LOCAL))
    repository = root / "repository.git"
    in_git = IN_GIT.replace("@1.4.0", ":1.4.0") % repository
    files.append(flow_file(root / "git", in_git))
    commit_to(repository, files[-1])
    question = {
        "pools": POOLS,
        "files": [str(path) for path in files],
        "direct": [
            {"work_pool_name": "kubernetes", "image": "team/etl", "build": False},
            {"work_pool_name": "kubernetes", "image": "team/etl@sha256:0123", "build": False},
            {"work_pool_name": "kubernetes", "build": False},
            {"work_pool_name": "local", "image": "team/etl:1", "build": False},
        ],
        "run": "by hand/default",
        "pool": "local",
    }
    log = str(root / "stub.log")
    path = stub_on_path(root / "bin")
    said = ask("prefect_deploy.py", question, root, server, PATH=path, STUB_LOG=log)
    return {**said, "root": root, "log": Path(log)}


def commit_to(repository: Path, file: Path) -> None:
    """Make a git repository with a file in its folder `flows`."""
    folder = repository / "flows"
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(file.read_bytes())
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (
        ["git", "init", "--quiet", "--initial-branch", "main"],
        ["git", "add", "."],
        ["git", *who, "commit", "--quiet", "--message", "flows"],
    ):
        subprocess.run(command, cwd=repository, check=True, env=environment)


def deployment(answer: dict[str, Any], flow: str) -> dict[str, Any]:
    """Return the only deployment of a flow."""
    [found] = [each for each in answer["deployments"] if each["flow"] == flow]
    assert isinstance(found, dict)
    return found


def test_the_server_accepts_every_deployment(answer: dict[str, Any]) -> None:
    assert answer["raised"] == []
    assert answer["warnings"] == []
    assert sorted(each["flow"] for each in answer["deployments"] if each["name"] != "direct") == [
        "by hand",
        "in-git",
        "spaceflights",
        "spaceflights-data-processing",
        "spaceflights-data-science",
        "whole",
    ]


def test_spaceflights_in_the_cloud(answer: dict[str, Any]) -> None:
    found = deployment(answer, "spaceflights")
    image = "europe-west1-docker.pkg.dev/example-project/images/spaceflights-prefect:1.4.0"
    assert found["name"] == "cloud"
    assert found["pool"] == "kubernetes"
    assert found["job"] == {"image": image}
    assert found["limit"] == 1
    assert found["entrypoint"] == "spaceflights.py:spaceflights"
    assert found["description"] == "From the raw files to a scored price model."
    [schedule] = found["schedules"]
    assert schedule == {
        "active": True,
        "cron": "0 6 * * 1-5",
        "timezone": "Europe/Warsaw",
        "day_or": True,
    }


def test_a_deployment_holds_every_setting(answer: dict[str, Any]) -> None:
    found = deployment(answer, "whole")
    env = {"TITLE": TRICKY, "EMPTY": ""}
    assert found["name"] == "all of it"
    assert found["queue"] == "fast"
    assert found["job"] == {
        "env": env,
        "nested": [1, 2.5, None, {"a": True}],
        "image": "example.com/team/etl:1.4.0",
    }
    assert [each["interval"] for each in found["schedules"]] == [5400.0]
    assert found["paused"] is True
    assert found["limit"] == 3
    assert found["collision"] == "CANCEL_NEW"
    assert found["description"] == TRICKY
    assert found["tags"] == ["nightly", TRICKY]
    assert found["version"] == "7"
    assert found["enforced"] is True
    defaults = {
        name: (entry["type"], entry["default"])
        for name, entry in found["schema"]["properties"].items()
    }
    assert defaults == {
        "size": ("integer", 1),
        "title": ("string", TRICKY),
        "names": ("array", ["a"]),
    }
    assert found["schema"].get("required", []) == []


def test_without_an_image_workers_read_the_file_where_it_lies(answer: dict[str, Any]) -> None:
    found = deployment(answer, "by hand")
    assert found["name"] == "default"
    assert found["entrypoint"] == "by_hand.py:by_hand"
    assert found["path"] is None
    folder = str(answer["root"] / "local")
    step = "prefect.deployments.steps.set_working_directory"
    assert found["pull"] == [{step: {"directory": folder}}]
    [schedule] = found["schedules"]
    assert (schedule["cron"], schedule["timezone"]) == ("0 0 * * 0", "Europe/Warsaw")


def test_a_worker_runs_the_deployment(answer: dict[str, Any]) -> None:
    assert answer["run"]["state"] == "COMPLETED", answer["run"]
    started = [each["argv"] for each in events(answer["log"]) if each["event"] == "start"]
    assert [words[words.index("--nodes") + 1] for words in started] == ["load", "clean"]
    assert {words[words.index("--run-id") + 1] for words in started} == {answer["run"]["id"]}


def test_the_source_can_be_a_git_repository(answer: dict[str, Any]) -> None:
    found = deployment(answer, "in-git")
    assert found["entrypoint"] == "flows/in_git.py:in_git"
    [step] = found["pull"]
    [(name, arguments)] = step.items()
    assert name == "prefect.deployments.steps.git_clone"
    assert arguments["repository"] == f"file://{answer['root'] / 'repository.git'}"
    assert arguments["branch"] == "main"
    assert found["job"] == {"image": "example.com/team/etl:1.4.0"}


def test_what_is_refused_would_go_wrong_in_prefect(answer: dict[str, Any], tmp_path: Path) -> None:
    untagged, digest, nowhere, in_a_process = answer["direct"]
    assert untagged.startswith("team/etl:20")
    assert digest == "team/etl:sha256:0123"
    assert nowhere.startswith("ValueError: Either an image or remote storage location")
    assert "does not support custom Docker images" in in_a_process

    def refused(settings: str) -> list[str]:
        nodes = "a: {nodes: [{name: load, command: [load]}]}"
        files = {PIPELINES: nodes, "conf/base/prefect.yml": f"default: {{{settings}}}"}
        return problems_of(tmp_path, files, target="prefect")

    pool = "work_pool_name: kubernetes"
    assert refused(f"{pool}, image: team/etl") == [
        "conf/base/prefect.yml:1:46: error: the image 'team/etl' has no tag: Prefect would make "
        "one up from the time of day [wrong-value]\n"
        "  fix: write its tag, such as team/etl:latest"
    ]
    assert refused(f"{pool}, image: team/etl, build: true") == []
    assert refused(f'{pool}, image: "example.com:5000/etl@sha256:0123"') == [
        "conf/base/prefect.yml:1:46: error: Prefect would look for the digest of "
        "'example.com:5000/etl@sha256:0123' as if it were a tag [wrong-value]\n"
        "  fix: name the image by a tag"
    ]
    assert refused(f"{pool}, push: true") == [
        "conf/base/prefect.yml:1:39: error: 'push' needs an `image` [missing-setting]\n"
        "  fix: set `image:` beside it, or leave it out"
    ]
    assert refused('schedule: "@daily"') == [
        "conf/base/prefect.yml:1:11: error: a schedule needs a deployment, and that needs a "
        "`work_pool_name` [missing-setting]\n"
        "  fix: set `work_pool_name:` beside it"
    ]
    assert refused("tags: [a], image: 'team/etl:1'") == [
        "conf/base/prefect.yml:1:22: warning: 'image' and 'tags' are left out: without a "
        "`work_pool_name` there is no deployment [cannot-express]"
    ]
    assert refused(f'{pool}, schedule: "@once"') == [
        "conf/base/prefect.yml:1:49: error: Prefect has no schedule '@once' [cannot-express]\n"
        "  fix: write a cron or a duration, or null for never"
    ]
