"""kedro-airflow's own templates."""
