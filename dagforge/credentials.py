"""What looks like a credential: names that call for one, and the shapes that issuers publish.

No guesses by entropy, which take digests, hashes and UUIDs for secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from dagforge.frozen import frozen


@frozen
class Shape:
    """What the credentials of one issuer look like.

    Attributes:
        what: with its article, for messages.
        signs: of these texts each such credential has one; few other texts do.
        pattern: a regular expression, compiled only where one of the signs was seen.
    """

    what: str
    signs: tuple[str, ...]
    pattern: str


def _shape(what: str, signs: str, pattern: str) -> Shape:
    return Shape(what, tuple(signs.split()), pattern)


# As at 2026-11. The beginnings are the issuers' own, made so that leaked keys can be found. Of the
# libraries that know some, detect-secrets has had no release since 2024-05, and its fork
# bc-detect-secrets finds 10 of the 31 of tests/test_credentials.py and imports requests.
SHAPES: Sequence[Shape] = (
    _shape("an AWS access key", "AKIA ASIA", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    _shape("an Anthropic API key", "sk-ant-", r"\bsk-ant-[a-z0-9]+-[\w-]{20,}"),
    _shape("an Atlassian API token", "ATATT3", r"\bATATT3xFfGF0[\w=-]{100,}"),
    _shape("an Azure storage key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    _shape("an Azure access key", "SharedAccessKey=", r"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    _shape("a Databricks token", "dapi", r"\bdapi[0-9a-f]{32}\b"),
    _shape("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    _shape("a dbt Cloud token", "dbtc_ dbtu_", r"\bdbt[cu]_[\w-]{40,}"),
    _shape("a Docker Hub token", "dckr_pat_ dckr_oat_", r"\bdckr_[op]at_[\w-]{20,}"),
    _shape("a Doppler token", "dp.pt. dp.st. dp.ct. dp.sa.", r"\bdp\.[a-z]{2}\.[A-Za-z0-9]{40,}"),
    _shape(
        "a GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{80})",
    ),
    _shape("a GitLab token", "glpat- gldt- glrt- glcbt-", r"\bgl(?:pat|dt|rt|cbt)-[\w-]{20,}"),
    _shape("a Google API key", "AIza", r"\bAIza[\w-]{35}"),
    _shape("a Google OAuth secret", "GOCSPX-", r"\bGOCSPX-[\w-]{28}"),
    _shape("a Grafana token", "glsa_", r"\bglsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}\b"),
    _shape("a HashiCorp Vault token", "hvs. hvb. hvr.", r"\bhv[sbr]\.[\w-]{24,}"),
    _shape("a Hugging Face token", "hf_", r"\bhf_[A-Za-z]{34}\b"),
    _shape("a JSON Web Token", "eyJ", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    _shape("a Linear API key", "lin_api_", r"\blin_api_[A-Za-z0-9]{40}\b"),
    _shape("a New Relic key", "NRAK-", r"\bNRAK-[A-Z0-9]{27}\b"),
    _shape("an npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    _shape("an OpenAI API key", "T3BlbkFJ", r"\bsk-[\w-]{20,}T3BlbkFJ[\w-]{20,}"),
    _shape("a Prefect API key", "pnu_ pnb_", r"\bpn[ub]_[A-Za-z0-9]{36}\b"),
    _shape("a private key", "PRIVATE", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    _shape("a PyPI token", "pypi-AgE", r"\bpypi-AgE[\w-]{50,}"),
    _shape("a SendGrid API key", "SG.", r"\bSG\.[\w-]{22}\.[\w-]{43}"),
    _shape(
        "a Shopify token", "shpat_ shpca_ shppa_ shpss_", r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}\b"
    ),
    _shape("a Slack token", "xox", r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}"),
    _shape("a Slack webhook", "hooks.slack.com", r"hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"),
    _shape("a Stripe key", "k_live_", r"\b[rs]k_live_[0-9A-Za-z]{16,}"),
    _shape("a Twilio API key", "SK", r"\bSK[0-9a-f]{32}\b"),
)

_SHORTEST_SHAPE = 20
_SIGNS = [(shape, [sign.encode() for sign in shape.signs]) for shape in SHAPES]
_PRIVATE_KEY = next(shape for shape in SHAPES if "PRIVATE" in shape.signs)

_IN_URL_BYTES = re.compile(rb"://[^\s/:@'\"]*:[^\s/@'\"]+@")
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:(?P<password>[^\s/@'\"]+)@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?:^|(?<=[\s;?&,'\"]))(?P<name>-{0,2}[A-Za-z][\w.-]*)\s*=\s*(?P<value>[^\s;&,'\"]+)"
)

_HEADER = re.compile(
    r"authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+(?P<value>[^\s'\"<{$]{8,})",
    re.IGNORECASE,
)

_SURE = frozenset({"password", "passwd", "passphrase"})
_LIKELY = frozenset({"secret", "token", "apikey", "authorization"})
_KEYS = frozenset(
    {
        *("access", "account", "api", "auth", "encryption", "fernet", "hmac", "master", "private"),
        *("secret", "session", "shared", "signing", "ssh", "storage", "subscription"),
    }
)
"""Words that make a `..._key` a credential."""
_ENDINGS = frozenset({"value", "text", "plain", "literal", "default"})
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NAME_SIGNS = (b"passw", b"passphrase", b"pwd", b"secret", b"token", b"jwt", b"authorization")
_KEY_NAMES = re.compile(rb"(?:%s)[ _.-]?key" % "|".join(sorted(_KEYS)).encode())

# What is no value but says where one is: a template, a variable, a path, the name of a store.
_REFERENCE = re.compile(
    r"\{\{|\{%|\$[({A-Za-z_]|%\(|<[^>]*>|^[\[{<]|^(?:~|\.{1,2})?/|^[a-z][a-z0-9+.-]*://|^arn:"
    r"|^projects/|^(?:conn|connection|env|file|keyring|kms|op|params|secrets?|sm|ssm|var|vault)[:/.]|^os[.]environ",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"(.)\1*|\.\.\.|none|null|true|false", re.IGNORECASE | re.DOTALL)
# `paragraph_2`, `orders-client-secret`: words, perhaps numbered.
_WORD = r"(?:[A-Z]?[a-z]{1,18}(?:[A-Z][a-z]{1,18}){0,5}|[A-Z]{1,19})\d{0,3}"
_LIKE_A_NAME = re.compile(rf"{_WORD}(?:[-_./:](?:{_WORD}|\d{{1,4}}))*")
_SCHEME = re.compile(r"(?:basic|bearer|token)\s+", re.IGNORECASE)
_SHORTEST = 8


@lru_cache(maxsize=4096)
def certainty(name: str) -> int:
    """Return how sure it is that what is called so is a credential: 0 for not, 1 likely, 2 surely.

    The last word decides: `db_password` and `AWS_SECRET_ACCESS_KEY` are, `token_length`,
    `secret_name` and `primary_key` are not.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and (words[-1] in _ENDINGS or words[-1].isdigit()):
        words.pop()
    if not words:
        return 0
    if words[-1] in _SURE or (len(words) > 1 and words[-1] == "pwd"):
        return 2
    if words[-1] in _LIKELY or (len(words) > 1 and words[-1] == "jwt"):
        return 1
    return int(words[-1] == "key" and len(words) > 1 and words[-2] in _KEYS)


def is_literal(name: str, value: object) -> bool:
    """Say whether a value is the credential that its name calls for, and no reference to one."""
    sure = certainty(name)
    if not sure or isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return sure == 2
    if not isinstance(value, str):
        return False
    text = _SCHEME.sub("", value.strip(), count=1)
    if not text or _REFERENCE.search(text) or _PLACEHOLDER.fullmatch(text):
        return False
    if sure == 2:
        return True
    return len(text) >= _SHORTEST and " " not in text and not _LIKE_A_NAME.fullmatch(text)


@frozen
class Suspicion:
    """What a closer look at a source should look for.

    Attributes:
        names: whether there may be names that call for a credential, or URLs with a password.
        shapes: the shapes that it may hold.
    """

    names: bool
    shapes: tuple[Shape, ...]

    def __bool__(self) -> bool:
        return self.names or bool(self.shapes)


def suspicion(source: bytes) -> Suspicion:
    """Return what to look for in a source: nothing in most, so that it costs little to ask."""
    # Names come again and again: what is looked through is a quarter of the whole.
    words = set(source.split())
    long = b" ".join([word for word in words if len(word) >= _SHORTEST_SHAPE])
    shapes = [shape for shape, signs in _SIGNS if any(sign in long for sign in signs)]
    if b"PRIVATE" in words:
        shapes.append(_PRIVATE_KEY)
    every = b" ".join(words).lower()
    named = any(sign in every for sign in _NAME_SIGNS)
    if not named and b"key" in every:
        named = _KEY_NAMES.search(every) is not None
    return Suspicion(named or _IN_URL_BYTES.search(source) is not None, tuple(shapes))


def found_in(text: str, shapes: Sequence[Shape] = SHAPES) -> Iterator[tuple[int, str]]:
    """Yield where in a text a credential begins and what it is, but never the credential."""
    for shape in shapes:
        for match in re.finditer(shape.pattern, text):
            if "EXAMPLE" not in match[0]:
                yield match.start(), f"this is {shape.what}"
    if "@" in text and "://" in text:
        for match in _IN_URL.finditer(text):
            password = match["password"]
            if not (_REFERENCE.search(password) or _PLACEHOLDER.fullmatch(password)):
                yield match.start("password"), "this URL holds a password"
    if "uthorization" in text:
        for match in _HEADER.finditer(text):
            yield match.start("value"), "this header holds a credential"


def assigned_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield where a word such as `--password=...` gives a credential, and the name that it has."""
    for match in _ASSIGNED.finditer(text) if "=" in text else ():
        if "(" not in match["value"] and is_literal(match["name"], match["value"]):
            yield match.start("value"), match["name"]
