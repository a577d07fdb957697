"""Keep variables and blocks in the real Prefect.

Standard input is `{"variables": {name: value}, "blocks": {name: value}}`.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Do what standard input says."""
    from prefect.variables import Variable
    from team.blocks import JsonConfig

    question = json.load(sys.stdin)
    for name, value in question["variables"].items():
        Variable.set(name, value)
    for name, value in question["blocks"].items():
        JsonConfig(value=value).save(name)
    print("{}")


if __name__ == "__main__":
    main()
