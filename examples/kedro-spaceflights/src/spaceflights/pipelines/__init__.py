"""A package for each pipeline."""
