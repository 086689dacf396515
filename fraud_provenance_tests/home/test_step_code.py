"""The code of a step: what counts, what does not, and what follows from a change."""

import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due import planning
from fraud_provenance.home import step_code
from fraud_provenance.home.step_code import StepCode
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import DAYS, FEATURES, PROJECT, Chain, featurise, judge
from fraud_provenance_tests.scored import FEATURE_SUITES

_STAGE = """
from typing import TYPE_CHECKING
from fraud_provenance.defs import support
from fraud_provenance.data.landing import landed_days
from fraud_provenance.fraud import mart
from fraud_provenance.attested.step import step
if TYPE_CHECKING:
    from fraud_provenance.fraud import shown
def make():
    try:
        from fraud_provenance.fraud.late import one
    except ImportError:
        from fraud_provenance.predictions.batch import leaves
"""
_COUNTS = (
    "defs/transform.py", "defs/support.py", "fraud/mart.py", "fraud/deep.py", "fraud/late.py",
    "predictions/batch.py", "predictions/__init__.py", "fraud/__init__.py", "defs/__init__.py",
    "__init__.py",
)  # fmt: skip
_DOES_NOT = (
    "attested/step/step.py", "fraud/shown.py", "fraud/unused.py", "data/landing.py",
    "cli/application.py", "defs/training.py", "predictions/log.py",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project: what the features stage imports, and what it does not."""
    for name in (*_COUNTS, *_DOES_NOT):
        path = tmp_path / "fraud_provenance" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "fraud_provenance" / _COUNTS[0]).write_text(_STAGE)
    (tmp_path / "fraud_provenance" / "fraud" / "mart.py").write_text(
        "import fraud_provenance.fraud.deep\n"
    )
    return tmp_path


@pytest.mark.parametrize("name", _COUNTS)
def test_what_a_stage_imports_is_its_code(project: Path, name: str) -> None:
    before = StepCode(project).digest("features")
    with (project / "fraud_provenance" / name).open("a") as stream:
        stream.write("X = 1\n")
    assert StepCode(project).digest("features") not in ("", before)


@pytest.mark.parametrize("name", _DOES_NOT)
def test_what_a_stage_does_not_compute_with_is_not_its_code(project: Path, name: str) -> None:
    before = StepCode(project).digest("features")
    with (project / "fraud_provenance" / name).open("a") as stream:
        stream.write("X = 1\n")
    assert StepCode(project).digest("features") == before


def test_the_same_code_elsewhere_is_the_same(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another name"
    shutil.copytree(project / "fraud_provenance", elsewhere / "fraud_provenance")
    assert StepCode(elsewhere).digest("features") == StepCode(project).digest("features")


def test_another_version_of_a_library_is_other_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = StepCode(project).digest("features")
    monkeypatch.setattr(step_code, "version", lambda name: "0" if name == "duckdb" else "1")
    assert StepCode(project).digest("features") != before


def test_another_engine_is_other_code_of_the_features_alone(project: Path) -> None:
    (project / "fraud_provenance" / "defs" / "ingest.py").write_text("")

    def digests(engine: str) -> list[str]:
        code = StepCode(project, lambda name: f"1 of {name}", engine)
        return [code.digest("ingest"), code.digest("features")]

    (ingest, features), (ingest_too, features_too) = digests("duckdb"), digests("spark")
    assert (ingest == ingest_too != "", features == features_too) == (True, False)


def test_library_that_is_not_installed_is_told_with_what_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "pyspark":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(step_code, "version", version)
    assert StepCode(project).digest("features")
    with pytest.raises(ConfigError, match=r"TOOL_UNAVAILABLE.*pyspark") as refused:
        StepCode(project, engine="spark").digest("features")
    assert "make spark" in refused.value.reasons[0].remedy


def test_step_without_code_of_its_own_has_none(project: Path) -> None:
    assert StepCode(project).digest("approve") == ""
    assert StepCode(project).digest("score") == ""  # the small project has no such stage


def test_every_step_that_makes_something_has_code(shared_layout: dict[str, str]) -> None:
    code = StepCode(PROJECT)
    assert {step for step in shared_layout if not code.digest(step)} == set()


@pytest.fixture
def shared_layout(chain: Chain) -> dict[str, str]:
    """Step → what it makes, for each step that makes anything."""
    steps = chain.trust.policies.current().layout.steps
    return {name: rule.produces for name, rule in steps.items() if rule.produces}


def test_changed_code_makes_features_due_and_nobody_learns_from_the_old_ones(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coded(code: str) -> Workspace:
        """The home, opened where each step has this code."""
        monkeypatch.setattr(StepCode, "digest", lambda _self, step: f"{code} of {step}")
        return Workspace(chain.workspace.settings)

    workspace = coded("first")
    made = featurise(workspace.trust, DAYS)
    node = workspace.trust.lineage().node(made.bundle.statement.digest)
    assert node.expect(Materialisation).provenance.outputs["step_code"] == "first of features"
    assert planning.made_by_other_code(workspace, FEATURES) == set()
    judge(workspace.trust, FEATURES, DAYS, FEATURE_SUITES)

    def read() -> None:
        with Step(workspace.trust, "training_set", "run-1") as step:
            step.require_current_code(step.read(FEATURES, DAYS[:1]))

    read()
    workspace = coded("second")
    assert planning.made_by_other_code(workspace, FEATURES) == set(DAYS)
    with pytest.raises(VerificationError) as refused:
        read()
    assert [item.code for item in refused.value.reasons] == ["CODE_VERSION_MISMATCH"]
    assert refused.value.reasons[0].partition == DAYS[0]


def test_what_was_made_before_its_code_was_recorded_counts_as_current(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "outputs_of", lambda *_: dict.fromkeys(DAYS))
    assert planning.made_by_other_code(chain.workspace, FEATURES) == set()
