"""A project's facts and files: what is found, in which order, and every error's whole text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dagforge.conf import Conf, read_conf, read_project
from dagforge.errors import DagForgeError, LoadError
from dagforge.reading.project import Project, satisfies


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root


PIPELINES = {"conf/base/pipelines.yml": "p: {}\n"}


def conf_in(root: Path, files: dict[str, str], **options: Any) -> Conf:
    return read_conf(write(root, PIPELINES | files), **{"environ": {}} | options)


def error_of(root: Path, files: dict[str, str], **options: Any) -> str:
    with pytest.raises(DagForgeError) as caught:
        read_conf(write(root, files), **{"environ": {}} | options)
    return str(caught.value)


# --- files -----------------------------------------------------------------------------------


def files_of(conf: Conf, family: str) -> list[tuple[str, str]]:
    return [(document.layer, document.file) for document in conf.settings_of(family)]


def test_files_of_a_family(tmp_path: Path) -> None:
    names = [
        "base/airflow.yml",
        "base/airflow.yaml",
        "base/airflow_b.yml",
        "base/airflow/z.yaml",
        "base/airflow/a/b.yml",
        "cloud/airflow/x.yml",
        "cloud/airflow.yml",
    ]
    others = ["base/airflow.json", "base/.airflow.yml", "base/airflow/.x.yml", "local/airflow.yml"]
    others += ["base/my_airflow.yml", "base/sub/airflow.yml", "base/airflow_x/a.yml", "airflow.yml"]
    conf = conf_in(tmp_path, {f"conf/{name}": "a: 1\n" for name in names + others}, env="cloud")
    assert files_of(conf, "airflow") == [
        ("base", "conf/base/airflow/a/b.yml"),
        ("base", "conf/base/airflow/z.yaml"),
        ("base", "conf/base/airflow.yaml"),
        ("base", "conf/base/airflow.yml"),
        ("base", "conf/base/airflow_b.yml"),
        ("cloud", "conf/cloud/airflow/x.yml"),
        ("cloud", "conf/cloud/airflow.yml"),
    ]
    assert files_of(conf, "prefect") == []


def test_the_order_does_not_depend_on_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.yml", "b.yml", "c/d.yml", "c/e.yml"]
    files = {f"conf/base/dagforge/{name}": "" for name in names}
    expected = files_of(conf_in(tmp_path, files), "dagforge")
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(sorted(iterdir(path))))
    assert files_of(conf_in(tmp_path, files), "dagforge") == expected


def test_environments(tmp_path: Path) -> None:
    files = {
        "conf/cloud/airflow.yml": "",
        "conf/local/.gitkeep": "",
        "conf/.hidden/x.yml": "",
        "conf/README.md": "",
    }
    conf = conf_in(tmp_path, files)
    assert (conf.env, conf.environments) == (None, ("cloud", "local"))
    assert conf_in(tmp_path, files, env="base").env is None
    assert conf_in(tmp_path, files, env="local").env == "local"
    facts = {"dagforge.toml": 'env = "cloud"\n'}
    assert conf_in(tmp_path, files | facts).env == "cloud"
    assert conf_in(tmp_path, files | facts, env="base").env is None


def test_pipelines_are_of_base_only(tmp_path: Path) -> None:
    files = {"conf/cloud/pipelines.yml": "q: {}\n", "conf/base/pipelines/r.yaml": "r: {}\n"}
    conf = conf_in(tmp_path, files)
    assert [document.file for document in conf.pipelines] == [
        "conf/base/pipelines/r.yaml",
        "conf/base/pipelines.yml",
    ]
    with pytest.raises(LoadError, match=r"conf/cloud/pipelines.yml: error: .*\[not-read\]"):
        conf_in(tmp_path, files, env="cloud")


def test_catalog_and_parameters(tmp_path: Path) -> None:
    files = {
        "conf/base/catalog.yml": "",
        "conf/base/catalog/raw.yml": "",
        "conf/cloud/catalog_x.yml": "",
        "conf/base/parameters_data.yml": "",
        "conf/cloud/parameters.yml": "",
    }
    conf = conf_in(tmp_path, files, env="cloud")
    assert [document.file for document in conf.catalog] == [
        "conf/base/catalog/raw.yml",
        "conf/base/catalog.yml",
        "conf/cloud/catalog_x.yml",
    ]
    assert [document.layer for document in conf.parameters] == ["base", "cloud"]


def test_another_folder(tmp_path: Path) -> None:
    write(tmp_path, {"one/base/airflow.yml": "", "two/base/airflow.yml": ""})
    write(tmp_path, {"dagforge.toml": 'conf = "one"\n'})
    assert files_of(read_conf(tmp_path), "airflow") == [("base", "one/base/airflow.yml")]
    conf = read_conf(tmp_path, conf=Path("two"))
    assert files_of(conf, "airflow") == [("base", "two/base/airflow.yml")]
    outside = tmp_path / "two"
    conf = read_conf(tmp_path / "one", conf=outside)
    assert files_of(conf, "airflow") == [("base", f"{outside.as_posix()}/base/airflow.yml")]


def test_the_working_directory_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, PIPELINES)
    monkeypatch.chdir(tmp_path / "conf")
    assert read_conf(Path("..")).pipelines[0].file == "conf/base/pipelines.yml"


def test_a_family_that_nobody_asks_for_is_not_read(tmp_path: Path) -> None:
    conf = conf_in(tmp_path, {"conf/base/prefect.yml": "a: [\n", "conf/base/airflow.yml": "a: 1\n"})
    assert len(conf.settings_of("airflow")) == 1
    for _ in range(2):
        with pytest.raises(LoadError, match=r"conf/base/prefect\.yml:1:5"):
            conf.settings_of("prefect")


def test_problems_of_all_files_at_once(tmp_path: Path) -> None:
    files = {
        "conf/base/pipelines.yml": "p: [\nq: 1\n",
        "conf/base/catalog.yml": "a: 1\na: 2\nb: NO\n",
        "conf/cloud/parameters.yml": "a: @x\n",
        "conf/base/airflow.yml": "a: *x\n",
        "conf/base/prefect.yml": "a: *x\n",
    }
    assert error_of(tmp_path, files, env="cloud", families=("dagforge", "airflow")) == (
        "conf/base/pipelines.yml:1:4: error: the '[' is not closed; a ',' or the ']' is missing"
        " before the end of the file [yaml-syntax]\n"
        "  fix: close it with ']'\n"
        "conf/base/catalog.yml:2:1: error: the key 'a' stands here a second time, first on line 1"
        " [duplicate-key]\n"
        "  fix: remove one of them\n"
        "conf/base/catalog.yml:3:4: error: NO is a truth value in YAML 1.1 and text in YAML 1.2"
        " [quote-it]\n"
        '  fix: write "NO" for text or false for the truth value\n'
        "conf/cloud/parameters.yml:1:4: error: an unquoted value cannot begin with '@' here"
        " [quote-it]\n"
        '  fix: quote it: "@x"\n'
        "conf/base/airflow.yml:1:4: error: the alias *x has no anchor &x before it"
        " [undefined-alias]\n"
        '  fix: if it is text, quote it: "*x"'
    )


# --- folders ---------------------------------------------------------------------------------


def test_no_configuration(tmp_path: Path) -> None:
    assert error_of(tmp_path, {}) == (
        "conf: error: the configuration is missing: there is no such folder [no-conf]\n"
        "  fix: start one with 'dagforge init', or name its folder with --conf"
    )


def test_a_file_in_place_of_the_configuration(tmp_path: Path) -> None:
    assert error_of(tmp_path, {"conf": ""}).startswith(
        "conf: error: the configuration is missing: is not a folder [no-conf]"
    )


def test_no_base(tmp_path: Path) -> None:
    assert error_of(tmp_path, {"conf/cloud/airflow.yml": ""}) == (
        "conf: error: the configuration has no folder 'base' [no-conf]\n"
        "  fix: create conf/base with a pipelines.yml in it"
    )


@pytest.mark.parametrize(
    ("env", "fix"),
    [
        ("clodu", "did you mean 'cloud'?"),
        ("zzz", "there is 'cloud', 'local'"),
        ("..", "there is 'cloud', 'local'"),
        ("cloud/x", "did you mean 'cloud'?"),
    ],
)
def test_unknown_environment(env: str, fix: str, tmp_path: Path) -> None:
    files = PIPELINES | {"conf/cloud/x": "", "conf/local/x": ""}
    assert error_of(tmp_path, files, env=env) == (
        f"error: there is no environment '{env}': no folder conf/{env} [unknown-env]\n  fix: {fix}"
    )


def test_no_environments(tmp_path: Path) -> None:
    assert error_of(tmp_path, PIPELINES, env="cloud") == (
        "error: there is no environment 'cloud': no folder conf/cloud [unknown-env]\n"
        "  fix: create the folder, or leave out --env"
    )


# --- files that cannot be read ---------------------------------------------------------------


def test_a_folder_named_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "conf/base/airflow.yml").mkdir(parents=True)
    says = "conf/base/airflow.yml: error: cannot be read: it is a folder [unreadable]"
    # What does not need the settings must not wait for them.
    conf = read_conf(write(tmp_path, PIPELINES), families=("airflow",))
    with pytest.raises(LoadError) as caught:
        conf.check(("airflow",))
    assert str(caught.value) == says
    broken = {"conf/base/catalog.yml": "a: 1\na: 2\n"}
    assert error_of(tmp_path, broken, families=("airflow",)).endswith(says)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "conf/base").mkdir(parents=True)
    os.mkfifo(tmp_path / "conf/base/catalog.yml")
    assert error_of(tmp_path, PIPELINES) == (
        "conf/base/catalog.yml: error: cannot be read: it is not a regular file [unreadable]"
    )


def test_a_link_to_nothing(tmp_path: Path) -> None:
    write(tmp_path, PIPELINES)
    (tmp_path / "conf/base/catalog.yml").symlink_to("nowhere.yml")
    assert error_of(tmp_path, {}) == (
        "conf/base/catalog.yml: error: cannot be read: No such file or directory [unreadable]"
    )


def test_a_file_that_links_to_itself(tmp_path: Path) -> None:
    write(tmp_path, PIPELINES)
    (tmp_path / "conf/base/catalog.yml").symlink_to("catalog.yml")
    assert error_of(tmp_path, {}) == (
        "conf/base/catalog.yml: error: cannot be read: Too many levels of symbolic links"
        " [unreadable]"
    )


@pytest.mark.parametrize("target", [".", "..", "../catalog"])
def test_folders_that_link_in_a_circle(target: str, tmp_path: Path) -> None:
    write(tmp_path, PIPELINES | {"conf/base/catalog/a.yml": ""})
    (tmp_path / "conf/base/catalog/loop").symlink_to(target)
    assert error_of(tmp_path, {}) == (
        "conf/base/catalog/loop: error: this link leads back to a folder around it [symlink-loop]"
    )


def test_links_without_a_circle_are_followed(tmp_path: Path) -> None:
    write(tmp_path, PIPELINES | {"shared/x.yml": "a: {path: x}\n", "conf/base/catalog/b.yml": ""})
    (tmp_path / "conf/base/catalog/team").symlink_to("../../../shared")
    assert [document.file for document in read_conf(tmp_path).catalog] == [
        "conf/base/catalog/b.yml",
        "conf/base/catalog/team/x.yml",
    ]


# --- environment variables -------------------------------------------------------------------

FACTS = {"dagforge.toml": 'inputs = ["TAG", "EMPTY", "MISSING"]\n'}
ENVIRON = {"TAG": "1.4", "EMPTY": "", "HIDDEN": "x"}

SUBSTITUTED = [
    ("img:${env:TAG}", "img:1.4"),
    ("${env:TAG}${env:TAG}", "1.41.4"),
    ("${env:TAG:-other}", "1.4"),
    ("${env:MISSING:-a:-b}", "a:-b"),
    ("${env:MISSING:-}", ""),
    ("${env:EMPTY:-default}", "default"),
    ("${env:EMPTY}", ""),
    ("$${env:TAG}", "${env:TAG}"),
    ("$$${env:TAG}", "$${env:TAG}"),
    ("$${env:HIDDEN}", "${env:HIDDEN}"),
    ("${globals:x} ${TAG} $TAG ${}", "${globals:x} ${TAG} $TAG ${}"),
]


@pytest.mark.parametrize(("text", "value"), SUBSTITUTED)
def test_environment_variables(text: str, value: str, tmp_path: Path) -> None:
    files = {name: f"a: '{text}'\n" for name in ("conf/base/airflow.yml", "conf/base/catalog.yml")}
    files["conf/base/pipelines.yml"] = files["conf/base/parameters.yml"] = f"a: '{text}'\n"
    conf = conf_in(tmp_path, FACTS | files, environ=ENVIRON)
    assert conf.settings_of("airflow")[0].data == {"a": value}
    assert conf.catalog[0].data == {"a": value}
    assert conf.pipelines[0].data == {"a": value}
    assert conf.parameters[0].data == {"a": text}


def test_a_number_from_the_environment_is_text(tmp_path: Path) -> None:
    conf = conf_in(tmp_path, FACTS | {"conf/base/airflow.yml": "a: ${env:TAG}"}, environ=ENVIRON)
    assert conf.settings_of("airflow")[0].data == {"a": "1.4"}


REFERENCES = [
    (
        "${env:HIDDEN}",
        "the environment variable HIDDEN is not among the project's inputs",
        'add "HIDDEN" to inputs in [tool.dagforge]',
    ),
    (
        "x ${env:MISSING}",
        "the environment variable MISSING is not set",
        "set it, or give a default: ${env:MISSING:-default}",
    ),
    *(
        (
            text,
            f"{text} is not a reference to an environment variable",
            "write ${env:NAME} or ${env:NAME:-default}, or $${env:...} for the text itself",
        )
        for text in ("${env:}", "${env:A B}", "${env:TAG", "${env:TAG:default}", "${env:1}")
    ),
]


@pytest.mark.parametrize(("text", "message", "fix"), REFERENCES)
def test_references_that_are_refused(text: str, message: str, fix: str, tmp_path: Path) -> None:
    files = PIPELINES | FACTS | {"conf/base/catalog.yml": f"a:\n  b: ['{text}']\n"}
    assert error_of(tmp_path, files, environ=ENVIRON) == (
        f"conf/base/catalog.yml:2:7: error: {message} [env-input]\n  fix: {fix}"
    )


def test_a_variable_that_is_not_text(tmp_path: Path) -> None:
    files = PIPELINES | FACTS | {"conf/base/catalog.yml": "a: ${env:TAG}\n"}
    assert error_of(tmp_path, files, environ={"TAG": "\udcff"}) == (
        "conf/base/catalog.yml:1:4: error: the environment variable TAG is not UTF-8 [env-input]"
    )


# --- the project's facts ---------------------------------------------------------------------


def test_no_facts(tmp_path: Path) -> None:
    root = tmp_path / "my project"
    root.mkdir()
    assert read_project(root) == Project(root, "my project", Path("conf"))
    write(root, {"pyproject.toml": '[project]\nname = "pkg"\n[tool.other]\nx = 1\n'})
    assert read_project(root) == Project(root, "pkg", Path("conf"))


ALL_FACTS = """
project = "spaceflights"
conf = "settings"
templates = "templates"
output = "dags"
target = "airflow-k8s"
airflow-version = "3.1"
env = "cloud"
pipelines = ["__default__", "data_science"]
inputs = ["IMAGE_TAG", "_x1"]
required-version = ">=0.1,<9"
"""


@pytest.mark.parametrize(
    "files",
    [
        {"dagforge.toml": ALL_FACTS},
        {"pyproject.toml": '[project]\nname = "pkg"\n[tool.dagforge]' + ALL_FACTS},
        {"pyproject.toml": "\ufeff[tool.dagforge]" + ALL_FACTS.replace("\n", "\r\n")},
    ],
    ids=["dagforge.toml", "pyproject.toml", "byte order mark and CRLF"],
)
def test_all_facts(files: dict[str, str], tmp_path: Path) -> None:
    project = read_project(write(tmp_path, files))
    assert project == Project(
        root=tmp_path,
        name="spaceflights",
        conf=Path("settings"),
        templates=Path("templates"),
        output=Path("dags"),
        target="airflow-k8s",
        airflow_version="3.1",
        env="cloud",
        pipelines=("__default__", "data_science"),
        inputs=("IMAGE_TAG", "_x1"),
        required_version=">=0.1,<9",
        table=project.table,
    )
    origin = project.origin("target")
    assert origin is not None
    (file,) = files
    line = files[file].split("target =")[0].count("\n") + 1
    assert str(origin.location()) == f"{file}:{line}:10"
    assert str(origin.location(key=True)) == f"{file}:{line}:1"


FACT_ERRORS = [
    pytest.param(
        "project = 1\nconf =\n",
        "dagforge.toml:2:7: error: not TOML: invalid value [toml-syntax]",
        id="TOML",
    ),
    pytest.param(
        'targt = "prefect"\n',
        "dagforge.toml:1:1: error: there is no key 'targt' in DagForge's project facts"
        " [project-key]\n"
        "  fix: did you mean 'target'?",
        id="unknown key",
    ),
    pytest.param(
        'target = "airflow"\nairflow_version = "3.0"\n',
        "dagforge.toml:2:1: error: there is no key 'airflow_version' in DagForge's project facts"
        " [project-key]\n"
        "  fix: did you mean 'airflow-version'?",
        id="underscore",
    ),
    pytest.param(
        "airflow-version = 2.10\n",
        "dagforge.toml:1:19: error: 'airflow-version' is a number, not text [project-key]\n"
        '  fix: quote it: "2.1"',
        id="version as a number",
    ),
    pytest.param(
        'deploy = "gs://bucket"\n',
        "dagforge.toml:1:10: error: 'deploy' is text, not a table [project-key]",
        id="no table",
    ),
    pytest.param(
        'pipelines = "data_science"\ninputs = [1]\nenv = ["a"]\nproject = " "\n',
        "dagforge.toml:1:13: error: 'pipelines' must be a list of names [project-key]\n"
        '  fix: write pipelines = ["data_science"]\n'
        "dagforge.toml:2:10: error: 'inputs' must be a list of names [project-key]\n"
        "dagforge.toml:3:7: error: 'env' is a list, not text [project-key]\n"
        "dagforge.toml:4:11: error: 'project' is empty or unprintable [project-key]",
        id="wrong types, all at once",
    ),
    pytest.param(
        'inputs = ["A-B", "$X"]\n',
        "dagforge.toml:1:10: error: 'A-B' in 'inputs' is not the name of an environment variable"
        " [project-key]\n"
        "dagforge.toml:1:10: error: '$X' in 'inputs' is not the name of an environment variable"
        " [project-key]",
        id="not a variable's name",
    ),
    pytest.param(
        'required-version = ">=9"\nunknown = 1\n',
        "dagforge.toml:1:20: error: this is DagForge 1.2.3, the project wants >=9"
        " [required-version]\n"
        "  fix: install 'dagforge>=9'",
        id="another version, said before all else",
    ),
    pytest.param(
        'required-version = "1.2"\n',
        "dagforge.toml:1:20: error: '1.2' is not a version specifier [required-version]\n"
        '  fix: write it as in ">=1.2,<2" or "~=1.2"',
        id="no specifier",
    ),
    pytest.param(
        "a = " + "[" * 5000 + "]" * 5000 + "\n",
        "dagforge.toml: error: not TOML: values are nested too deep [toml-syntax]",
        id="too deep",
    ),
]


@pytest.mark.parametrize(("text", "message"), FACT_ERRORS)
def test_facts_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        read_project(write(tmp_path, {"dagforge.toml": text}), version="1.2.3")
    assert str(caught.value) == message


def test_facts_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes('a = 1\nb = "é"\n'.encode("latin-1"))
    with pytest.raises(LoadError) as caught:
        read_project(tmp_path)
    assert str(caught.value) == (
        "pyproject.toml:2: error: the byte 0xe9 is not UTF-8 [encoding]\n"
        "  fix: save the file as UTF-8"
    )


def test_facts_in_two_files(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "\n[tool.dagforge]\n", "dagforge.toml": ""})
    with pytest.raises(LoadError) as caught:
        read_project(tmp_path)
    assert str(caught.value) == (
        "pyproject.toml:2:1: error: the project's facts are in dagforge.toml and in"
        " [tool.dagforge] of pyproject.toml [two-projects]\n"
        "  fix: keep one of them"
    )


def test_facts_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        read_project(write(tmp_path, {"pyproject.toml": "[tool]\ndagforge = 5\n"}))
    assert str(caught.value) == (
        "pyproject.toml:2:12: error: [tool.dagforge] is a number, not a table [project-key]"
    )


SPECIFIERS = [
    ("1.2.3", ">=1.2", True),
    ("1.2.3", ">=1.2,<1.2.3", False),
    ("1.2", "==1.2.0", True),
    ("1.2.3", "==1.2.*", True),
    ("1.20.3", "==1.2.*", False),
    ("1.2.3", "!=1.2.*", False),
    ("1.2.3", "!=1.2.4", True),
    ("1.9", "~=1.2", True),
    ("2.0", "~=1.2", False),
    ("1.2.9", "~=1.2.3", True),
    ("1.3", "~=1.2.3", False),
    ("1.10", ">1.9", True),
    ("1.0rc1", "<1.0", True),
    ("1.0rc1", ">=1.0b2", True),
    ("1.0.dev3", "<1.0a1", True),
    ("1.0.post1", ">1.0", True),
    ("0.1.0", "<= 0.1, >= 0.1", True),
]


@pytest.mark.parametrize(("version", "specifiers", "expected"), SPECIFIERS)
def test_versions(version: str, specifiers: str, expected: bool) -> None:
    assert satisfies(version, specifiers) is expected


@pytest.mark.parametrize("specifier", ["", "1.2", "=1.2", ">=1.*", "~=1", ">=x", ">=1.2,", "==*"])
def test_what_is_no_specifier(specifier: str) -> None:
    with pytest.raises(ValueError):
        satisfies("1.0", specifier)
