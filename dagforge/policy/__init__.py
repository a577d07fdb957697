"""Policy: what a project, or the packages that it extends, demand of every DAG."""
