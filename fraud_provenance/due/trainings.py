"""When a training is due, and of which days: the assets of its stage that are not current."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError
from fraud_provenance.attested.step.catalogue import catalogue_of
from fraud_provenance.attested.step.inputs import Usable
from fraud_provenance.due.planning import (
    FEATURE_SERVICE,
    POINT_IN_TIME,
    current_entries,
    declared_empty,
    declared_views,
    experimental_partitions,
    made_by_other_code,
    newest_node,
    outputs_of,
    registry_of,
    revoked_partitions,
    unjudged_days,
)
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.registration import registration_of
from fraud_provenance.models.registry import CANDIDATE, CHAMPION

if TYPE_CHECKING:
    from fraud_provenance.fraud.model import Split, TrainingConfig

PACKAGES_DEADLINE_S = 600
"""Within this time all installed files are compared with the lock; that takes seconds."""


_JOBS: Final[Mapping[str, str]] = {
    "training_set": "training_data",
    "fraud_model": "model_training",
    "model_evaluation": "evaluation",
    "release_candidate": "registration",
}
"""The assets of the training stage in their order → the job that makes the one alone."""
_FIRST: Final = "training_set"
TRAINING_CONTRACTS: Final = "training_contracts"


def split_parameters(config: "TrainingConfig", split: "Split") -> dict[str, Any]:
    """The training set's resolved parameters."""
    return {
        "train_start": split.train[0],
        "train_days": config.train_days,
        "delay_days": config.delay_days,
        "test_days": config.test_days,
        "feature_service": FEATURE_SERVICE,
    }


def model_parameters(config: "TrainingConfig") -> dict[str, Any]:
    """The model's resolved parameters."""
    return config.params.model_dump(mode="json") | {"cards_per_day": config.cards_per_day}


def newest_model(workspace: Workspace) -> str:
    """The model id (partition) of the newest attested model, or an empty string."""
    heads = workspace.store.heads("fraud_model")
    newest = max(heads.values(), key=lambda files: files[0].sequence, default=None)
    return newest[0].partition if newest else ""


def training_due(workspace: Workspace, config: "TrainingConfig") -> list[str]:
    """The assets of the training stage from the first that is not current on.

    Raises:
        As `training_split`.
    """
    usable = usable_features(workspace)
    if not usable.partitions:
        return []
    stages = list(_JOBS)
    checks = (_training_set_is_current, _model_is_current, _is_evaluated, _is_registered)
    split = _due_split(workspace, config, usable)
    for index, is_current in enumerate(checks):
        if not is_current(workspace, config, split):
            return stages[index:]
    return []


def training_part_due(workspace: Workspace, config: "TrainingConfig") -> str:
    """The next job of the training stage that signs by one identity alone; empty where none is due.

    Raises:
        As `training_split`.
    """
    assets = training_due(workspace, config)
    if not assets:
        return ""
    usable = usable_features(workspace)
    if assets[0] == _FIRST and _training_set_is_made(
        workspace, config, _due_split(workspace, config, usable)
    ):
        return TRAINING_CONTRACTS
    return _JOBS[assets[0]]


def usable_features(workspace: Workspace) -> Usable:
    """The feature days that a training may learn from, and why the others are left out."""
    return catalogue_of(workspace.trust).usable("transaction_features", step="training_set")


def _due_split(workspace: Workspace, config: "TrainingConfig", usable: Usable) -> "Split":
    """The newest days, or those of the newest training set while too few days came after them.

    Raises:
        As `training_split`.
    """
    empty = declared_empty(workspace)
    newest = training_split(config, usable, empty)
    node = newest_node(workspace, "training_set")
    known = node.provenance.parameters if node else {}
    before = str(known.get("train_start", ""))
    as_before = known == split_parameters(config, newest) | {"train_start": before}
    if config.train_start is not None or not before or not as_before:
        return newest
    start = date.fromisoformat(before)
    came = (date.fromisoformat(newest.train[0]) - start).days
    if not 0 < came < config.retrain_after_days:
        return newest
    return training_split(config.model_copy(update={"train_start": start}), usable, empty)


def training_split(config: "TrainingConfig", usable: Usable, empty: Collection[str]) -> "Split":
    """The days of train, delay and test, of those that may be used.

    Raises:
        DataError: PARTITION_MISSING where the training days are not all usable.
        VerificationError: SNAPSHOT_INCOHERENT where such a day was made from an older version.
    """
    from fraud_provenance.fraud.errors import DataError
    from fraud_provenance.fraud.model import resolve_split

    outdated = {
        day: why for day, why in usable.refused.items() if why.code == RootCause.SNAPSHOT_INCOHERENT
    }
    try:
        return resolve_split(config, usable.partitions, empty)
    except DataError as missing:
        wanted = resolve_split(config, [*usable.partitions, *outdated], empty)
        reasons = [outdated[day] for day in wanted.days if day in outdated]
        raise VerificationError(*dict.fromkeys(reasons)) from missing


def _training_set_is_current(
    workspace: Workspace, config: "TrainingConfig", split: "Split"
) -> bool:
    return _training_set_is_made(workspace, config, split) and not unjudged_days(
        workspace, _FIRST, (POINT_IN_TIME,)
    )


def _training_set_is_made(workspace: Workspace, config: "TrainingConfig", split: "Split") -> bool:
    """Whether it is what would be made now, whether it was judged or not."""
    features = current_entries(workspace, "transaction_features")
    made = current_entries(workspace, "training_set")
    wanted = {"train": split.train, "evaluation": (*split.delay, *split.test)}
    node = newest_node(workspace, "training_set")
    return (
        all(
            name in made and set(made[name].made_from) == {features[day].sha256 for day in days}
            for name, days in wanted.items()
        )
        and node is not None
        and node.provenance.parameters == split_parameters(config, split)
        and node.provenance.outputs.get("views") == declared_views()
        and not revoked_partitions(workspace, "training_set")
        and not made_by_other_code(workspace, "training_set")
        and not (
            experimental_partitions(workspace, "training_set")
            and experimental_partitions(workspace, "transaction_features").isdisjoint(
                day for days in wanted.values() for day in days
            )
        )
    )


def _model_is_current(workspace: Workspace, config: "TrainingConfig", split: "Split") -> bool:
    train = current_entries(workspace, "training_set")["train"]
    node = newest_node(workspace, "fraud_model")
    return (
        node is not None
        and node.provenance.parameters == model_parameters(config)
        and all(entry.made_from == (train.sha256,) for entry in node.manifest.entries)
        and not node.revoked
        and newest_model(workspace) not in made_by_other_code(workspace, "fraud_model")
        and not (
            newest_model(workspace) in experimental_partitions(workspace, "fraud_model")
            and not experimental_partitions(workspace, "training_set")
        )
        and not _can_have_better_packages(workspace)
    )


def _can_have_better_packages(workspace: Workspace) -> bool:
    """Whether the newest model says that its packages were not as locked, and now they are.

    Such a model is never registered where packages must be locked, so it is made anew.
    """
    told = outputs_of(workspace, "fraud_model", "environment_problems")
    if not told.get(newest_model(workspace)):
        return False
    return not workspace.attestor.packages().result(PACKAGES_DEADLINE_S)


def _is_evaluated(workspace: Workspace, config: "TrainingConfig", split: "Split") -> bool:
    newest = newest_model(workspace)
    measured = outputs_of(workspace, "model_evaluation", "alert_rate")
    is_evaluated = measured.get(newest) is not None  # earlier versions did not measure it
    is_experiment = newest in experimental_partitions(workspace, "model_evaluation")
    return (
        is_evaluated
        and newest not in revoked_partitions(workspace, "model_evaluation")
        and newest not in made_by_other_code(workspace, "model_evaluation")
        and not (is_experiment and not experimental_partitions(workspace, "fraud_model"))
    )


def _is_registered(workspace: Workspace, config: "TrainingConfig", split: "Split") -> bool:
    """By its newest decision, under the policy as it is now, and the registry's newest version.

    As the deployment gate asks. An earlier decision under a policy that came back is none.
    """
    trust, model_id = workspace.trust, newest_model(workspace)
    registry = registry_of(workspace)
    named = [registry.alias(alias) for alias in (CANDIDATE, CHAMPION)]
    if not any(version and version.model_id == model_id for version in named):
        return False
    policy = trust.policies.current()
    try:
        newest = registration_of(trust, policy, promotion.digest_of_model(trust, model_id))
    except EvidenceError:
        return False
    said = newest.claims.decided
    return said is not None and said.allowed and said.policy_digest == policy.digest
