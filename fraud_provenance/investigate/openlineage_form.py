"""OpenLineage's words for what evidence knows: names, ids, data sets, facets. Pure form.

One data set is one asset of one environment. Its partitions are in the `subset` facet, each with
the SHA-256 of its file, and `version` is the digest of the manifest: a consumer draws an asset as
one node, however many days it has (docs/adr/0021).
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from attrs import define
from openlineage.client import facet_v2 as facets
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
)
from openlineage.client.generated import base_subset_dataset as subsets

from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Contract, Material
from fraud_provenance.fraud.column_sources import Sources

PRODUCER = "urn:fraud-provenance:openlineage:v1"
"""Who says it, in all events and facets; the number counts the form of our events."""
SCHEMA = "urn:fraud-provenance:openlineage:evidence:v1"
EVIDENCE = "fraudProvenance_evidence"
PARENT_JOB = "dagster_run"
_INTEGRATION = "FRAUD_PROVENANCE"
_COMMIT_DIGITS = 40
_DERIVED = ".leaves"  # hashes of the rows in the file beside it


def namespace_of(environment: str) -> str:
    """The namespace of all jobs and data sets of one environment."""
    return f"fraud-provenance://{quote(environment, safe='')}"


def run_id_of(statement: str) -> str:
    """The run of one statement, the same for ever: UUIDv5 of the statement's name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:fraud-provenance:statement:{statement}"))


def parent_id_of(run_id: str) -> str:
    """Dagster's own id, where it is a UUID; a rollback's, for one, is not."""
    try:
        return str(uuid.UUID(run_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:fraud-provenance:run:{run_id}"))


# --- data sets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One partition of a data set, and the SHA-256 of its file where it is one."""

    partition: str
    sha256: str = ""
    dimension: str = ""

    def as_partition(self) -> subsets.Partition:
        """In OpenLineage's words."""
        name = self.dimension or ("day" if _day(self.partition) else "partition")
        identifier = f"sha256:{self.sha256}" if self.sha256 else None
        return subsets.Partition({name: self.partition}, identifier)


def parts_of(entries: Iterable[FileEntry]) -> tuple[Part, ...]:
    """The partitions of files, each with its digest if it is one file of data."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        known = found.setdefault(entry.partition, [])
        if not entry.path.endswith(_DERIVED):
            known.append(entry.sha256)
    return tuple(
        Part(name, digests[0] if len(digests) == 1 else "")
        for name, digests in sorted(found.items())
    )


def input_set(
    namespace: str,
    name: str,
    version: str = "",
    parts: Sequence[Part] = (),
    more: Mapping[str, InputDatasetFacet] | None = None,
) -> InputDataset:
    """What was read: an asset in one version, and which of its partitions."""
    own: dict[str, InputDatasetFacet] = dict(more or {})
    if parts:
        condition = subsets.PartitionSubsetCondition([part.as_partition() for part in parts])
        own["subset"] = subsets.InputSubsetInputDatasetFacet(condition, producer=PRODUCER)
    return InputDataset(namespace, name, facets=_versioned(version), inputFacets=own)


def output_set(
    namespace: str,
    name: str,
    version: str = "",
    parts: Sequence[Part] = (),
    columns: Mapping[str, DatasetFacet] | None = None,
    more: Mapping[str, OutputDatasetFacet] | None = None,
) -> OutputDataset:
    """What was made."""
    own: dict[str, OutputDatasetFacet] = dict(more or {})
    if parts:
        condition = subsets.PartitionSubsetCondition([part.as_partition() for part in parts])
        own["subset"] = subsets.OutputSubsetOutputDatasetFacet(condition, producer=PRODUCER)
    told = _versioned(version) | dict(columns or {})
    return OutputDataset(namespace, name, facets=told, outputFacets=own)


def _versioned(digest: str) -> dict[str, DatasetFacet]:
    if not digest:
        return {}
    version = facets.dataset_version_dataset.DatasetVersionDatasetFacet
    return {"version": version(f"sha256:{digest}", producer=PRODUCER)}


def read_statistics(entries: Sequence[FileEntry]) -> dict[str, InputDatasetFacet]:
    """How much was read."""
    statistics = facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet
    size = sum(entry.size for entry in entries)
    told = statistics(size=size, fileCount=len(entries), producer=PRODUCER)
    return {"inputStatistics": told}


def made_statistics(
    entries: Sequence[FileEntry], rows: Mapping[str, Any] | None
) -> dict[str, OutputDatasetFacet]:
    """How much was made; `rows` are the signed ones by partition."""
    counts = [(rows or {}).get(name) for name in sorted({entry.partition for entry in entries})]
    known = [count for count in counts if isinstance(count, int)]
    statistics = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    told = statistics(
        rowCount=sum(known) if known and len(known) == len(counts) else None,
        size=sum(entry.size for entry in entries),
        fileCount=len(entries),
        producer=PRODUCER,
    )
    return {"outputStatistics": told}


def columns_of(
    namespace: str, schema: Mapping[str, str], sources: Sources, read: Iterable[str]
) -> dict[str, DatasetFacet]:
    """Names and types of columns, and where each comes from among the assets that were read."""
    known = set(read)
    found: dict[str, DatasetFacet] = {}
    if schema:
        shown = facets.schema_dataset
        told = [
            shown.SchemaDatasetFacetFields(name, type=kind or None, ordinal_position=place)
            for place, (name, kind) in enumerate(schema.items(), start=1)
        ]
        found["schema"] = shown.SchemaDatasetFacet(told, producer=PRODUCER)
    lineage = facets.column_lineage_dataset
    fields = {
        name: lineage.Fields([lineage.InputField(namespace, asset, column) for asset, column in of])
        for name, of in sources.items()
        if of and known.issuperset(asset for asset, _ in of)
    }
    if fields:
        found["columnLineage"] = lineage.ColumnLineageDatasetFacet(fields, producer=PRODUCER)
    return found


# --- contracts -------------------------------------------------------------------------------


def assertions_of(
    contract: Contract, passed: Iterable[str], partitions: Sequence[str]
) -> dict[str, InputDatasetFacet]:
    """What a suite found: each check that held, and each finding on one of these partitions."""
    quality = facets.data_quality_assertions_dataset
    told = [
        quality.Assertion(check, success=True, params={"suite": contract.suite})
        for check in sorted(passed)
    ]
    found = {"error": (*contract.failures, *contract.held), "warn": contract.warnings}
    for severity, findings in found.items():
        ours = [item for item in findings if item.day in partitions]
        ordered = sorted(ours, key=lambda item: (item.check, item.column, item.day))
        told += [_assertion(contract.suite, item, severity) for item in ordered]
    facet = quality.DataQualityAssertionsDatasetFacet(told, producer=PRODUCER)
    return {"dataQualityAssertions": facet}


def _assertion(
    suite: str, finding: Finding, severity: str
) -> facets.data_quality_assertions_dataset.Assertion:
    bounds = {"at least": finding.minimum, "at most": finding.maximum}
    told = [f"{name} {value}" for name, value in bounds.items() if value is not None]
    return facets.data_quality_assertions_dataset.Assertion(
        finding.check,
        success=False,
        column=finding.column or None,
        severity=severity,
        expected=" and ".join(told) or None,
        actual=None if finding.observed is None else str(finding.observed),
        params={"suite": suite, "partition": finding.day, "code": finding.code}
        | ({"rows": finding.rows} if finding.rows else {}),
    )


# --- jobs and runs ---------------------------------------------------------------------------


@define
class EvidenceRunFacet(RunFacet):
    """Where the proof of a run is: docs/openlineage-evidence.json describes each field."""

    statement: str
    predicateType: str  # noqa: N815 - OpenLineage's names are in camel case
    bundle: str
    signer: str
    issuer: str
    signedAt: str  # noqa: N815
    logId: str  # noqa: N815
    logIndex: int  # noqa: N815
    materials: list[dict[str, str]]
    changedWorkTree: bool | None = None  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA


def evidence_of(
    bundle: VerifiedBundle, signed_at: str, materials: Iterable[Material], dirty: bool | None
) -> EvidenceRunFacet:
    """Which statement says so, by whom it is signed, and where it is logged."""
    return EvidenceRunFacet(
        statement=bundle.statement.digest,
        predicateType=bundle.statement.predicate_type,
        bundle=bundle.bundle_digest,
        signer=bundle.identity.subject,
        issuer=bundle.identity.issuer,
        signedAt=signed_at,
        logId=bundle.log.log_id,
        logIndex=bundle.log_index,
        materials=[
            {"name": item.name, "role": item.role, "sha256": item.digest}
            | ({"decision": item.decision} if item.decision else {})
            for item in materials
        ],
        changedWorkTree=dirty,
        producer=PRODUCER,
    )


def run_of(
    statement: str,
    namespace: str,
    evidence: EvidenceRunFacet,
    dagster_run: str,
    days: Sequence[str],
) -> Run:
    """The run of one statement, below Dagster's run, with the time that it is about."""
    told: dict[str, RunFacet] = {EVIDENCE: evidence}
    if dagster_run:
        parent = facets.parent_run
        told["parent"] = parent.ParentRunFacet(
            run=parent.Run(runId=parent_id_of(dagster_run)),
            job=parent.Job(namespace=namespace, name=PARENT_JOB),
            producer=PRODUCER,
        )
    known = [_day(item) for item in days]
    whole = [item for item in known if item]
    if whole and len(whole) == len(known):
        nominal = facets.nominal_time_run.NominalTimeRunFacet
        told["nominalTime"] = nominal(
            nominalStartTime=f"{min(whole)}T00:00:00Z",
            nominalEndTime=f"{max(whole) + timedelta(days=1)}T00:00:00Z",
            producer=PRODUCER,
        )
    return Run(run_id_of(statement), facets=told)


def with_failure(run: Run, message: str) -> Run:
    """A run that a gate refused."""
    error = facets.error_message_run.ErrorMessageRunFacet(message, "rego", producer=PRODUCER)
    return Run(run.runId, facets=dict(run.facets or {}) | {"errorMessage": error})


def job_of(namespace: str, name: str, kind: str, commit: str = "", person: str = "") -> Job:
    """A step, contract or gate, or what a person does; `commit` is the code that ran."""
    types = facets.job_type_job
    told: dict[str, JobFacet] = {
        "jobType": types.JobTypeJobFacet("BATCH", _INTEGRATION, jobType=kind, producer=PRODUCER)
    }
    if len(commit) == _COMMIT_DIGITS:  # a SoftWare Hash IDentifier (ISO/IEC 18670) names no host
        location = facets.source_code_location_job.SourceCodeLocationJobFacet
        told["sourceCodeLocation"] = location(
            "git", f"swh:1:rev:{commit}", version=commit, producer=PRODUCER
        )
    if person:
        owners = facets.ownership_job
        owner = owners.Owner(f"user:{person}", "SIGNER")
        told["ownership"] = owners.OwnershipJobFacet([owner], producer=PRODUCER)
    return Job(namespace, name, facets=told)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
