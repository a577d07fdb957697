"""Settings of Kedro.

https://docs.kedro.org/en/stable/configure/configuration_basics
"""

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # kedro-airflow and DagForge read the settings of the DAGs from here.
    "config_patterns": {"airflow": ["airflow*", "airflow/**"]},
}
