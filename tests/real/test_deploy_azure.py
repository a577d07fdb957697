"""The suite of deploying again, in Azure Blob Storage as Azurite serves it, by its real client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploying.stores import Store, az_store, fresh
from tests.deploying.test_at_once import (  # noqa: F401
    test_two_deployments_of_one_project_at_once,
    test_two_projects_at_once,
    test_two_projects_that_want_one_dag_id_at_once,
    test_two_projects_that_want_one_file_at_once,
)
from tests.deploying.test_deploy import (  # noqa: F401
    test_a_dag_id_of_another_environment_of_the_project,
    test_a_dead_deployment_is_taken_over,
    test_a_dry_run_changes_nothing,
    test_a_file_or_dag_id_of_another_project,
    test_a_foreign_object_of_the_same_name,
    test_an_answer_that_is_lost_is_no_conflict,
    test_an_object_that_changes_under_a_deployment,
    test_an_object_that_was_edited_in_the_bucket,
    test_an_object_that_was_removed_or_put_again,
    test_another_deployment_of_the_project_is_waited_for,
    test_clocks_do_not_matter,
    test_environments_of_one_project_share_a_root,
    test_names_of_projects,
    test_new_changed_removed_and_unchanged,
    test_one_pipeline_alone,
    test_read_only_credentials,
    test_supporting_files_inside_and_outside_of_the_root,
    test_the_inventory,
    test_two_projects_in_one_root,
    test_unchanged_files_cost_a_listing,
    test_what_was_copied_there_before_deploying_was_known,
)

AZURITE = Path(__file__).parents[2] / ".venvs" / "azurite"


@pytest.fixture(scope="module")
def az() -> Iterator[Store]:
    with az_store(AZURITE) as found:
        yield found


@pytest.fixture
def store(az: Store) -> Store:
    return fresh(az)


@pytest.fixture
def rounds() -> int:
    return 5
