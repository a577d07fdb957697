"""Definitions of other tools, turned into a project of DagForge's own.

What a tool's file says is carried over, comments included, or it is told with its line what is
not. Nothing of the other tool is imported, nor is any of the user's code.
"""
