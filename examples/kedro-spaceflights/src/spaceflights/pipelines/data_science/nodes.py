"""Functions of the pipeline `data_science`."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.metrics import max_error, mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split

log = logging.getLogger(__name__)


def split_data(
    table: pd.DataFrame, options: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Return features and prices for training and for testing."""
    return tuple(
        train_test_split(
            table[options["features"]],
            table["price"],
            test_size=options["test_size"],
            random_state=options["random_state"],
        )
    )


def train_model(features: pd.DataFrame, prices: pd.Series) -> LinearRegression:
    """Return a model of the price."""
    return LinearRegression().fit(features, prices)


def evaluate_model(
    model: LinearRegression, features: pd.DataFrame, prices: pd.Series
) -> dict[str, float]:
    """Return how well the model knows prices that it has not seen."""
    found = model.predict(features)
    score = float(r2_score(prices, found))
    log.info("The model explains %.3f of the price.", score)
    return {
        "r2_score": score,
        "mae": float(mean_absolute_error(prices, found)),
        "max_error": float(max_error(prices, found)),
    }
