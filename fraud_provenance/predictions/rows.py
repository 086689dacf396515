"""The rows of a day's scores against what they were made from: compared again, all of them."""

import io
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.models.facts import MODEL, model_statement
from fraud_provenance.models.serving import serving_folder
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions.batch import FEATURES, SCORES
from fraud_provenance.predictions.versions import Version

_LOCK = "lock"  # role of the material that names the libraries


@dataclass
class Comparison:
    """Compares days one after the other; each model is verified and read once."""

    trust: Trust
    _models: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)

    def problems(self, version: Version, scores: bytes, features: bytes) -> list[Reason]:
        """What another computation from the same bytes says; both were compared with digests.

        With other libraries than those that scored, the last bits may differ: as far as the policy
        allows. Alerts may not.
        """
        import polars as pl

        from fraud_provenance.fraud.errors import DataError
        from fraud_provenance.fraud.score_checks import check_scores

        try:
            ubj, contract = self.model(version.item.batch.model_digest)
            frames = [pl.read_parquet(io.BytesIO(content)) for content in (scores, features)]
            day, tolerance = version.day, self.tolerance(version.made)
            report = check_scores({day: frames[0]}, {day: frames[1]}, ubj, contract, tolerance)
        except ProvenanceError as error:
            return list(error.reasons)
        except (DataError, pl.exceptions.PolarsError) as error:
            code = error.code if isinstance(error, DataError) else RootCause.EVIDENCE_MALFORMED
            why = f"the scores cannot be computed again: {error}"
            return [reason(code, why, artifact=version.item.name, partition=version.day)]
        return [
            reason(
                finding.code,
                f"{finding.column}: not true that {finding.check.replace('_', ' ')}"
                f" ({finding.rows} rows{', ' * bool(finding.example)}{finding.example})",
                artifact=version.item.name,
                partition=version.day,
            )
            for finding in report.failures
        ]

    def tolerance(self, scores: Provenance) -> float:
        """How far scores may be from those computed again: 0 with the libraries that scored."""
        lock = scores.material(_LOCK)
        now = next(
            item.digest for item in self.trust.attestor.code().materials if item.role == _LOCK
        )
        if lock is not None and lock.digest == now:
            return 0.0
        allowed = self.trust.policies.current().data("contracts")[score_contract.SUITE]
        return float(allowed["other_libraries_difference"]["value"])

    def model(self, digest: str) -> tuple[bytes, dict[str, Any]]:
        """(UBJ bytes, feature contract) of the model that a batch names, judged before it is used.

        Raises:
            EvidenceError, VerificationError: it is not there, or not a model that may be loaded.
        """
        from fraud_provenance.fraud.errors import DataError
        from fraud_provenance.fraud.model_file import TREES, check_model_folder

        if digest not in self._models:
            lineage = self.trust.lineage()
            node = lineage.node(model_statement(self.trust, digest)).expect(Materialisation)
            files = {e.path: lineage.artifacts.read(node, e) for e in node.manifest.entries}
            allowed = self.trust.policies.current().data("thresholds")["allowed_model_files"]
            parameters, scratch = node.provenance.parameters, serving_folder(self.trust.home)
            try:
                contract = check_model_folder(files, parameters, allowed["value"], scratch)
            except DataError as error:
                raise VerificationError(reason(error.code, str(error), artifact=MODEL)) from error
            self._models[digest] = files[TREES], contract
        return self._models[digest]


def judgement_problems(trust: Trust, version: Version) -> list[Reason]:
    """What the scores' contract says of a day's newest scores, or that nobody has judged them.

    A run judges right after it scored; until the log may be called silent, that may still come.
    """
    result = score_contract.result_of(trust, version.scores, version.day)
    if result is not None:
        return score_contract.result_problems(result, version.scores, version.day)
    heads = trust.store.heads(FEATURES).get(version.day, ())
    is_current = any(head.sha256 == version.claimed.features_sha256 for head in heads)
    bundle = version.scores.claims.bundle
    hours = trust.policies.current().data("thresholds")["max_prediction_silence_hours"]["value"]
    if (
        not is_current  # the next run scores the day again
        or bundle is None
        or trust.clock() - bundle.signed_at <= timedelta(hours=int(hours))
        or not score_contract.is_due(version.scores, score_contract.due_since(trust))
    ):
        return []
    why = f"{score_contract.SUITE} has not judged these scores"
    return [reason(RootCause.CHECK_MISSING, why, artifact=SCORES, partition=version.day)]
