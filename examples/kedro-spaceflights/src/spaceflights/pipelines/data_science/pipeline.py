"""The pipeline `data_science`: one set of nodes, used for two models."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from .nodes import evaluate_model, split_data, train_model


def create_pipeline() -> Pipeline:
    """Return the pipelines of both models; each has its own parameters, and is one task."""
    modelling = pipeline(
        [
            node(
                func=split_data,
                inputs=["model_input_table", "params:model_options"],
                outputs=["X_train", "X_test", "y_train", "y_test"],
                name="split_data_node",
            ),
            node(
                func=train_model,
                inputs=["X_train", "y_train"],
                outputs="regressor",
                name="train_model_node",
                tags=["machine.medium"],
            ),
            node(
                func=evaluate_model,
                inputs=["regressor", "X_test", "y_test"],
                outputs="metrics",
                name="evaluate_model_node",
            ),
        ]
    )
    active = pipeline(
        modelling,
        namespace="active_modelling",
        inputs="model_input_table",
        tags=["airflow.active_model"],
    )
    candidate = pipeline(
        modelling,
        namespace="candidate_modelling",
        inputs="model_input_table",
        tags=["airflow.candidate_model"],
    )
    return active + candidate
