"""The policy as an artifact: read, compared with its signed release, evaluated from those bytes."""

import json
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud_provenance.attested.core import encoding, files, json_schemas
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.rules.layout import Layout, parse_layout
from fraud_provenance.attested.rules.releases import (
    SIGNATURES_NEEDED,
    Release,
    Releases,
    policy_difference,
)
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest

_MAX_FILES = 500
_MAX_FILE_BYTES = 4 * 1024 * 1024
_OPA_DEADLINE_S = 30
_State = tuple[tuple[str, str], ...]
GATES = {
    "data_access": "data.fraud.data_access.decision",
    "model_registration": "data.fraud.model_registration.decision",
    "model_deployment": "data.fraud.model_deployment.decision",
}
_DOCUMENTS = ("layout", "principals", "thresholds")
_SCHEMA_CODES = {
    "required": RootCause.INPUT_MISSING,
    "type": RootCause.INPUT_TYPE,
    "additionalProperties": RootCause.INPUT_UNVERIFIED_FIELD,
}


class Answer(BaseModel):
    """What the policy said: allowed only when true and without any reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: bool
    reasons: tuple[Reason, ...]


def read_policies(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and bytes of every file below the policy folder, each read once.

    Raises:
        VerificationError: POLICY_DIGEST_MISMATCH for links and other things that are not files.
        EvidenceError: a file cannot be read or is too large.
    """
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _mismatch(f"{path.name} is not a regular file", path.name)
        if path.is_file():
            if len(contents) >= _MAX_FILES:
                raise _mismatch(f"more than {_MAX_FILES} files", "policies")
            name = path.relative_to(folder).as_posix()
            contents[name] = files.read_once(path, limit_bytes=_MAX_FILE_BYTES)
    return manifest_of(contents), contents


def manifest_of(contents: Mapping[str, bytes]) -> Manifest:
    """The manifest of a policy's files (path below the folder → bytes), as a release names it."""
    entries = [
        FileEntry(path=name, partition="", size=len(data), sha256=encoding.digest_bytes(data))
        for name, data in contents.items()
    ]
    return Manifest.of("policies", entries)


def _state(folder: Path) -> _State | None:
    """What changes whenever something below a folder does; its owner cannot set a change time.

    None where that is too young to tell what is written within the clock's next tick.
    """
    found = []
    try:
        for path in (folder, *sorted(folder.rglob("*"))):
            at = files.settled(path)
            if at is None:
                return None
            found.append((str(path), at))
    except OSError:
        return None
    return tuple(found)


def _unapproved(proposed: Sequence[Release], contents: Mapping[str, bytes]) -> VerificationError:
    """Too few signed it; before that, what would keep it from binding if more did."""
    signed = sorted({author for item in proposed for author in item.authors})
    unusable: Sequence[Reason] = ()
    try:
        parse_layout(contents)
    except ProvenanceError as error:
        unusable = error.reasons
    return VerificationError(
        *unusable,
        reason(
            RootCause.EXPECTATION_CHANGE_UNAPPROVED,
            f"signed by {', '.join(signed) or 'no policy author'};"
            f" {SIGNATURES_NEEDED} distinct policy authors are needed",
            artifact="policies",
        ),
    )


def _mismatch(message: str, artifact: str) -> VerificationError:
    return VerificationError(
        reason(RootCause.POLICY_DIGEST_MISMATCH, message, artifact=f"policies/{artifact}")
    )


def _authors(layout: Layout, head: Release) -> tuple[str, ...]:
    """Who wrote the policy: by the names of then, and of those who are the same people now."""
    people = {identities.person(one) for one in head.identities}
    now = [
        principal.id
        for principal in layout.principals
        if people & {identities.person(one) for one in principal.identities}
    ]
    return tuple(sorted({*head.authors, *now}))


class Policy:
    """One verified policy: its files lie in a private folder that goes with this object."""

    def __init__(self, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
        self.manifest = manifest
        self.contents = dict(contents)
        self.folder = Path(tempfile.mkdtemp(prefix="policy-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for name, data in contents.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.authors: tuple[str, ...] = ()
        self.release_statements: tuple[str, ...] = ()

    def check_copy(self) -> None:
        """Compare the private copy that OPA reads with the verified files.

        Raises:
            VerificationError: POLICY_REVISION_MISMATCH.
        """
        try:
            manifest, _ = read_policies(self.folder)
            is_same = manifest.digest == self.digest
        except ProvenanceError:
            is_same = False
        if not is_same:
            raise VerificationError(
                reason(
                    RootCause.POLICY_REVISION_MISMATCH,
                    "the copy that the policy engine reads was changed",
                    artifact="policies",
                )
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the policy's manifest."""
        return self.manifest.digest

    @cached_property
    def layout(self) -> Layout:
        """The layout and principals of this policy."""
        return parse_layout(self.contents)

    def data(self, name: str) -> Any:  # noqa: ANN401 - a JSON document
        """A document of `policies/data/`, e.g. `thresholds`."""
        return encoding.strict_json(self.contents[f"data/{name}.json"])

    def optional(self, name: str) -> Any:  # noqa: ANN401 - a JSON document
        """As `data`; `{}` where a release has no such document, such as one of before it."""
        return self.data(name) if f"data/{name}.json" in self.contents else {}

    def schema(self, gate: str) -> Any:  # noqa: ANN401 - a JSON schema
        """The schema of a gate's input."""
        return encoding.strict_json(self.contents[f"schemas/{gate}.json"])


class PolicyEngine:
    """Compares the policy folder with the release in force before each use, and asks OPA."""

    def __init__(self, folder: Path, opa: Callable[[], Path], releases: Releases) -> None:
        """`opa` finds the binary; it is asked only when a decision is due."""
        self.folder = folder
        self._find = opa
        self.releases = releases
        self._current: Policy | None = None
        self._read: tuple[_State, tuple[Manifest, dict[str, bytes]]] | None = None

    def current(self) -> Policy:
        """The policy on disk, if the release in force fixes exactly these bytes.

        Raises:
            VerificationError: POLICY_DIGEST_MISMATCH, POLICY_UNSIGNED, POLICY_ROLLBACK,
                EXPECTATION_CHANGE_UNAPPROVED, why a release of these files does not bind, or what
                else is wrong with the releases.
        """
        manifest, contents = self._as_it_lies()
        head = self.check_released(manifest, contents)
        if self._current is None or self._current.digest != manifest.digest:
            policy = Policy(manifest, contents)
            policy.layout  # noqa: B018 - a layout that cannot be used is no policy
            self._current = policy
        self._current.authors = _authors(self._current.layout, head)
        self._current.release_statements = head.statements
        return self._current

    def check_released(self, manifest: Manifest, contents: Mapping[str, bytes]) -> Release:
        """The release in force, which must fix exactly these policy files, wherever they lie.

        Raises:
            VerificationError: as `current`.
        """
        proposed = [
            item
            for item in self.releases.chain().proposals
            if item.expectations.policies == manifest.digest
        ]
        if self.releases.chain().head is None and proposed:
            raise _unapproved(proposed, contents)
        head = self.releases.head()
        if head.expectations.policies != manifest.digest:  # before anything in these files is read
            refused = self.releases.chain().why_not(lambda one: one.policies == manifest.digest)
            if refused:
                raise VerificationError(*refused)
            raise _unapproved(proposed, contents) if proposed else self._difference(manifest, head)
        return head

    def _as_it_lies(self) -> tuple[Manifest, dict[str, bytes]]:
        """The folder, read again unless nothing has touched it since this process read it."""
        state = _state(self.folder)
        if state is None or self._read is None or self._read[0] != state:
            found = read_policies(self.folder)
            self._read = (state, found) if state and state == _state(self.folder) else None
            return found
        return self._read[1]

    def _difference(self, manifest: Manifest, head: Release) -> VerificationError:
        """Say which file differs from the release in force, or which old release this is."""
        version = head.expectations.version
        earlier = self.releases.chain().versions_of(manifest.digest)
        if earlier:
            return VerificationError(
                reason(
                    RootCause.POLICY_ROLLBACK,
                    f"these are the files of release {earlier[-1]}; release {version} is in force",
                    artifact="policies",
                )
            )
        try:
            before = self.releases.manifest(head)
        except ProvenanceError as error:
            return VerificationError(*error.reasons)
        changed = policy_difference(
            {entry.path: entry.sha256 for entry in before.entries},
            {entry.path: entry.sha256 for entry in manifest.entries},
        )
        return _mismatch(f"differs from release {version} in {', '.join(changed[:5])}", changed[0])

    def ask(self, gate: str, document: Mapping[str, Any], policy: Policy | None = None) -> Answer:
        """Evaluate one gate on verified facts.

        Raises:
            VerificationError: the policy is not the signed one, INPUT_INVALID, POLICY_UNDEFINED
                or POLICY_EVAL_ERROR: asking again would change nothing.
            BackendError: POLICY_UNAVAILABLE.
        """
        policy = policy or self.current()
        self._check_input(policy, gate, document)
        return self.evaluate(policy, gate, document)

    def evaluate(self, policy: Policy, gate: str, document: Mapping[str, Any]) -> Answer:
        """What OPA says about a document that was not compared with its schema before.

        The policy's private copy is compared with its digest before and after, and OPA gives back
        the input that it decided on: an answer by other rules or about other facts is none.

        Raises:
            VerificationError: POLICY_REVISION_MISMATCH, DECISION_INPUT_MISMATCH, POLICY_UNDEFINED
                or POLICY_EVAL_ERROR. BackendError: POLICY_UNAVAILABLE.
        """
        policy.check_copy()
        value = self._run(policy, gate, document)
        policy.check_copy()
        result = value.get("decision") if isinstance(value, dict) else None
        if not isinstance(result, dict) or not isinstance(result.get("reasons"), list):
            raise VerificationError(reason(RootCause.POLICY_UNDEFINED, f"{gate} gave no answer"))
        _check_echo(gate, document, value.get("input"))
        try:
            reasons = _deepest_first(policy.layout, result["reasons"])
        except (KeyError, TypeError, ValidationError) as error:
            raise VerificationError(
                reason(RootCause.POLICY_EVAL_ERROR, f"{gate}: malformed reasons: {error}")
            ) from error
        allowed = result.get("allow") is True and not reasons
        if not allowed and not reasons:
            reasons = (reason(RootCause.GATE_DENIED, f"{gate} does not allow this"),)
        return Answer(allowed=allowed, reasons=reasons)

    def _check_input(self, policy: Policy, gate: str, document: Mapping[str, Any]) -> None:
        try:
            problem = json_schemas.first_problem(policy.schema(gate), document)
        except KeyError as error:
            raise VerificationError(
                reason(RootCause.POLICY_DATA_INVALID, f"the policy has no schema for {gate[:80]!r}")
            ) from error
        if problem is not None:
            where = "/".join(str(part) for part in problem.absolute_path) or "input"
            raise VerificationError(
                reason(
                    _SCHEMA_CODES.get(str(problem.validator), RootCause.INPUT_INVALID),
                    f"{gate} input at {where}: {problem.message[:300]}",
                )
            )

    def check_rules(self, policy: Policy) -> None:
        """Compile every rule against the schemas: what no schema has is undefined, and `not` true.

        Raises:
            VerificationError: INPUT_MISSING, a rule names a field that no input has, or
                POLICY_EVAL_ERROR; POLICY_REVISION_MISMATCH. BackendError: POLICY_UNAVAILABLE.
        """
        policy.check_copy()
        rules = [str(policy.folder / name) for name in ("lib", *GATES)]
        done = self._opa(
            policy, "check", "--strict", "--schema", str(policy.folder / "schemas"),
            "--ignore=*_test.rego", *rules,
        )  # fmt: skip
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace")
            unknown = "undefined ref: input" in said
            code = RootCause.INPUT_MISSING if unknown else RootCause.POLICY_EVAL_ERROR
            what = said.replace(f"{policy.folder}/", "")[:400].strip()
            raise VerificationError(reason(code, what, artifact="policies"))

    def _run(self, policy: Policy, gate: str, document: Mapping[str, Any]) -> Any:  # noqa: ANN401
        done = self._opa(
            policy, "eval", "--strict-builtin-errors", "--fail", "--format", "json",
            "--stdin-input", *_data_arguments(policy.folder, gate),
            f'{{"decision": {GATES[gate]}, "input": input}}',
            content=encoding.canonical_json(document),
        )  # fmt: skip
        if done.returncode != 0:
            detail = (done.stderr or done.stdout).decode("utf-8", "replace")[-400:].strip()
            message = f"opa exited {done.returncode}: {detail}"
            undefined = detail in ("", "{}")  # what --fail leaves of an undefined result
            code = RootCause.POLICY_UNDEFINED if undefined else RootCause.POLICY_EVAL_ERROR
            raise VerificationError(reason(code, message))
        try:
            output = json.loads(done.stdout)
            return output["result"][0]["expressions"][0]["value"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise VerificationError(
                reason(RootCause.POLICY_UNDEFINED, f"{gate}: opa printed no result")
            ) from error

    def _opa(
        self, policy: Policy, *arguments: str, content: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(  # noqa: S603 - a pinned binary, argument list, no shell
                [str(self._find()), *arguments],
                input=content,
                capture_output=True,
                timeout=_OPA_DEADLINE_S,
                check=False,
                env={"PATH": "", "HOME": str(policy.folder)},
            )
        except (OSError, subprocess.SubprocessError, ConfigError) as error:
            raise BackendError(
                reason(RootCause.POLICY_UNAVAILABLE, f"cannot run opa: {error}", artifact="opa")
            ) from error
        if done.returncode < 0 or done.returncode in (126, 127):
            detail = (done.stderr or done.stdout).decode("utf-8", "replace")[-400:].strip()
            message = f"opa exited {done.returncode}: {detail}"
            raise BackendError(reason(RootCause.POLICY_UNAVAILABLE, message, artifact="opa"))
        return done


def _check_echo(gate: str, document: Mapping[str, Any], echo: object) -> None:
    try:
        is_same = encoding.canonical_json(echo) == encoding.canonical_json(document)
    except (ValueError, TypeError):
        is_same = False
    if not is_same:
        raise VerificationError(
            reason(RootCause.DECISION_INPUT_MISMATCH, f"{gate} decided on another input")
        )


def _data_arguments(folder: Path, gate: str) -> list[str]:
    """How OPA is given the policy: one gate's rules, the data documents and their schemas."""
    rules = [f"--data={folder / 'lib'}", f"--data={folder / gate}", "--ignore=*_test.rego"]
    data = [f"--data={name}:{folder / 'data' / f'{name}.json'}" for name in _DOCUMENTS]
    names = (gate, *_DOCUMENTS)
    schemas = [f"--data=schemas.{name}:{folder / 'schemas' / f'{name}.json'}" for name in names]
    return rules + data + schemas


def _deepest_first(layout: Layout, found: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    """What the policy found, nearest the raw data first; what concerns no asset comes last.

    A subject is an asset, `asset@partition` or `asset/suite`, or anything else that was asked.
    """
    last = len(layout.distances)
    reasons = [
        Reason(
            code=item["code"],
            message=item["message"],
            remedy=item["remedy"],
            artifact=(subject := str(item.get("subject", ""))),
            distance=layout.distances.get(re.split("[@/]", subject)[0], last),
        )
        for item in found
    ]
    return tuple(sorted(reasons, key=lambda item: item.distance))
