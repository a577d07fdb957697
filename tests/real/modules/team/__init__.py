"""A team's own modules, which the settings of golden cases name."""
