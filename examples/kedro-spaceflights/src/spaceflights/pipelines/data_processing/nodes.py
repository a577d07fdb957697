"""Functions of the pipeline `data_processing`."""

from __future__ import annotations

import pandas as pd


def _is_true(flags: pd.Series) -> pd.Series:
    return flags == "t"


def preprocess_companies(companies: pd.DataFrame) -> pd.DataFrame:
    """Return the companies with ratings as shares of one and flags as truth values."""
    return companies.assign(
        iata_approved=_is_true(companies["iata_approved"]),
        company_rating=companies["company_rating"].str.rstrip("%").astype(float) / 100,
    )


def preprocess_shuttles(shuttles: pd.DataFrame) -> pd.DataFrame:
    """Return the shuttles with prices as numbers and flags as truth values."""
    return shuttles.assign(
        d_check_complete=_is_true(shuttles["d_check_complete"]),
        moon_clearance_complete=_is_true(shuttles["moon_clearance_complete"]),
        price=shuttles["price"].str.replace("[$,]", "", regex=True).astype(float),
    )


def create_model_input_table(
    shuttles: pd.DataFrame, companies: pd.DataFrame, reviews: pd.DataFrame
) -> pd.DataFrame:
    """Return one row for each review, with what is known of its shuttle and company."""
    rated = shuttles.merge(reviews, left_on="id", right_on="shuttle_id").drop(columns="id")
    return rated.merge(companies, left_on="company_id", right_on="id").dropna()
