"""Write small tables that look like the real ones, the same at every run.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 3
COMPANIES, SHUTTLES = 200, 1_000


def main(folder: Path) -> None:
    """Write companies.csv, reviews.csv and shuttles.xlsx."""
    random = np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    companies = pd.DataFrame(
        {
            "id": np.arange(1, COMPANIES + 1),
            "company_rating": [f"{rating}%" for rating in random.integers(40, 101, COMPANIES)],
            "company_location": random.choice(["Malta", "Peru", "Niue", "Chad"], COMPANIES),
            "iata_approved": random.choice(["t", "f"], COMPANIES),
        }
    )
    engines = random.integers(1, 5, SHUTTLES)
    capacity = random.integers(1, 12, SHUTTLES)
    price = 900 + 450 * engines + 120 * capacity + random.normal(0, 250, SHUTTLES)
    shuttles = pd.DataFrame(
        {
            "id": np.arange(1, SHUTTLES + 1),
            "shuttle_type": random.choice(["Type V5", "Type F5", "Type T2"], SHUTTLES),
            "engines": engines,
            "passenger_capacity": capacity,
            "crew": random.integers(1, 6, SHUTTLES),
            "d_check_complete": random.choice(["t", "f"], SHUTTLES),
            "moon_clearance_complete": random.choice(["t", "f"], SHUTTLES),
            "price": [f"${value:,.1f}" for value in price],
            "company_id": random.integers(1, COMPANIES + 1, SHUTTLES),
        }
    )
    scores = np.round(random.uniform(60, 100, SHUTTLES), 1)
    reviews = pd.DataFrame(
        {"shuttle_id": shuttles["id"], "review_scores_rating": scores, "number_of_reviews": 1}
    )
    companies.to_csv(folder / "companies.csv", index=False)
    reviews.to_csv(folder / "reviews.csv", index=False)
    shuttles.to_excel(folder / "shuttles.xlsx", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/01_raw"))
