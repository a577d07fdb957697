"""Plain functions over plain tables; nothing here knows that DagForge runs them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split


def preprocess_companies(companies: pd.DataFrame) -> pd.DataFrame:
    """Return the companies with ratings as shares of one and flags as truth values."""
    companies = companies.copy()
    companies["iata_approved"] = companies["iata_approved"] == "t"
    companies["company_rating"] = companies["company_rating"].str.rstrip("%").astype(float) / 100
    return companies


def preprocess_shuttles(shuttles: pd.DataFrame) -> pd.DataFrame:
    """Return the shuttles with prices as numbers and flags as truth values."""
    shuttles = shuttles.copy()
    for flag in ("d_check_complete", "moon_clearance_complete"):
        shuttles[flag] = shuttles[flag] == "t"
    price = shuttles["price"].str.replace("[$,]", "", regex=True)
    shuttles["price"] = price.astype(float)
    return shuttles


def create_model_input_table(
    shuttles: pd.DataFrame, companies: pd.DataFrame, reviews: pd.DataFrame
) -> pd.DataFrame:
    """Return one row for each review, with what is known of its shuttle and company."""
    rated = shuttles.merge(reviews, left_on="id", right_on="shuttle_id").drop(columns="id")
    table = rated.merge(companies, left_on="company_id", right_on="id")
    return table.dropna().reset_index(drop=True)


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
) -> float:
    """Return how much of the price the model explains on data that it has not seen."""
    return float(r2_score(prices, model.predict(features)))
