"""Run `dagforge` in many Kedro projects, one after the other in this process; JSON in and out.

Read: a list of `{"root": folder, "commands": [arguments, ...]}`. Written: for each, how each
command went, as `[exit code, stdout, stderr]`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from dagforge.cli.program import run_command


def main() -> None:
    """Run what stands on stdin."""
    results = []
    for project in json.load(sys.stdin):
        os.chdir(project["root"])
        ran = []
        for arguments in project["commands"]:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run_command(arguments)
            ran.append([code, out.getvalue(), err.getvalue()])
        results.append(ran)
    json.dump(results, sys.stdout)


main()
