"""The folders through which tools hand over what they made."""

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraud_provenance.attested.core.errors import VerificationError
from fraud_provenance.day_partitions import tags_of
from fraud_provenance.defs.support import days_of_run, private_folder
from fraud_provenance.models.serving import require_ours


@pytest.fixture
def workspace(tmp_path: Path) -> Any:  # noqa: ANN401 - of a workspace, what the folder needs
    return SimpleNamespace(home=tmp_path, scratch=tmp_path / "scratch")


def test_private_folder_is_new_empty_and_ours(workspace: Any) -> None:  # noqa: ANN401
    first = private_folder(workspace, "dbt")
    (first / "scratch.duckdb").write_bytes(b"left behind")
    second = private_folder(workspace, "dbt")
    assert first.name != second.name
    assert not first.exists()
    assert (
        stat.S_IMODE(second.stat().st_mode) == stat.S_IMODE(second.parent.stat().st_mode) == 0o700
    )


def test_private_folder_below_one_that_everyone_may_write_to_is_refused(
    workspace: Any,  # noqa: ANN401
) -> None:
    workspace.scratch.mkdir()
    workspace.scratch.chmod(0o777)
    with pytest.raises(VerificationError, match="TMP_PERMS"):
        private_folder(workspace, "dbt")


def test_private_folder_behind_a_link_is_refused(workspace: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / "elsewhere").mkdir()
    workspace.scratch.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VerificationError, match="TMP_PERMS"):
        private_folder(workspace, "dbt")


def test_folder_that_was_opened_to_others_is_not_read(workspace: Any) -> None:  # noqa: ANN401
    folder = private_folder(workspace, "dbt")
    require_ours(folder)
    folder.chmod(0o750)
    with pytest.raises(VerificationError, match="TMP_PERMS"):
        require_ours(folder)


def test_checks_are_about_the_known_days_of_their_run() -> None:
    instance = SimpleNamespace(get_dynamic_partitions=lambda _name: ["c", "a", "b", "d"])
    run = SimpleNamespace(tags=tags_of(["c", "a", "b"], ["c", "a", "b", "d"]))
    context: Any = SimpleNamespace(run=run, instance=instance)
    assert days_of_run(context, ["a", "c", "d"]) == ["a", "c"]
