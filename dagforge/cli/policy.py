"""The command `policy`: the rules in force."""

from __future__ import annotations

from typing import Any

import click

from dagforge.cli.options import (
    format_option,
    make_request,
    project_options,
    talk_options,
    target_options,
)
from dagforge.cli.talk import say_more
from dagforge.errors import DagForgeError


@click.command()
@project_options
@target_options
@format_option
@talk_options
def policy(form: str, **options: Any) -> None:
    """List the rules in force, where each stands, and the exceptions from them.

    Rules stand in [tool.dagforge.policy] and in the packages that the project extends. `create` and
    `validate` check them.
    """
    from dagforge.build import attempt, read_source
    from dagforge.commands.policy import policy_text
    from dagforge.errors import Problems
    from dagforge.policy.rules import policy_tables, read_rules

    options["every"] = True
    request = make_request(options)
    source = read_source(request)
    problems = Problems()
    tables = policy_tables(source.project, source.conf.packages)
    rules = read_rules(tables, source.target, problems)
    found = attempt(request, render_files=False, source=source)
    say_more(found, options)
    click.echo(policy_text(found, rules, form))
    problems.extend(problem for problem in found.problems if problem.severity == "error")
    problems.raise_errors(DagForgeError)
