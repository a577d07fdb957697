"""What a team adds to its pods."""

from __future__ import annotations

from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback


def format_log(container: str, message: str) -> str:
    """Return a line of the log."""
    return f"{container}: {message}"


class Progress(KubernetesPodOperatorCallback):
    """Callbacks that do nothing."""
