"""Which customers will leave?"""

import pandas as pd
from sklearn.linear_model import LogisticRegression

import dagforge

FEATURES = ["visits", "complaints"]


@dagforge.node
def model(history: pd.DataFrame) -> LogisticRegression:
    return LogisticRegression().fit(history[FEATURES], history["left"])


@dagforge.node(outputs="predictions")
def predict(customers: pd.DataFrame, model: LogisticRegression) -> pd.DataFrame:
    return customers.assign(score=model.predict_proba(customers[FEATURES])[:, 1])


@dagforge.check
def are_probabilities(predictions: pd.DataFrame) -> bool:
    return bool(predictions["score"].between(0, 1).all())


@dagforge.metric
def at_risk(predictions: pd.DataFrame, limit: float = 0.5) -> float:
    return float((predictions["score"] > limit).mean())


@dagforge.pipeline
def churn():
    predictions = predict(dagforge.dataset("customers"), model(dagforge.dataset("history")))
    are_probabilities(predictions)
    at_risk(predictions)
