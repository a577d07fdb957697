"""Trains and scores models of the price."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
