"""What the text of a setting means, and what is said when it means nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dagforge.resources import templates_dir
from dagforge.settings.convert import Context, convert, native_cron_meaning, parse_duration
from dagforge.target import Target, read_target
from dagforge.values import Cron, Date, Every, Instance, Literal, Model, Reference

TARGETS: dict[tuple[str, str | None], Target] = {}


def target_of(name: str = "airflow-k8s", version: str | None = None) -> Target:
    if (name, version) not in TARGETS:
        TARGETS[name, version] = read_target(name, templates_dir(), version=version)
    return TARGETS[name, version]


def converted(
    name: str, value: Any, *, target: Target | None = None, zone: str = "UTC", bare: bool = False
) -> tuple[Any, list[str]]:
    """Return the typed value of a setting and what was reported, as `path: message | fix`."""
    target = target or target_of()
    context = Context(target, zone, native_cron_meaning(target), bare)
    found: list[str] = []

    def report(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
        where = ".".join(path)
        found.append(
            f"{where}: {message} [{code}] | {fix}" if where else f"{message} [{code}] | {fix}"
        )

    return convert(target.settings[name], value, context, report), found


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("90s", timedelta(seconds=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("0s", timedelta()),
        ("PT5M", timedelta(minutes=5)),
        ("P1DT2H", timedelta(days=1, hours=2)),
        ("P1W", timedelta(weeks=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("", None),
        ("5", None),
        ("5 m", None),
        ("m5", None),
        ("5m5m", None),
        ("-5m", None),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("P1M", None),
        ("P1Y", None),
        ("99999999999999d", None),
        ("5minutes", None),
    ],
)
def test_durations(text: str, length: timedelta | None) -> None:
    assert parse_duration(text) == length


def test_a_bare_number_has_a_unit_only_where_kedro_airflow_gave_it_one() -> None:
    assert converted("retry_delay", 5, bare=True) == (timedelta(minutes=5), [])
    assert converted("retry_delay", 5)[1] == [
        "'retry_delay' is 5, but 5 what? [no-unit] | write the unit, such as 5m or 5s"
    ]
    assert converted("startup_timeout_seconds", 300) == (300, [])


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("5 minutes", "write 5m"),
        ("2 hours", "write 2h"),
        ("30 sec", "write 30s"),
        ("soon", "write it like 30s, 5m, 1h30m, 2d or PT5M"),
    ],
)
def test_a_wrong_duration_says_how_it_is_written(text: str, fix: str) -> None:
    assert converted("retry_delay", text)[1] == [
        f"'retry_delay' is the text '{text}', which is no duration [wrong-value] | {fix}"
    ]


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2024-01-31", Date((2024, 1, 31), "Europe/Warsaw")),
        ("2024-1-5", Date((2024, 1, 5), "Europe/Warsaw")),
        ("2024-01-31T06:00", Date((2024, 1, 31, 6), "Europe/Warsaw")),
        ("2024-01-31 06:30:15", Date((2024, 1, 31, 6, 30, 15), "Europe/Warsaw")),
        ("2024-01-31T00:00:00", Date((2024, 1, 31), "Europe/Warsaw")),
        ("2024-01-31T06:00Z", Date((2024, 1, 31, 6), "UTC")),
        ("2024-01-31T00:30+02:00", Date((2024, 1, 30, 22, 30), "UTC")),
        ("2024-01-31T06:00:00.5", Date((2024, 1, 31, 6, 0, 0, 500000), "Europe/Warsaw")),
        ([2023, 1, 1], Date((2023, 1, 1), "Europe/Warsaw")),
        ([2023, 1, 1, 6, 30], Date((2023, 1, 1, 6, 30), "Europe/Warsaw")),
    ],
)
def test_dates(value: Any, date: Date) -> None:
    assert converted("start_date", value, zone="Europe/Warsaw") == (date, [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2024-02-30", "'start_date' is no date: day is out of range for month"),
        ("2024-13-01", "'start_date' is no date: month must be in 1..12"),
        ("31.01.2024", "'start_date' is the text '31.01.2024', which is no date"),
        ("yesterday", "'start_date' is the text 'yesterday', which is no date"),
        ("{{ ds }}", "'start_date' is the text '{{ ds }}', which is no date"),
        ([2024, 1], "'start_date' must be [year, month, day], with hour and minute if need be"),
        ([2024, 1, True], "'start_date' must be [year, month, day], with hour and minute"),
        ("0001-01-01T00:00+02:00", "'start_date' is the text"),
        ([10**10, 1, 1], "'start_date' is no date"),
    ],
)
def test_what_is_no_date(value: Any, reason: str) -> None:
    (problem,) = converted("start_date", value)[1]
    assert problem.startswith(reason)


@pytest.mark.parametrize(
    ("version", "value", "schedule"),
    [
        ("3.3", "0 6 * * *", Cron("0 6 * * *", "UTC", "trigger")),
        ("2.11", "0 6 * * *", Cron("0 6 * * *", "UTC", "interval")),
        ("3.3", "  0   6 * * 1-5 ", Cron("0 6 * * 1-5", "UTC", "trigger")),
        ("3.3", "0 6 * JAN MON", Cron("0 6 * JAN MON", "UTC", "trigger")),
        ("3.3", "0 0 29 2 *", Cron("0 0 29 2 *", "UTC", "trigger")),
        ("3.3", "@daily", Cron("0 0 * * *", "UTC", "trigger")),
        ("3.3", "@once", "@once"),
        ("3.3", "@continuous", "@continuous"),
        ("3.3", None, None),
        ("3.3", "6h", Every(timedelta(hours=6), "trigger")),
        ("2.10", "6h", Every(timedelta(hours=6), "interval")),
        ("3.3", {"import": "team.schedules:weekly"}, Reference("team.schedules:weekly")),
    ],
)
def test_schedules(version: str, value: Any, schedule: Any) -> None:
    target = target_of(version=version)
    assert converted("schedule", value, target=target) == (schedule, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0 0 31 2 *", "the cron '0 0 31 2 *' never fires [bad-schedule] | no month has that day"),
        ("0 25 * * *", "the cron '0 25 * * *' is wrong: "),
        ("R 6 * * *", "the cron 'R 6 * * *' has a random field"),
        ("H H * * *", "the cron 'H H * * *' has a random field"),
        (
            "0 0 6 * * *",
            "the text '0 0 6 * * *' is no schedule [bad-schedule] | a cron has five fields: minute "
            "hour day month weekday (no seconds, no year)",
        ),
        ("@dayly", "there is no schedule '@dayly' [bad-schedule] | did you mean '@daily'?"),
        ("daily", "the text 'daily' is no schedule [bad-schedule] | did you mean '@daily'?"),
        (
            "None",
            "the text 'None' is no schedule [bad-schedule] | write null for a DAG that never "
            "starts by itself",
        ),
        ("0s", "a schedule must be longer than nothing"),
    ],
)
def test_what_is_no_schedule(value: str, message: str) -> None:
    (problem,) = converted("schedule", value)[1]
    assert problem.startswith(message)


def test_an_object_is_an_import_or_a_call() -> None:
    value = {"call": "team.alerts.Notify", "args": {"to": {"import": "team.people:lead"}, "n": 1}}
    assert converted("on_failure_callback", value) == (
        Instance("team.alerts.Notify", {"to": Reference("team.people:lead"), "n": 1}),
        [],
    )


def test_a_call_has_arguments_without_a_name_too() -> None:
    value = {"call": "functools.partial", "positional": [{"import": "a:f"}, 1], "args": {"x": 2}}
    assert converted("on_failure_callback", value) == (
        Instance("functools.partial", {"x": 2}, (Reference("a:f"), 1)),
        [],
    )


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"import": "notify"}, "import: `import: notify` is no import path"),
        ({"import": "team.alerts:"}, "import: `import: team.alerts:` is no import path"),
        ({"import": "team.class:x"}, "import: `import: team.class:x` is no import path"),
        ({"import": "os;import sys"}, "import: `import: os;import sys` is no import path"),
        ({"import": 5}, "import: `import: the number 5` is no import path"),
        ({"call": "a.B", "args": [1]}, "args: `args` of 'a.B' must map argument names"),
        (
            {"call": "a.B", "positional": {"x": 1}},
            "positional: `positional` of 'a.B' must be a list",
        ),
        (
            {"call": "a.B", "positional": [{"import": "q"}]},
            "positional.0.import: `import: q` is no",
        ),
        ({"call": "a.B", "args": {"x y": 1}}, "args.x y: 'x y' cannot be an argument"),
        ({"call": "a.B", "args": {"f": {"import": "q"}}}, "args.f.import: `import: q` is no"),
    ],
)
def test_what_is_no_object(value: Any, where: str) -> None:
    (problem,) = converted("on_failure_callback", value)[1]
    assert problem.startswith(where)


def test_text_in_a_templated_field_is_a_template_unless_it_says_otherwise() -> None:
    value = {"A": "{{ ds }}", "B": {"literal": "{{ ds }}"}, "C": {"literal": "plain"}}
    assert converted("env_vars", value) == (
        {"A": "{{ ds }}", "B": Literal("{{ ds }}"), "C": "plain"},
        [],
    )
    (problem,) = converted("env_vars", {"A": "{{ ds"})[1]
    assert problem.startswith(
        "A: the text '{{ ds' is a template of Airflow that it cannot read: unexpected end of"
    )
    assert problem.endswith(
        "[airflow-template] | mend it, or write {literal: ...} when it is plain text"
    )


def test_a_literal_elsewhere_is_its_text() -> None:
    assert converted("owner", {"literal": "{{ me }}"}) == ("{{ me }}", [])


def test_kubernetes_yaml_becomes_the_client_s_models() -> None:
    value = [{"name": "data", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}]
    assert converted("volumes", value) == (
        [
            Model(
                "V1Volume",
                {
                    "name": "data",
                    "persistent_volume_claim": Model(
                        "V1PersistentVolumeClaimVolumeSource",
                        {"claim_name": "c", "read_only": True},
                    ),
                },
            )
        ],
        [],
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "tolerations",
            [{"key": "gpu", "oprator": "Exists"}],
            "0.oprator: a Toleration has no 'oprator' [unknown-setting] | did you mean 'operator'?",
        ),
        (
            "volumes",
            [{"emptyDir": {}}],
            "0: a Volume needs 'name' [missing-setting] | None",
        ),
        (
            "volumes",
            [{"name": 5}],
            "0.name: 'name' must be text, not the number 5 [wrong-type] | quote it: \"5\"",
        ),
        (
            "volumes",
            ["data"],
            "0: a Volume is a mapping, not the text 'data' [wrong-type] | None",
        ),
        (
            "init_containers",
            [{"name": "wait", "imagePullPolicy": "always"}],
            "0.imagePullPolicy: 'imagePullPolicy' cannot be the text 'always' [wrong-value] | did "
            "you mean 'Always'?",
        ),
        (
            "labels",
            {"team": "data science"},
            "team: Kubernetes does not take the text 'data science' as the value of label 'team' "
            "[wrong-value] | letters, digits, '-', '_' and '.', at most 63; other text can be an "
            "annotation",
        ),
        (
            "env_vars",
            {"A B": "1"},
            "A B: 'A B' cannot be the name of an environment variable [wrong-value] | letters, "
            "digits, '_', '.' and '-'",
        ),
        (
            "secrets",
            [{"deploy_type": "volume", "secret": "s"}],
            "0: a secret deployed as a volume needs `deploy_target`, the folder it appears in "
            "[missing-setting] | None",
        ),
    ],
)
def test_what_kubernetes_would_refuse(name: str, value: Any, problem: str) -> None:
    assert converted(name, value)[1] == [problem]


def test_a_pod_s_own_container_comes_first() -> None:
    sidecar = {"name": "proxy", "image": "proxy:1"}
    for containers, expected in (
        ([sidecar], [{"name": "base"}, sidecar]),
        ([sidecar, {"name": "base", "tty": True}], [{"name": "base", "tty": True}, sidecar]),
        (None, []),
    ):
        spec = {"hostPID": True, **({} if containers is None else {"containers": containers})}
        pod, problems = converted("pod_overrides", {"spec": spec})
        assert problems == []
        assert pod["spec"]["containers"] == expected


def test_a_value_that_came_with_a_later_version() -> None:
    value = "all_done_min_one_success"
    assert converted("trigger_rule", value, target=target_of(version="3.3")) == (value, [])
    assert converted("trigger_rule", value, target=target_of(version="2.10"))[1] == [
        "Airflow 2.10 has no trigger_rule 'all_done_min_one_success'; it came with 3.1 "
        "[cannot-express] | None"
    ]


def test_prefect_takes_its_hooks_in_a_list() -> None:
    prefect = target_of("prefect")
    assert converted("on_failure", {"import": "team.alerts:notify"}, target=prefect) == (
        [Reference("team.alerts:notify")],
        [],
    )


def test_a_duration_in_seconds_is_a_number() -> None:
    prefect = target_of("prefect")
    assert converted("timeout_seconds", "1h30m", target=prefect) == (5400, [])
    assert converted("timeout_seconds", "250ms", target=prefect) == (0.25, [])
