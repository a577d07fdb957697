"""From features to a fitted model."""

from typing import Any

import pandas as pd
from hamilton.function_modifiers import config, extract_fields, tag
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor


@extract_fields(
    {
        "X_train": pd.DataFrame,
        "X_validation": pd.DataFrame,
        "y_train": pd.Series,
        "y_validation": pd.Series,
    }
)
def split(
    features: pd.DataFrame, target: pd.Series, id: pd.Series, validation_user_ids: list[int]
) -> dict[str, Any]:
    """Rows for training and for validation; nobody is in both."""
    is_validation = id.isin(validation_user_ids)
    return {
        "X_train": features[~is_validation],
        "X_validation": features[is_validation],
        "y_train": target[~is_validation],
        "y_validation": target[is_validation],
    }


@config.when(task="regression")
def model__regression(training: dict[str, int]) -> RandomForestRegressor:
    """A forest that predicts hours."""
    return RandomForestRegressor(**training, random_state=1)


@config.when(task="classification")
def model__classification(training: dict[str, int]) -> RandomForestClassifier:
    """A forest that predicts whether an absence is long."""
    return RandomForestClassifier(**training, random_state=1)


@tag(machine="medium")
def fitted_model(model: Any, X_train: pd.DataFrame, y_train: pd.Series) -> Any:
    """The model, fitted to the rows for training."""
    return model.fit(X_train, y_train)
