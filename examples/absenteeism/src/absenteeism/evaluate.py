"""From a fitted model to how good it is."""

from typing import Any

import pandas as pd
from hamilton.function_modifiers import config, save_to, source
from sklearn.metrics import accuracy_score, mean_absolute_error


def predictions(fitted_model: Any, X_validation: pd.DataFrame) -> pd.Series:
    """What the model says of the rows for validation."""
    return pd.Series(fitted_model.predict(X_validation), index=X_validation.index)


@save_to.csv(path=source("predictions_path"), output_name_="save_predictions")
def validation_table(y_validation: pd.Series, predictions: pd.Series) -> pd.DataFrame:
    """What was, beside what the model says."""
    return pd.DataFrame({"y_validation": y_validation, "prediction": predictions})


@config.when(task="regression")
def model_results__regression(validation_table: pd.DataFrame) -> dict[str, float]:
    """Mean absolute error, in hours."""
    error = mean_absolute_error(validation_table["y_validation"], validation_table["prediction"])
    return {"mean_absolute_error": float(error)}


@config.when(task="classification")
def model_results__classification(validation_table: pd.DataFrame) -> dict[str, float]:
    """Part of the rows that are right."""
    right = accuracy_score(validation_table["y_validation"], validation_table["prediction"])
    return {"accuracy": float(right)}
