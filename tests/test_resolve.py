"""Settings: which layer wins, how values merge, where they came from, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagforge.resolve import merge
from tests.projects import AIRFLOW, PIPELINES, argument_of, build_project, problems_of

IMAGE = "conf/base/dagforge.yml"
WITH_IMAGE = {IMAGE: "default: {image: 'registry/image:1'}"}


@pytest.mark.parametrize(
    ("files", "params", "expected"),
    [
        ({"conf/base/dagforge.yml": "default: {image: i, retries: 1}"}, {}, 1),
        (
            {
                "conf/base/dagforge.yml": "default: {image: i, retries: 1}",
                "conf/base/airflow.yml": "default: {retries: 2}",
            },
            {},
            2,
        ),
        (
            {
                "conf/base/airflow.yml": "default: {image: i, retries: 2}",
                "conf/prod/dagforge.yml": "default: {retries: 3}",
            },
            {},
            3,
        ),
        (
            {
                "conf/base/airflow.yml": "etl: {image: i, retries: 4}",
                "conf/prod/airflow.yml": "default: {retries: 3}",
            },
            {},
            4,
        ),
        (
            {
                "conf/base/airflow.yml": """
                    default: {image: i, for_tags: {'machine:small': {retries: 5}}}
                    etl: {retries: 4}
                    """,
            },
            {},
            5,
        ),
        (
            {
                "conf/base/airflow.yml": """
                    default: {image: i, for_tags: {'machine:small': {retries: 5}}}
                    etl: {for_tags: {'machine:small': {retries: 6}}}
                    """,
            },
            {},
            6,
        ),
        (
            {
                "conf/base/airflow.yml": """
                    default: {image: i, for_tasks: {load: {retries: 7}}}
                    etl: {for_tags: {'machine:small': {retries: 6}}}
                    """,
            },
            {},
            7,
        ),
        (
            {
                "conf/base/airflow.yml": """
                    default: {image: i, for_tasks: {load: {retries: 7}}}
                    etl: {for_tasks: {load: {retries: 8}}}
                    """,
            },
            {},
            8,
        ),
        (
            {
                PIPELINES: """
                    etl:
                      nodes:
                        - {name: load, func: "a:b", settings: {retries: 9}}
                    """,
                "conf/base/airflow.yml": "etl: {image: i, for_tasks: {load: {retries: 8}}}",
            },
            {},
            9,
        ),
        (
            {
                PIPELINES: """
                    etl:
                      nodes:
                        - {name: load, func: "a:b", settings: {retries: 9}}
                    """,
                "conf/base/airflow.yml": "etl: {image: i}",
            },
            {"retries": 10},
            10,
        ),
    ],
    ids=[
        "default",
        "orchestrator's file over dagforge's",
        "environment over base",
        "pipeline over environment's default",
        "tag over pipeline",
        "pipeline's tag over default's tag",
        "task over tag",
        "pipeline's task over default's task",
        "node over task",
        "command line over all",
    ],
)
def test_the_more_specific_layer_wins(
    files: dict[str, str], params: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    env = "prod" if any("prod" in name for name in files) else None
    if any("machine:small" in text for text in files.values()) or PIPELINES not in files:
        files = {"conf/base/dagforge-m.yml": "default: {machines: {small: {}}}", **files}
    found = build_project(tmp_path, files, env=env, params=params)
    assert argument_of(found.dags[0], "load", "retries") == expected


def test_mappings_merge_deeply_and_everything_else_replaces() -> None:
    low = {"labels": {"a": "1", "b": "2"}, "tags": ["x", "y"], "retries": 1}
    high = {"labels": {"b": None, "c": "3"}, "tags": ["z"], "retries": None}
    assert merge(low, high) == {
        "labels": {"a": "1", "c": "3"},
        "tags": ["z"],
        "retries": None,
    }


MACHINES = "machines: {small: {requests: {cpu: 1}, limits: {cpu: 2}}, large: {}}"


@pytest.mark.parametrize(
    ("base", "env", "name", "expected"),
    [
        ("labels: {team: a, tier: b}", "labels: {team: null}", "labels", {"tier": "b"}),
        ("labels: {tier: b}", "labels: {team: null}", "labels", {"tier": "b"}),
        (
            "env_vars: {A: '1', B: {literal: '2'}}",
            "env_vars: {A: null, B: null, C: '3'}",
            "env_vars",
            {"C": "3"},
        ),
        (
            MACHINES,
            "machines: {small: {limits: {cpu: null}}, large: null}",
            "machines",
            {"small": {"requests": {"cpu": 1}, "limits": {}}},
        ),
        (
            "pod_overrides: {spec: {hostNetwork: true, priority: 5}}",
            "pod_overrides: {spec: {hostNetwork: null}}",
            "pod_overrides",
            {"spec": {"priority": 5}},
        ),
        # Where null is a value, it is one at every depth.
        (
            "params: {limit: 5, day: {default: x, type: [string, 'null']}}",
            "params: {limit: null, day: {default: null}}",
            "params",
            {"limit": None, "day": {"default": None, "type": ["string", "null"]}},
        ),
        ("vars: {channel: a}", "channel: null", "vars", {"channel": None}),
    ],
)
def test_null_in_a_mapping_removes_the_key(
    base: str, env: str, name: str, expected: Any, tmp_path: Path
) -> None:
    files = {
        IMAGE: f"default: {{image: i, {base}}}",
        "conf/prod/dagforge.yml": f"default: {{{env}}}",
        PIPELINES: "etl: {nodes: [{name: load, func: 'team.etl:load'}]}",
    }
    found = build_project(tmp_path, files, env="prod")
    assert found.dags[0].settings[name] == expected


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("retries: null", "'retries' must be a whole number, not null"),
        ("labels: null", "'labels' must be a mapping, not null"),
        ("tags: [null]", "'tags.0' must be text, not null"),
        (
            "secrets: [{secret: null, deploy_type: env}]",
            "'secrets.0.secret' must be text, not null",
        ),
        ("machines: {small: {gpus: null}}", None),
        ("machines: {small: {gpus: 1}}", "'machines.small' has no 'gpus'"),
    ],
)
def test_null_elsewhere_is_a_value(setting: str, says: str | None, tmp_path: Path) -> None:
    files = {
        IMAGE: f"default: {{image: i, {setting}}}",
        PIPELINES: "etl: {nodes: [{name: load, func: 'team.etl:load'}]}",
    }
    told = problems_of(tmp_path, files)
    assert [text.partition("error: ")[2].partition(" [")[0] for text in told] == [says] * bool(says)


def test_an_object_is_replaced_whole() -> None:
    low = {"on_failure_callback": {"call": "team.alerts:Notify", "args": {"channel": "a"}}}
    high = {"on_failure_callback": {"import": "team.alerts:page"}}
    assert merge(low, high) == high


def test_merging_changes_neither_side() -> None:
    low = {"labels": {"a": "1"}}
    high = {"labels": {"b": "2"}}
    merge(low, high)
    assert (low, high) == ({"labels": {"a": "1"}}, {"labels": {"b": "2"}})


def test_default_args_are_settings_like_any_other(tmp_path: Path) -> None:
    files = {**WITH_IMAGE, AIRFLOW: "default: {machines: {small: {}}, default_args: {owner: me}}"}
    found = build_project(tmp_path, files)
    assert argument_of(found.dags[0], "clean", "owner") == "me"


REFUSED = [
    (
        "an unknown section",
        {AIRFLOW: "etll: {retries: 1}"},
        "conf/base/airflow.yml:1:1: error: 'etll' is no pipeline [unknown-section]\n"
        "  fix: did you mean 'etl'?",
    ),
    (
        "a setting outside any section",
        {AIRFLOW: "retries: 1"},
        "conf/base/airflow.yml:1:1: error: 'retries' is no pipeline [unknown-section]\n"
        "  fix: put 'retries' under `default:` or under a pipeline's name",
    ),
    (
        "an alias beside its canonical name",
        {AIRFLOW: "default: {image: a, docker_image: b}"},
        "conf/base/airflow.yml:1:21: error: 'docker_image' and 'image' are the same setting "
        "[set-twice]\n  fix: keep one of the two",
    ),
    (
        "one key in two files of a layer",
        {
            "conf/base/airflow-a.yml": "default: {retries: 1}",
            "conf/base/airflow-b.yml": "default: {retries: 2}",
        },
        "conf/base/airflow-b.yml:1:11: error: 'retries' is set twice in one layer, first at "
        "conf/base/airflow-a.yml:1:20 [set-twice]\n  fix: keep one of the two",
    ),
    (
        "a setting of the DAG for a task",
        {AIRFLOW: "default: {for_tasks: {load: {schedule: '@daily'}}}"},
        "conf/base/airflow.yml:1:30: error: 'schedule' is a setting of the DAG, not of a task "
        "[dag-setting]\n  fix: put it under `default:` or the pipeline's name",
    ),
    (
        "text for a number",
        {AIRFLOW: "default: {retries: two}"},
        "conf/base/airflow.yml:1:20: error: 'retries' must be a whole number, not the text 'two' "
        "[wrong-type]",
    ),
    (
        "null for a number",
        {AIRFLOW: "default:\n  retries:\n"},
        "conf/base/airflow.yml:2:11: error: 'retries' must be a whole number, not null "
        "[wrong-type]\n  fix: give it a value, or remove the line",
    ),
    (
        "a number for text",
        {AIRFLOW: "default: {image: 1.20}"},
        "conf/base/airflow.yml:1:18: error: 'image' must be text, not the number 1.2 "
        "[wrong-type]\n  fix: quote it",
    ),
    (
        "a key of a machine",
        {AIRFLOW: "default: {machines: {small: {request: {cpu: '1'}}}}"},
        "conf/base/airflow.yml:1:30: error: 'machines.small' has no 'request' "
        "[unknown-setting]\n  fix: did you mean 'requests'?",
    ),
    (
        "a value that is not one of few",
        {AIRFLOW: "default: {image_pull_policy: always}"},
        "conf/base/airflow.yml:1:30: error: 'image_pull_policy' cannot be the text 'always' "
        "[wrong-value]\n  fix: did you mean 'Always'?",
    ),
    (
        "a negative number",
        {AIRFLOW: "default: {retries: -1}"},
        "conf/base/airflow.yml:1:20: error: 'retries' must be at least 0, not -1 [wrong-value]",
    ),
    (
        "a section that is a list",
        {AIRFLOW: "default: [retries]"},
        "conf/base/airflow.yml:1:1: error: section 'default' must hold settings by name "
        "[wrong-type]",
    ),
]


@pytest.mark.parametrize(
    ("files", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    assert message in problems_of(tmp_path, files)


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    files = {
        AIRFLOW: "default: {retries: two, catchup: 3}\nnobody: {}\n",
        "conf/base/dagforge.yml": "etl: {max_active_runs: 0}",
    }
    assert len(problems_of(tmp_path, files)) == 4


def test_a_misspelt_setting_is_named_with_its_line(tmp_path: Path) -> None:
    files = {**WITH_IMAGE, AIRFLOW: "default:\n  machines: {small: {}}\n  retires: 2\n"}
    assert problems_of(tmp_path, files, render=True) == [
        "conf/base/airflow.yml:3:3: error: there is no setting 'retires', and no template reads "
        "such a variable [unknown-setting]\n  fix: did you mean 'retries'?"
    ]


def test_an_environment_s_default_that_the_pipeline_hides_is_told(tmp_path: Path) -> None:
    files = {
        **WITH_IMAGE,
        AIRFLOW: "default: {machines: {small: {}}}\netl: {retries: 1}\n",
        "conf/prod/airflow.yml": "default: {retries: 3}",
    }
    assert problems_of(tmp_path, files, env="prod") == [
        "conf/prod/airflow.yml:1:11: warning: 'retries' has no effect on 'etl', whose base "
        "section sets it too (conf/base/airflow.yml:2:16) [hidden-default]\n"
        "  fix: set it under `etl:` in this file"
    ]


@pytest.mark.parametrize("part", ["for_tasks", "for_tags"])
def test_an_entry_that_matches_nothing(part: str, tmp_path: Path) -> None:
    files = {**WITH_IMAGE, AIRFLOW: f"etl: {{machines: {{small: {{}}}}, {part}: {{laod: {{}}}}}}"}
    (problem,) = problems_of(tmp_path, files)
    assert f"error: `{part}: laod` matches nothing: 'etl' has no " in problem


def test_two_nodes_of_a_group_that_differ(tmp_path: Path) -> None:
    files = {
        **WITH_IMAGE,
        PIPELINES: """
            etl:
              nodes:
                - {name: a, func: "m:a", outputs: x, tags: ["airflow:g"], settings: {retries: 1}}
                - {name: b, func: "m:b", inputs: x, tags: ["airflow:g"], settings: {retries: 2}}
            """,
    }
    assert problems_of(tmp_path, files) == [
        "conf/base/pipelines.yml:4:82: error: task 'g': two of its nodes set 'retries' "
        "differently (also conf/base/pipelines.yml:3:83) [settings-conflict]\n"
        "  fix: say which holds: `for_tasks: {g: {retries: ...}}`"
    ]
    settled = {**files, AIRFLOW: "etl: {for_tasks: {g: {retries: 5}}}"}
    found = build_project(tmp_path, settled)
    assert argument_of(found.dags[0], "g", "retries") == 5


def test_two_tags_of_a_task_that_differ(tmp_path: Path) -> None:
    files = {
        **WITH_IMAGE,
        PIPELINES: 'etl: {nodes: [{name: a, func: "m:a", tags: [slow, big]}]}',
        AIRFLOW: "default: {for_tags: {slow: {retries: 1}, big: {retries: 2}}}",
    }
    (problem,) = problems_of(tmp_path, files)
    assert "task 'a': two of its tags set 'retries' differently" in problem
    settled = {**files, AIRFLOW: files[AIRFLOW] + "\netl: {for_tasks: {a: {retries: 5}}}\n"}
    assert argument_of(build_project(tmp_path, settled).dags[0], "a", "retries") == 5


def test_a_setting_of_another_orchestrator_is_no_typo(tmp_path: Path) -> None:
    files = {"conf/base/dagforge.yml": "default: {pool: small}"}
    problems = problems_of(tmp_path, files, target="prefect")
    assert problems[0] == (
        "conf/base/dagforge.yml:1:11: warning: prefect has no 'pool', a setting of Airflow "
        "[cannot-express]"
    )


def test_a_grouping_that_there_is_not(tmp_path: Path) -> None:
    files = {**WITH_IMAGE, AIRFLOW: "default: {grouping: tag, machines: {small: {}}}"}
    assert problems_of(tmp_path, files) == [
        "conf/base/airflow.yml:1:21: error: there is no grouping 'tag' [unknown-grouping]\n"
        "  fix: did you mean 'tags'?"
    ]


def test_a_memory_group_can_have_a_name(tmp_path: Path) -> None:
    files = {
        **WITH_IMAGE,
        AIRFLOW: "default: {grouping: memory, group_names: {load: intake}, machines: {small: {}}}",
    }
    (dag,) = build_project(tmp_path, files).dags
    assert [task.task_id for task in dag.tasks] == ["intake"]


def test_section_of_the_default_pipeline_is_read(tmp_path: Path) -> None:
    files = {
        PIPELINES: '__default__: {nodes: [{name: load, func: "m:load"}]}',
        AIRFLOW: "_shared: {retries: 1}\ndefault: {retries: 2}\n__default__: {retries: 3}",
    }
    (stages,) = build_project(tmp_path, files, target="airflow").stages
    assert stages.settings.for_dag()["retries"] == 3


def test_misspelt_section_of_the_default_pipeline_is_told(tmp_path: Path) -> None:
    files = {
        PIPELINES: '__default__: {nodes: [{name: load, func: "m:load"}]}',
        AIRFLOW: "__defualt__: {retries: 3}",
    }
    assert problems_of(tmp_path, files, target="airflow") == [
        "conf/base/airflow.yml:1:1: error: '__defualt__' is no pipeline [unknown-section]\n"
        "  fix: did you mean '__default__'?"
    ]
