"""A stand-in for one operator of the Amazon provider, which would bring boto3 and much more."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator


class S3ListOperator(BaseOperator):  # type: ignore[misc]  # Airflow is not installed here
    """The signature and template fields of the provider's operator of this name."""

    template_fields = ("bucket", "prefix", "delimiter")

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        aws_conn_id: str | None = "aws_default",
        verify: str | bool | None = None,
        apply_wildcard: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.prefix = prefix
        self.delimiter = delimiter
        self.aws_conn_id = aws_conn_id
        self.verify = verify
        self.apply_wildcard = apply_wildcard
