"""Whether a file deserves a closer look for credentials. Most do not, and every run asks.

Nothing here is compiled before it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
# bc-detect-secrets finds 8 of the 31 of tests/test_credentials.py, and imports requests.
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

KEYS = frozenset(
    {
        *("access", "account", "api", "auth", "encryption", "fernet", "hmac", "master", "private"),
        *("secret", "session", "shared", "signing", "ssh", "storage", "subscription"),
    }
)
"""Words that make a `..._key` a credential."""

_SHORTEST_SHAPE = 20
_SIGNS = [(shape, [sign.encode() for sign in shape.signs]) for shape in SHAPES]
_PRIVATE_KEY = next(shape for shape in SHAPES if "PRIVATE" in shape.signs)
_NAME_SIGNS = (b"pass", b"pwd", b"secret", b"token", b"jwt", b"authorization")
_KEY_NAMES = rb"(?:%s)[ _.-]?key" % "|".join(sorted(KEYS)).encode()
_PASSWORD_IN_URL = rb"://[^\s/:@'\"]*:[^\s/@'\"]+@"


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
        named = re.search(_KEY_NAMES, every) is not None
    return Suspicion(named or _has_password(source), tuple(shapes))


def _has_password(source: bytes) -> bool:
    """Say whether there may be a URL with a password."""
    return b"@" in source and b"://" in source and bool(re.search(_PASSWORD_IN_URL, source))
