"""Print, as JSON, what Hamilton alone computes of the example `absenteeism`, in one process.

The arguments are the project's folder and the config's `task`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Build one driver and execute it."""
    root, task = Path(sys.argv[1]), sys.argv[2]
    sys.path.insert(0, str(root / "src"))
    with contextlib.redirect_stdout(sys.stderr):
        import pandas
        from absenteeism import evaluate, features, train
        from hamilton import base, driver

        built = (
            driver.Builder()
            .with_config({"task": task})
            .with_modules(features, train, evaluate)
            .with_adapters(base.DictResult())
            .build()
        )
        found = built.execute(
            ["model_results"],
            inputs={
                "table": pandas.read_csv(root / "data/absences.csv"),
                "feature_set": ["has_children", "has_pet", "service_time"],
                "validation_user_ids": [1, 2, 4, 15, 17],
                "training": {"n_estimators": 20, "max_depth": 4},
            },
        )
    print(json.dumps(found["model_results"]))


if __name__ == "__main__":
    main()
