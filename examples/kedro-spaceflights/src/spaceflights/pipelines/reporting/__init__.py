"""Draws what the data say."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
