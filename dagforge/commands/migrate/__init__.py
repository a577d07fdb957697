"""The command `migrate`: taking over from kedro-airflow."""
