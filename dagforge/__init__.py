"""A compiler from pipeline definitions to the DAG source files of Airflow and Prefect."""

__version__ = "0.1.0"
