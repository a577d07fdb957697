"""Runs under an Airflow: how long its DagBag takes for folders of DAG files, in turn.

    python dagbag.py ROUNDS FOLDER FOLDER ...

One process imports Airflow and the operators once, as the DAG processor does, and then loads each
folder in each round. Prints JSON: processor seconds by folder, one for each round, and how many
DAGs and tasks were found.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings


def main() -> None:
    """Load the folders and print what it took."""
    from airflow.dag_processing.dagbag import DagBag

    rounds, folders = int(sys.argv[1]), sys.argv[2:]
    seconds: dict[str, list[float]] = {folder: [] for folder in folders}
    found: dict[str, list[int]] = {}
    warnings.simplefilter("ignore")
    for number in range(rounds + 1):
        for folder in folders:
            gc.collect()
            begin = time.process_time()
            bag = DagBag(dag_folder=folder)
            took = time.process_time() - begin
            if bag.import_errors:
                raise SystemExit(str(bag.import_errors))
            if number:  # the first round imports the operators
                seconds[folder].append(took)
            found[folder] = [len(bag.dags), sum(len(dag.tasks) for dag in bag.dags.values())]
            del bag
    print(json.dumps({"seconds": seconds, "found": found}))


if __name__ == "__main__":
    main()
