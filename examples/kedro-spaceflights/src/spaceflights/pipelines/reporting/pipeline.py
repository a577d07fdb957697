"""The pipeline `reporting`."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from .nodes import compare_passenger_capacity, plot_prices


def create_pipeline() -> Pipeline:
    """Return the pipeline that draws; all of it is one small task."""
    return pipeline(
        [
            node(
                func=compare_passenger_capacity,
                inputs="preprocessed_shuttles",
                outputs="passenger_capacity_plot",
                name="compare_passenger_capacity_node",
            ),
            node(
                func=plot_prices,
                inputs=["model_input_table", "params:price_plot"],
                outputs="price_plot",
                name="plot_prices_node",
            ),
        ],
        tags=["airflow.reports", "machine.small"],
    )
