"""Cleans the raw tables and joins them."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
