"""Folders and buckets that DAG files are deployed to, and what is kept there of who owns what."""
