"""What is taken for a credential, what is not, and that nothing of it is ever told."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest

from dagforge.credentials import assigned_in, certainty, found_in, is_literal
from dagforge.errors import DagForgeError
from dagforge.scan import in_line
from dagforge.suspicion import SHAPES, suspicion
from tests.projects import AIRFLOW, build_project
from tests.run_cases import CASES, REPOSITORY

LETTERS = string.ascii_letters
TEXT = LETTERS + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"


def tokens() -> dict[str, str]:
    """Return one made-up credential of each shape; none stands in this repository."""
    made = random.Random(4)

    def some(count: int, characters: str = TEXT) -> str:
        return "".join(made.choice(characters) for _ in range(count))

    return {
        "an AWS access key": "AKIA" + some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        "an Anthropic API key": f"sk-ant-api03-{some(93)}AA",
        "an Atlassian API token": f"ATATT3xFfGF0{some(180)}",
        "an Azure storage key": f"AccountName=shop;AccountKey={some(86)}==;",
        "an Azure access key": f"Endpoint=sb://shop;SharedAccessKey={some(43)}=",
        "a Databricks token": f"dapi{some(32, HEX)}",
        "a DigitalOcean token": f"dop_v1_{some(64, HEX)}",
        "a dbt Cloud token": f"dbtc_{some(44)}",
        "a Docker Hub token": f"dckr_pat_{some(27)}",
        "a Doppler token": f"dp.pt.{some(43)}",
        "a GitHub token": f"github_pat_{some(22)}_{some(59)}",
        "a GitLab token": f"glpat-{some(20)}",
        "a Google API key": f"AIza{some(35)}",
        "a Google OAuth secret": f"GOCSPX-{some(28)}",
        "a Grafana token": f"glsa_{some(32)}_{some(8, HEX)}",
        "a HashiCorp Vault token": f"hvs.{some(95)}",
        "a Hugging Face token": f"hf_{some(34, LETTERS)}",
        "a JSON Web Token": f"eyJ{some(30)}.eyJ{some(60)}.{some(43)}",
        "a Linear API key": f"lin_api_{some(40)}",
        "a New Relic key": f"NRAK-{some(27, UPPER)}",
        "an npm token": f"npm_{some(36)}",
        "an OpenAI API key": f"sk-proj-{some(74)}T3BlbkFJ{some(74)}",
        "a Prefect API key": f"pnu_{some(36)}",
        "a private key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{some(64)}",
        "a PyPI token": f"pypi-AgEIcHlwaS5vcmc{some(120)}",
        "a SendGrid API key": f"SG.{some(22)}.{some(43)}",
        "a Shopify token": f"shpat_{some(32, HEX)}",
        "a Slack token": f"xoxb-{some(12, HEX)}-{some(24)}",
        "a Slack webhook": f"https://hooks.slack.com/services/T{some(8, UPPER)}/B{some(9, UPPER)}/"
        + some(24),
        "a Stripe key": f"sk_live_{some(24)}",
        "a Twilio API key": f"SK{some(32, HEX)}",
    }


TOKENS = tokens()


def test_every_shape_has_an_example() -> None:
    assert list(TOKENS) == [shape.what for shape in SHAPES]


@pytest.mark.parametrize("what", TOKENS)
def test_shapes_are_found(what: str) -> None:
    token = TOKENS[what]
    for text in (token, f"curl -H 'X: {token}' https://example.com", f'("{token}",)'):
        assert next(message for _, message in found_in(text)) == f"this is {what}"
        # Asking whether to look at all gives the same answer.
        suspected = suspicion(f"default:\n  owner: {text}\n".encode())
        assert what in [shape.what for shape in suspected.shapes]


@pytest.mark.parametrize("what", TOKENS)
def test_a_message_does_not_tell_the_secret(what: str, tmp_path: Path) -> None:
    token = TOKENS[what].split("\n")[0]
    settings = f"default:\n  owner: '{token}'\n  params: {{password: '{token}'}}\n"
    with pytest.raises(DagForgeError) as caught:
        build_project(tmp_path, {AIRFLOW: settings}, target="airflow", render=True)
    secrets = [problem for problem in caught.value.problems if problem.code == "secret"]
    assert len(secrets) == 2
    assert token not in str(caught.value)


URLS = [
    ("postgresql://shop:hunter2@db:5432/shop", True),
    ("jdbc:postgresql://shop:hunter2@db/shop", True),
    ("redis://:hunter2@cache", True),
    ("postgresql://shop@db/shop", False),
    ("postgresql://shop:$PGPASSWORD@db/shop", False),
    ("postgresql://shop:${env:X}@db/shop", False),
    ("postgresql://shop:{{ conn.db.password }}@db/shop", False),
    ("postgresql://shop:***@db/shop", False),
    ("postgresql://<user>:<password>@db/shop", False),
    ("s3://bucket/path@v2", False),
    ("https://example.com:8080/a@b", False),
]


@pytest.mark.parametrize(("url", "found"), URLS)
def test_passwords_in_urls(url: str, found: bool) -> None:
    assert bool(list(found_in(url))) is found
    assert not found or suspicion(url.encode())


NAMES = [
    ("password", 2),
    ("DB_PASSWORD", 2),
    ("dbPassword", 2),
    ("smtp-passwd", 2),
    ("db_pwd", 2),
    ("password2", 2),
    ("PGPASSWORD", 2),
    ("dbpassword", 2),
    ("smtp_pass", 1),
    ("pass", 0),
    ("passengers", 0),
    ("bypass", 0),
    ("token", 1),
    ("githubToken", 1),
    ("AWS_SECRET_ACCESS_KEY", 1),
    ("api_key", 1),
    ("apikey", 1),
    ("X-Api-Key", 1),
    ("client_secret", 1),
    ("fernet_key", 1),
    ("secret_value", 1),
    ("pwd", 0),
    ("token_length", 0),
    ("max_tokens", 0),
    ("tokenizer", 0),
    ("secret_name", 0),
    ("secrets", 0),
    ("password_file", 0),
    ("primary_key", 0),
    ("partition_key", 0),
    ("result_storage_key", 0),
    ("key", 0),
    ("automount_service_account_token", 1),
    ("image", 0),
    ("", 0),
]


@pytest.mark.parametrize(("name", "sure"), NAMES)
def test_names_that_call_for_a_credential(name: str, sure: int) -> None:
    assert certainty(name) == sure
    # A source that may hold such a name is looked at.
    assert not sure or suspicion(f"x:\n  {name}: 1\n".encode()).names


VALUES: list[tuple[str, Any, bool]] = [
    ("password", "hunter2", True),
    ("password", "correct horse battery staple", True),
    ("password", 12345, True),
    ("password", "", False),
    ("password", None, False),
    ("password", True, False),
    ("password", "{{ conn.db.password }}", False),
    ("password", "$DB_PASSWORD", False),
    ("password", "@password.txt", False),
    ("password", "${DB_PASSWORD}", False),
    ("password", "<your password>", False),
    ("password", "***", False),
    ("password", "/run/secrets/db", False),
    ("password", "vault:secret/data/db#password", False),
    ("password", "projects/shop/secrets/db/versions/3", False),
    ("password", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db", False),
    ("token", "9f8e7d6c5b4a", True),
    ("token", "aZ9-bY8-cX7-dW6", True),
    ("token", "qwertyuiopasdfghjklzxcvbnm", True),
    ("authorization", "Bearer 9f8e7d6c5b4a", True),
    ("token", 5, False),
    ("token", "word", False),
    ("token", "paragraph_2", False),
    ("pad_token", "[PAD]", False),
    ("eos_token", "</s>", False),
    ("separator_token", "two words", False),
    ("client_secret", "orders-client-secret", False),
    ("api_key", "OPENAI_API_KEY", False),
    ("api_key", "os.environ/OPENAI_API_KEY", False),
    ("access_key", "date:shop:2024", False),
    ("automount_service_account_token", False, False),
    ("token_length", "9f8e7d6c5b4a", False),
    ("checksum", "d41d8cd98f00b204e9800998ecf8427e", False),
    ("id", "550e8400-e29b-41d4-a716-446655440000", False),
    ("image", "ghcr.io/acme/x@sha256:" + "0123456789abcdef" * 4, False),
    ("commit", "da39a3ee5e6b4b0d3255bfef95601890afd80709", False),
]


@pytest.mark.parametrize(("name", "value", "secret"), VALUES)
def test_values_that_are_a_credential(name: str, value: Any, secret: bool) -> None:
    assert is_literal(name, value) is secret
    if isinstance(value, str):
        assert list(found_in(value)) == []


WORDS = [
    ("--password=hunter2", ["--password"]),
    ("Server=db;Uid=shop;Pwd=x;Password=hunter2;", ["Password"]),
    ("export API_TOKEN=9f8e7d6c5b4a && run", ["API_TOKEN"]),
    ("https://example.com/?q=1&access_token=9f8e7d6c5b4a", ["access_token"]),
    ("--password=$PGPASSWORD --token={{ var.value.t }}", []),
    ("TOKEN=$(cat /run/token)", []),
    ("login(token=get_token())", []),
    ("--max-tokens=12345678", []),
    ("psql --password='hunter2' -c 'select 1'", ["--password"]),
    ('export PGPASSWORD="hunter2"; psql', ["PGPASSWORD"]),
    ("load --user shop --password hunter2", ["--password"]),
    ("load --api-token 9f8e7d6c5b4a", ["--api-token"]),
    ("load --password $PGPASSWORD --password-file 1.txt --token --fast", []),
    ("Needs --password or a file; --password, too.", []),
    ("login --password-stdin --max-tokens 12345678", []),
]


JSON_TEXTS = [
    ('{"conn_type": "postgres", "password": "hunter2"}', True),
    ('[{"auth": {"client_secret": "9f8e7d6c5b4a"}}]', True),
    ('{"extra": "{\\"password\\": \\"hunter2\\"}"}', True),
    ('{"password": "{{ conn.db.password }}"}', False),
    ('{"password": ""}', False),
    ('{"password": broken', False),
    ("{{ conn.db.password }}", False),
]


@pytest.mark.parametrize(("text", "secret"), JSON_TEXTS)
def test_credentials_in_json(text: str, secret: bool, tmp_path: Path) -> None:
    settings = f"default:\n  image: shop\n  env_vars:\n    AIRFLOW_CONN_DB: '{text}'\n"
    files = {AIRFLOW: settings}
    with pytest.raises(DagForgeError) as caught:  # there is no machine 'small'
        build_project(tmp_path, files, target="airflow-k8s", render=True)
    assert ("the value of 'password' stands here" in str(caught.value)) is (
        secret and "client_secret" not in text
    )
    assert ("[secret]\n" in str(caught.value)) is secret
    assert ("deploy_target: AIRFLOW_CONN_DB" in str(caught.value)) is secret


@pytest.mark.parametrize(("text", "names"), WORDS)
def test_words_that_give_a_credential(text: str, names: list[str]) -> None:
    assert [name for _, name in assigned_in(text)] == names


GENERATED = sorted([*CASES.glob("*/expected/**/*.py"), *REPOSITORY.glob("examples/**/*.py")])


def test_nothing_that_is_generated_holds_a_credential() -> None:
    assert len(GENERATED) > 50
    for path in GENERATED:
        source = path.read_bytes()
        suspected = suspicion(source)
        lines = source.decode("utf-8").splitlines()
        found = [message for line in lines for _, message in in_line(line, suspected)]
        assert found == [], path


def test_what_only_looks_like_a_secret_says_so_in_its_line(tmp_path: Path) -> None:
    settings = """
        default:
          params:
            password: hunter2  # dagforge: not a secret, the password of the test database
            token: 9f8e7d6c5b4a  # DagForge: Not a secret, the same
            text: |  # dagforge: not a secret: an example from the documentation
              ghp_{token}
        """.replace("{token}", "a1" * 18)
    built = build_project(tmp_path, {AIRFLOW: settings}, target="airflow", render=True)
    assert [problem for problem in built.problems if problem.severity == "error"] == []


def test_what_does_not_become_a_file_is_not_searched(tmp_path: Path) -> None:
    settings = "default: {params: {password: hunter2}}\n"
    build_project(tmp_path, {AIRFLOW: settings}, target="airflow")


def test_a_value_from_the_environment_is_searched(tmp_path: Path) -> None:
    files = {
        "dagforge.toml": 'inputs = ["OWNER"]\n',
        AIRFLOW: "default: {owner: '${env:OWNER}'}\n",
    }
    token = TOKENS["a GitLab token"]
    with pytest.raises(DagForgeError, match="this is a GitLab token") as caught:
        build_project(tmp_path, files, target="airflow", render=True, environ={"OWNER": token})
    assert token not in str(caught.value)
