"""Jinja for Python source: values that quote themselves."""
