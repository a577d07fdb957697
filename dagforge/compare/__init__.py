"""What a change means: two states of a project's DAGs held against each other."""
