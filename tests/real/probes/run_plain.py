"""Call the demo's functions in one plain process, without DagForge, and print the model's score."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Print the score of the project's model."""
    sys.path.insert(0, str(root / "src"))
    os.environ.pop("RUN_COUNTS", None)
    import pandas as pd
    import yaml
    from spaceflights import nodes

    raw = root / "data/01_raw"
    parameters = yaml.safe_load((root / "conf/base/parameters.yml").read_text(encoding="utf-8"))
    table = nodes.create_model_input_table(
        nodes.preprocess_shuttles(pd.read_excel(raw / "shuttles.xlsx")),
        nodes.preprocess_companies(pd.read_csv(raw / "companies.csv")),
        pd.read_csv(raw / "reviews.csv"),
    )
    x_train, x_test, y_train, y_test = nodes.split_data(table, parameters["model_options"])
    model = nodes.train_model(x_train, y_train)
    print(repr(nodes.evaluate_model(model, x_test, y_test)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
