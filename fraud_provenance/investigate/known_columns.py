"""What can be said of an attested file's columns: names and types, and where each comes from.

Columns are read from the verified bytes of the newest version; of older versions there are none.
Where they come from is told only of what today's code made: a statement names the code of its step
(and of dbt's project) by digest, and another code may have done otherwise.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.fraud import column_sources
from fraud_provenance.fraud.column_sources import MART_ASSET, Sources
from fraud_provenance.models.facts import MODEL

_RAW, _LANDED = "raw_transactions", "raw_transactions"
_DBT_S = 120
_BY_CODE: Mapping[str, Callable[[], Sources]] = {
    "training_set": column_sources.training_set,
    MODEL: column_sources.model,
    "transaction_scores": column_sources.scores,
}


@dataclass
class KnownColumns:
    """The columns of what one home's steps made.

    Attributes:
        trust: The opened home.
        project: The code of today, with its dbt project.
        dbt_sources: Gives the SHA-256 over the dbt project's own files, as features are signed.
    """

    trust: Trust
    project: Path
    dbt_sources: Callable[[], str]

    def schema(self, node: Materialisation) -> dict[str, str]:
        """Column → type of what a materialisation made; empty where nothing tells it.

        A model's columns are its inputs, as it was signed; their types stand in the training set.

        Raises:
            EvidenceError, VerificationError: the file is gone or not what was attested.
        """
        made = node.provenance
        if made.asset == MODEL:
            return dict.fromkeys(map(str, made.outputs.get("features", ())), "")
        heads = self.trust.store.heads(made.asset)
        newest = [
            entry
            for entry in node.entries
            if entry.path.endswith(".parquet")
            and any(head.statement == node.statement for head in heads.get(entry.partition, ()))
        ]
        if not newest:
            return {}
        import polars as pl

        content = self.trust.lineage().artifacts.read(node, newest[-1])
        try:
            found = pl.read_parquet_schema(io.BytesIO(content))
        except pl.exceptions.PolarsError:  # what was attested is no table
            return {}
        return {name: str(dtype) for name, dtype in found.items()}

    def sources(self, node: Materialisation) -> Sources:
        """Column → (asset, column) of each that it comes from; empty where the code is another."""
        made = node.provenance
        code = made.outputs.get("step_code")
        if not code or code != self.trust.attestor.step_code(made.step):
            return {}
        if made.asset != MART_ASSET:
            told = _BY_CODE.get(made.asset)
            return told() if told else {}
        return self._mart if made.outputs.get("dbt_sources") == self.dbt_sources() else {}

    @cached_property
    def _mart(self) -> Sources:
        """Of the mart's columns, from the statements that dbt makes of its project."""
        from fraud_provenance.fraud.column_lineage import raw_columns
        from fraud_provenance.fraud.mart import MART

        models = compiled_models(self.project / "dbt_project")
        names = {name: relation for name, (relation, _) in models.items()}
        found = raw_columns(dict(models.values()), names[MART], _LANDED)
        return {name: [(_RAW, column) for column in of] for name, of in found.items()}


def compiled_models(project: Path) -> dict[str, tuple[str, str]]:
    """Model → (its name in statements, its statement), of a dbt project; some seconds.

    Raises:
        BackendError: TOOL_UNAVAILABLE, dbt cannot read the project.
    """
    from fraud_provenance.fraud.mart import MART

    with tempfile.TemporaryDirectory(prefix="dbt-", ignore_cleanup_errors=True) as scratch:
        plain = {"HOME": scratch, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "DO_NOT_TRACK": "1",
                 "FRAUD_PROVENANCE_DBT_INPUT": scratch, "FRAUD_PROVENANCE_DBT_WINDOW": scratch,
                 "FRAUD_PROVENANCE_DBT_OUTPUT": scratch}  # fmt: skip
        command = [
            sys.executable, "-I", "-c", "from dbt.cli.main import cli; cli()", "--quiet",
            "compile", "--no-version-check", "--no-partial-parse", "--select", f"+{MART}",
            "--project-dir", str(project), "--profiles-dir", str(project),
            "--target-path", f"{scratch}/target", "--log-path", f"{scratch}/log",
        ]  # fmt: skip
        try:
            subprocess.run(  # noqa: S603 - our own interpreter and project
                command, cwd=scratch, env=plain, capture_output=True, timeout=_DBT_S, check=True
            )
            content = (Path(scratch) / "target" / "manifest.json").read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            why = f"dbt does not read its project ({type(error).__name__})"
            remedy = "Run `make setup`, then run again."
            raise BackendError(
                reason(RootCause.TOOL_UNAVAILABLE, why, artifact="dbt", remedy=remedy)
            ) from error
    nodes = json.loads(content)["nodes"].values()
    return {
        node["name"]: (node["relation_name"], node["compiled_code"])
        for node in nodes
        if node["resource_type"] == "model"
    }
