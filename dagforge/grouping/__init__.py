"""The ways to group, and the cycles that a grouping can make."""
