"""`run`: the whole graph, headless. Plans from the evidence, then runs the same jobs as the UI.

Each stage does only what is not valid any more: a second run finds nothing to do, and a run after a
kill finds exactly what is missing.
"""

import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from typing import TYPE_CHECKING, Any

from fraud_provenance.alerts import (
    Alert,
    Outbox,
    alert_of_error,
    contract_alerts,
    settings_of,
    sinks_of,
)
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    GateDenied,
    ProvenanceError,
    Reason,
    VerificationError,
    storage_error,
)
from fraud_provenance.attested.sigstore.log_audit import Depth
from fraud_provenance.attested.step.staging import recover
from fraud_provenance.data.landing import landed_days
from fraud_provenance.due import ground, planning
from fraud_provenance.due.work import MAKES, STAGES, Work, blocks
from fraud_provenance.home import surroundings
from fraud_provenance.home.session import session
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.audit import audit
from fraud_provenance.investigate.online_store import definition_problems, online_problems
from fraud_provenance.investigate.subjects import contract_reasons, verify_assets
from fraud_provenance.models import promotion
from fraud_provenance.models.champion import Champion
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, Registry
from fraud_provenance.predictions.log import UNFINISHED, log_heartbeat
from fraud_provenance.run.instance import history_error, open_instance
from fraud_provenance.run.jobs import is_contract_failure, own_error, part_of, unforeseen
from fraud_provenance.run.report import RunOptions, RunReport, Stage

if TYPE_CHECKING:
    import dagster as dg


DATA_ASSETS = (
    "raw_transactions",
    "transaction_features",
    "feature_store",
    "training_set",
    "transaction_scores",
)

_WITHDRAWN = (
    RootCause.PARTITION_REVOKED,
    RootCause.MODEL_REVOKED,
    RootCause.STATEMENT_REVOKED,
)
"""What people took back: `run` makes anew what was made from it, and so it has to begin."""


class Pipeline:
    """One headless run of the graph over one workspace."""

    def __init__(
        self, workspace: Workspace, options: RunOptions, say: Callable[[str], None]
    ) -> None:
        self.workspace = workspace
        self.options = options
        self.report = RunReport()
        self._say = say
        self._dagster: tuple[dg.Definitions, dg.DagsterInstance] | None = None
        self._outbox = Outbox(workspace.home)
        self._has_told = False
        self._scored_by = ""  # the champion that scored before a training

    # --- the stages, in flow order -----------------------------------------------------------

    def run(self) -> RunReport:
        """Everything that is due.

        Raises:
            ProvenanceError: the home is not as it was left, so that nothing was begun. What later
                stages were refused for is in the report.
        """
        try:
            surroundings.check_place(self.workspace.home)
            with surroundings.alone(self.workspace.home, self._say), session(self.workspace):
                self._run_stages()
        except ConfigError:
            raise  # for whoever typed the command, and for nobody else
        except ProvenanceError as error:
            self._tell_of(error)
            raise
        except Exception as error:
            storage = history_error(self.workspace, error) or storage_error(error)
            self._tell_of(storage or unforeseen(error))
            if storage is None:
                raise
            raise storage from error
        finally:
            with suppress(ConfigError):  # no home yet, hence no contract
                store = self.workspace.store
                self._tell(lambda: contract_alerts(store, self.workspace.clock()))
        return self.report

    def _run_stages(self) -> None:
        self.workspace.create_folders()
        with self._stage("verify") as notes:
            self.workspace.start_check()
            notes.extend(recover(self.workspace.trust, UNFINISHED))
            self._verify_heads()
        flow = (
            (Stage.INGEST, self._ingest),
            (Stage.FEATURES, self._features),
            (Stage.SCORING, self._scoring_at_once),
            (Stage.ONLINE, self._feature_store),
            (Stage.TRAINING, self._training),
            (Stage.PROMOTION, self._promotion),
            (Stage.SCORING, self._scoring),
        )
        chosen = self.options.stages or Stage
        work = [stage for name, stage in flow if name in chosen]
        for stage in (*work, self._audit):
            try:
                self._attempt(stage)
            except BackendError as error:  # what comes after could not be decided, either
                self._refuse(error)
                return

    def _attempt(self, stage: Callable[[], None]) -> None:
        """Run one stage; one that is refused hides no other's result and stops none."""
        self._has_told = False
        try:
            stage()
        except (ConfigError, BackendError):
            raise
        except ProvenanceError as error:
            self._refuse(error)

    def _refuse(self, error: ProvenanceError) -> None:
        self.report.refuse(error)
        self._tell_of(error)

    def _tell_of(self, error: ProvenanceError) -> None:
        if not self._has_told:
            self._tell(lambda: [alert_of_error(error, "run", self.workspace.clock())])

    def _tell(self, find: Callable[[], list[Alert]]) -> bool:
        """Put alerts into the outbox. Whatever goes wrong here must not hide the run's result.

        Returns:
            Whether there was one to tell.
        """
        try:
            found = [self._outbox.put(alert) for alert in find()]
        except Exception as error:
            self._say(f"an alert could not be kept: {error!r}")
            return False
        return bool(found)

    def deliver_alerts(self, environ: Mapping[str, str]) -> None:
        """Send what waits in the outbox. A sink that fails only leaves a note."""
        try:
            waiting = len(self._outbox.pending())
            sinks = sinks_of(settings_of(environ, self.workspace.home)) if waiting else []
            done = self._outbox.deliver(sinks, self.workspace.clock) if sinks else None
        except Exception as error:
            self.report.notes.append(f"alerts: {error}")
            return
        if done is not None:
            told = f"alerts: {done.delivered} delivered, {done.waiting} waiting"
            self.report.notes.append(f"{told} ({done.error})" if done.error else told)
        elif waiting:
            self.report.notes.append(f"alerts: {waiting} waiting, nobody is set to be told")

    def _verify_heads(self) -> None:
        """Nothing is built on tampered data: every current file is compared with its evidence."""
        verdict = verify_assets(self.workspace.trust, DATA_ASSETS)
        vanished = self.workspace.trust.lineage().versions.vanished()
        problems = [*verdict.reasons, *self.workspace.store.problems(), *vanished]
        if any(item.code not in _WITHDRAWN for item in problems):
            raise VerificationError(*dict.fromkeys(problems))
        for asset in DATA_ASSETS:  # left out by every step, while the rest goes on
            problems += planning.revoked_partitions(self.workspace, asset).values()
        self.report.refused.extend(dict.fromkeys(problems))

    def _ingest(self) -> None:
        due = self._due("ingest")
        if due:
            with self._stage("ingest", planning.in_days(due.days)):
                known = sorted(landed_days(self.workspace.landing))
                self._attempt(lambda: self._run_days("ingest", list(due.days), known))
        self._version_rest()
        self._judge_rest("raw_transactions", "raw_contracts")

    def _version_rest(self) -> None:
        """DVC catches up: with files whose run was killed before, and with what its remote lacks.

        A remote that is away keeps nobody from working; it is told each time.
        """
        from fraud_provenance.data import versions as data_versions

        data, store = self.workspace.data, self.workspace.store
        files = [
            path
            for asset in data_versions.ASSETS
            for partition in store.heads(asset)
            for path in data_versions.files_of(data, asset, partition)
        ]
        stale = data_versions.lacking(self.workspace.home, files)
        if not stale:
            return
        try:
            with self._stage("data versions", f"{len(stale)} files"):
                data_versions.track(self.workspace.home, stale)
        except BackendError as error:
            away = error
            self.report.refused.extend(away.reasons)
            self.report.newly_failed = True
            self._tell(lambda: [alert_of_error(away, "dvc", self.workspace.clock())])

    def _judge_rest(self, asset: str, job: str) -> None:
        """Judge days that nobody has judged, or not on this ground; note the days that failed."""
        rest = ground.days_to_judge(self.workspace, asset)
        if rest:
            with self._stage(job.replace("_", " "), planning.in_days(rest)):
                self._run_job(job)
        self.report.refused.extend(contract_reasons(self.workspace.trust, asset))

    def _features(self) -> None:
        due = self._due("features")
        if due:
            changed = planning.made_by_other_code(self.workspace, "transaction_features")
            why = " (the code that makes them changed)" if changed.intersection(due.days) else ""
            with self._stage("features", f"{planning.in_days(due.days)}{why}"):
                known = sorted(self.workspace.store.heads("raw_transactions"))
                self._attempt(lambda: self._run_days("features", list(due.days), known))
        self._judge_rest("transaction_features", "feature_contracts")

    def _feature_store(self) -> None:
        self._report_online_store()  # before it may be filled anew
        if self._due("online_features"):
            with self._stage("feature store"):
                self._run_job("online_features")

    def _training(self) -> None:
        from fraud_provenance.fraud.errors import DataError

        try:
            due = self._due("training")
        except DataError as hole:  # training waits; the champion goes on scoring
            why = f"training waits: {hole.placed_message}"
            raise VerificationError(
                Reason(code=hole.code, message=why, artifact="training_set", remedy=hole.remedy)
            ) from hole
        if due:
            with self._stage("training", " → ".join(due.assets)):
                self._run_job("training", self.options.run_config(), assets=due.assets)

    def _promotion(self) -> None:
        registry = planning.registry_of(self.workspace)
        candidate = registry.alias(CANDIDATE)
        if candidate is None:
            return
        trust = self.workspace.trust
        try:
            promotion.finish_move(trust, registry)
            if promotion.is_ready(trust, registry):
                with self._stage("promotion"):
                    self._run_job("promotion")
        except GateDenied as denied:  # the present champion goes on scoring
            self.report.refuse(denied)
        champion = registry.alias(CHAMPION)
        if champion is None or champion.model_id != candidate.model_id:
            digest = promotion.digest_of_model(trust, candidate.model_id)
            self.report.candidate = f"fraud_model:{candidate.version} ({digest[:12]})"

    def _scoring_at_once(self) -> None:
        """New days do not wait for a training, whose model somebody has to approve first.

        They do for a promotion that waits, and for a champion that something speaks against: the
        training may mend it, and what is left of it is told after that.
        """
        registry, trust = planning.registry_of(self.workspace), self.workspace.trust
        if not promotion.was_promoted(trust, registry) or promotion.is_ready(trust, registry):
            return
        if not planning.days_to_score(self.workspace, self.options.score):
            return
        try:
            champion = self._verified_champion(registry)
        except ProvenanceError:
            return
        self._scored_by = champion.evidence.digest
        self._score(champion)

    def _scoring(self) -> None:
        registry = planning.registry_of(self.workspace)
        trust = self.workspace.trust
        if not promotion.was_promoted(trust, registry):
            self.report.champion = ""
            return
        if self._scored_by and self._scored_by == promotion.live_model(trust):
            return
        self._score(self._verified_champion(registry))

    def _verified_champion(self, registry: Registry) -> Champion:
        with self._stage("verify champion"):
            return promotion.find_champion(self.workspace.trust, registry)

    def _score(self, champion: Champion) -> None:
        self.report.champion = f"fraud_model:{champion.version} ({champion.evidence.digest[:12]})"
        trust = self.workspace.trust
        days = planning.days_to_score(self.workspace, self.options.score)
        if days:
            with self._stage("scoring", planning.in_days(days)):
                known = sorted(self.workspace.store.heads("transaction_features"))
                self._run_days("scoring", days, known)
        else:
            log_heartbeat(trust, champion.evidence.digest, champion.decision.statement)
        self._judge_scores()

    def _judge_scores(self) -> None:
        """Judge scores whose run was killed before their contract; note the days that failed."""
        rest = planning.scores_to_judge(self.workspace)
        if rest:
            with self._stage("score contracts", planning.in_days(rest)):
                try:
                    self._run_job("score_contracts")
                except GateDenied as denied:  # such as a model that is too old to be read again
                    self.report.refuse(denied)
        self.report.refused.extend(contract_reasons(self.workspace.trust, "transaction_scores"))

    def _audit(self) -> None:
        """What this run signed is in the log, nothing else is, and the log's head is remembered."""
        with self._stage("log") as notes:
            registry = planning.registry_of(self.workspace)
            now, trust = self.workspace.clock(), self.workspace.trust
            report = audit(trust, registry, self._outbox, now, Depth.TAIL, self._say)
            notes += [f"{log.size} entries, {log.entries} new" for log in report.logs]
        self._has_told = True
        report.check()

    def _report_online_store(self) -> None:
        """Scores do not come from the online store, but whoever asks it must know."""
        trust = self.workspace.trust
        found = definition_problems(trust) + online_problems(trust)
        if found:
            self.report.refused.extend(found)
            self.report.newly_failed = True
            error = VerificationError(*found)
            self._tell(lambda: [alert_of_error(error, "feature_store", self.workspace.clock())])

    def _due(self, job: str) -> "Work | None":
        return STAGES[job](self.workspace, self.options.training_config())

    # --- running jobs ------------------------------------------------------------------------

    def _stage(self, name: str, detail: str = "") -> AbstractContextManager[list[str]]:
        return self.report.stage(self._say, name, detail)

    def _load(self) -> "tuple[dg.Definitions, dg.DagsterInstance]":
        if self._dagster is None:
            self.workspace.sigstore.check_at_work()
            with self._quiet():
                import dagster as dg

                from fraud_provenance.definitions import defs

                instance = open_instance(self.workspace)
                self._dagster = (dg.Definitions.merge(defs()), instance)
        return self._dagster

    def _run_days(self, job: str, days: list[str], order: list[str]) -> None:
        """One run of all these days. Where it is refused, one of each that are neighbours.

        So what is good is made, whatever else is among the days.
        """
        _, instance = self._load()
        known = set(instance.get_dynamic_partitions("day"))
        instance.add_dynamic_partitions("day", [day for day in order if day not in known])
        ordered = list(instance.get_dynamic_partitions("day"))
        from fraud_provenance.day_partitions import tags_of

        parts = list(blocks(days, ordered))
        if len(parts) > 1:
            before = self.workspace.store.heads(MAKES[job])
            try:
                return self._run_job(job, tags=tags_of(days, ordered))
            except (BackendError, ConfigError):
                raise
            except ProvenanceError:
                now = self.workspace.store.heads(MAKES[job])
                left = [day for day in days if now.get(day) == before.get(day)]
                if not left:
                    raise
                parts = list(blocks(left, ordered))
        refused: list[ProvenanceError] = []
        for block in parts:
            try:
                self._run_job(job, tags=tags_of(block, ordered))
            except (BackendError, ConfigError):
                raise
            except ProvenanceError as error:  # of these days; the other blocks go on
                refused.append(error)
        if refused:
            raise type(refused[0])(*(why for error in refused for why in error.reasons))

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """What libraries print goes to a log file: people read the stages and the reasons."""
        with (
            (self.workspace.home / "run" / "run.log").open("a", encoding="utf-8") as log,
            redirect_stdout(log),
            redirect_stderr(log),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield

    def _run_job(
        self,
        name: str,
        run_config: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        assets: Sequence[str] | None = None,
    ) -> None:
        definitions, instance = self._load()
        from fraud_provenance.day_partitions import choose
        from fraud_provenance.defs.support import HEADLESS

        choose(tags or {})  # what Dagster notes of a run before it begins is of its days, too
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = definitions.resolve_job_def(name)
        if assets:
            job = part_of(job, assets)
        run_id = str(uuid.uuid4())
        try:
            with self._quiet():
                job.execute_in_process(
                    run_config=quiet | (run_config or {}),
                    instance=instance,
                    run_id=run_id,
                    tags={HEADLESS: "true", **(tags or {})},
                )
        except Exception as error:
            if is_contract_failure(error):
                self.report.newly_failed = True
                return  # the failed days are marked; the others go on
            from fraud_provenance.defs.alerts import alerts_of_run

            self._has_told = self._tell(
                lambda: alerts_of_run(instance, run_id, self.workspace.clock())
            )
            own = own_error(error)
            if own is None:
                raise
            raise own from error
