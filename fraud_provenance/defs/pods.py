"""By whose identity each job signs, and what its pod gets for that where runs are pods.

A pod speaks for the one service account that it runs as. Which one that is says the layout: a step
whose signer is a service account gets it, with its token where `tokens` is read from. Elsewhere
jobs have no such tag. It is a hint to whoever starts the pod: what counts is the certificate.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from fraud_provenance.home.settings import PROJECT

SIGNERS: Final[Mapping[str, str]] = {
    "ingest": "ingest",
    "raw_contracts": "contracts",
    "features": "features",
    "feature_contracts": "contracts",
    "online_features": "feature_store",
    "training_data": "training_set",
    "training_contracts": "contracts",
    "model_training": "train",
    "evaluation": "evaluate",
    "registration": "release",
    "promotion": "deploy",
    "scoring": "score",
    "score_contracts": "contracts",
}
"""Job → the step of the layout by whose identity all is signed that the job itself signs.

The jobs `ingest`, `features` and `scoring` also hold contracts; the daemon leaves these out where
each run has one identity. `training` and `landed` sign as several steps: they have no pod there.
"""
TAG: Final = "dagster-k8s/config"
TOKENS: Final = "/var/run/fraud-provenance/tokens"
"""The setting `tokens` there."""
AUDIENCE: Final = "sigstore"
LIVES_S: Final = 600  # the shortest that Kubernetes gives; the file is replaced before it ends
_SCHEME: Final = "https://"
_ACCOUNT: Final = f"{_SCHEME}kubernetes.io/namespaces/"


def pod_of(job: str) -> dict[str, Any]:
    """The tags of a job by the layout of this checkout."""
    return tags_of(job, _layout())


def tags_of(job: str, layout: Mapping[str, Any]) -> dict[str, Any]:
    """The tags by which a job's run becomes a pod of its signer; none for any other signer."""
    signer = layout.get("steps", {}).get(SIGNERS[job], {}).get("identity", {})
    subject = str(signer.get("subject"))
    if signer.get("issuer") != "kubernetes" or not subject.startswith(_ACCOUNT):
        return {}
    return {TAG: pod_config(subject)}


def pod_config(subject: str) -> dict[str, Any]:
    """A pod that speaks for one service account, whose token is its own and nobody's else."""
    token = {
        "audience": AUDIENCE,
        "expiration_seconds": LIVES_S,
        "path": f"kubernetes/{subject.removeprefix(_SCHEME)}",
    }
    sources = [{"service_account_token": token}]
    return {
        "pod_spec_config": {
            "service_account_name": subject.rpartition("/")[2],
            "automount_service_account_token": False,
            "volumes": [{"name": "tokens", "projected": {"sources": sources}}],
        },
        "container_config": {
            "volume_mounts": [{"name": "tokens", "mount_path": TOKENS, "read_only": True}]
        },
    }


@cache
def _layout() -> dict[str, Any]:
    """The layout of this checkout; a broken one names nobody, and whoever decides refuses it."""
    try:
        found = json.loads((PROJECT / "policies" / "data" / "layout.json").read_bytes())
        return found if isinstance(found.get("steps"), dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}
