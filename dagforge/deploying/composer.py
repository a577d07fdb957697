"""The bucket of a Cloud Composer environment, as Google's own command line knows it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import Final

from dagforge.deploying.settings import DeploySettings
from dagforge.errors import OutputError

_SECONDS: Final = 120


def lookup_command(settings: DeploySettings) -> list[str]:
    """Return the command that prints the DAGs' root of a Composer environment."""
    assert settings.composer is not None
    command = ["gcloud", "composer", "environments", "describe", settings.composer]
    if settings.location is not None:
        command += ["--location", settings.location]
    if settings.composer_project is not None:
        command += ["--project", settings.composer_project]
    return [*command, "--format", "value(config.dagGcsPrefix)"]


def find_url(settings: DeploySettings) -> str:
    """Return the URL of the DAGs' root of a Composer environment.

    Raises:
        OutputError: it cannot be found out.
    """
    command = lookup_command(settings)
    shown = shlex.join(command)
    program = shutil.which(command[0])
    if program is None:
        raise OutputError.of(
            "no-composer",
            f"Composer environment '{settings.composer}' is looked up by gcloud, which is not "
            "installed here",
            fix=f"run this where it is, and give deploy the URL that it prints:\n{shown}",
        )
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
        said, url = done.stderr, done.stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        said, url = str(error), ""
    if not url.startswith("gs://"):
        lines = [line for line in said.splitlines() if line.strip()]
        raise OutputError.of(
            "no-composer",
            f"the bucket of Composer environment '{settings.composer}' is not known: "
            f"{' '.join(lines[-1].split()) if lines else 'gcloud printed no URL'}",
            fix=f"see what this says:\n{shown}",
        )
    return url
