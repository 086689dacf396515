"""A release is read whole before it binds: a mistake in it must not lock its authors out.

Everything is judged from the bytes that the release names, at the moment of the signature that
completed it, so every verifier comes to the same answer. What can be used at all is only half of
it: whoever is left must be able to sign the next release, with keys that are still in use.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from fraud_provenance.attested.core import encoding, json_schemas
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.rules.layout import Layout, Principal, parse_layout
from fraud_provenance.attested.sigstore import library
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.tlog.witness import parse_policy

ROLE = "policy_author"
TERM = timedelta(days=7)
"""So long after a release somebody must still be able to sign the next one."""
ISSUERS = (identities.PEOPLE, identities.WORKLOADS)
"""Those that every environment has; it may have others of `identities.FORMS`."""
_DOCUMENTS = ("layout", "principals", "thresholds", "contracts")
_OPTIONAL = ("feed", "documents")  # policies of before them have none
_OWN_KEYS = {  # what the trusted root lists, and where each entry says how long it is valid
    "tlogs": "publicKey",
    "ctlogs": "publicKey",
    "certificateAuthorities": "",
    "timestampAuthorities": "",
}
_SERVICES = ("caUrls", "rekorTlogUrls", "tsaUrls")
_AUTHORS = 2
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_UNREAD = frozenset(
    (RootCause.EVIDENCE_MISSING, RootCause.EVIDENCE_TAMPERED, RootCause.ARTIFACT_MISSING)
)


def is_unread(error: ProvenanceError) -> bool:
    """Whether bytes were lost or changed since: that says nothing about what was released."""
    return any(item.code in _UNREAD for item in error.reasons)


# --- the trust root ------------------------------------------------------------------------------


def check_trust(files: Mapping[str, bytes], at: datetime | None) -> None:
    """Read files of a trust root whole, by name; `at`: when their keys must be in use, if ever.

    Raises:
        VerificationError: ROOT_MALFORMED, with the file that is meant.
    """
    for name, content in files.items():
        try:
            _READERS[name](content, at)
        except ProvenanceError as error:
            raise malformed(name, error.reasons[0].message) from error
        except _Unusable as error:
            raise malformed(name, str(error)) from error


def trust_problems(files: Mapping[str, bytes]) -> Sequence[Reason]:
    """What is wrong with files of a trust root, whenever they were meant to be used."""
    try:
        check_trust(files, None)
    except VerificationError as error:
        return error.reasons
    return ()


def malformed(name: str, message: str) -> VerificationError:
    """ROOT_MALFORMED for a file of the trust root."""
    return VerificationError(reason(RootCause.ROOT_MALFORMED, message, artifact=f"trust/{name}"))


class _Unusable(Exception):  # noqa: N818 - what is wrong with one file, for `check_trust` to name
    pass


def _read_root(content: bytes, at: datetime | None) -> None:
    _check_root(encoding.strict_json(content), at)


def _check_root(document: Any, at: datetime | None) -> None:  # noqa: ANN401 - JSON
    for kind, holder in _OWN_KEYS.items():
        spans = []
        for index, entry in enumerate(_entries(document, kind)):
            held = entry.get(holder) if holder else entry
            valid_for = held.get("validFor") if isinstance(held, dict) else None
            if not isinstance(valid_for, dict) or "start" not in valid_for:
                raise _Unusable(f"{kind}[{index}] has no validFor.start, so it would always count")
            spans.append(_span(valid_for, f"{kind}[{index}]"))
        _demand_one(spans, kind, at)


def _read_services(content: bytes, at: datetime | None) -> None:
    _check_services(encoding.strict_json(content), at)


def _check_services(document: Any, at: datetime | None) -> None:  # noqa: ANN401 - JSON
    for kind in _SERVICES:
        spans = []
        for index, entry in enumerate(_entries(document, kind)):
            _check_address(entry.get("url"), f"{kind}[{index}]")
            valid_for = entry.get("validFor", {})
            spans.append(_span(valid_for, f"{kind}[{index}]"))
        _demand_one(spans, kind, at)


def _read_client(content: bytes, at: datetime | None) -> None:
    library.load()
    from sigstore.models import ClientTrustConfig

    document = encoding.strict_json(content)
    if not isinstance(document, dict):
        raise _Unusable("it is no object")
    _check_root(document.get("trustedRoot"), at)
    _check_services(document.get("signingConfig"), at)
    try:
        ClientTrustConfig.from_json(content.decode())
    except Exception as error:  # the library's parsers raise what they like
        raise _Unusable(f"{error!r}"[:300]) from error


def _read_witnesses(content: bytes, _at: datetime | None) -> None:
    parse_policy(content)


def _read_issuers(content: bytes, _at: datetime | None) -> None:
    document = encoding.strict_json(content)
    known = identities.FORMS.keys()
    if not isinstance(document, dict) or not {*ISSUERS} <= document.keys() <= known:
        more = ", ".join(sorted(known - {*ISSUERS}))
        raise _Unusable(
            f"it must name the issuers {' and '.join(ISSUERS)}, and others only of {more}"
        )
    for name, url in document.items():
        _check_address(url, name)
    if len({str(url).rstrip("/") for url in document.values()}) != len(document):
        raise _Unusable("two of its issuers are the same")


def _check_address(url: Any, place: str) -> None:  # noqa: ANN401 - JSON
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Unusable(f"{place}: {str(url)[:80]!r} is no address")


def _entries(document: Any, kind: str) -> Sequence[Mapping[str, Any]]:  # noqa: ANN401 - JSON
    found = document.get(kind) if isinstance(document, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(e, dict) for e in found):
        raise _Unusable(f"it lists no {kind}")
    return found


def _span(valid_for: Any, place: str) -> tuple[datetime, datetime]:  # noqa: ANN401 - JSON
    try:
        moments = {name: _moment(text) for name, text in valid_for.items()}
        start = moments.pop("start", datetime.min.replace(tzinfo=UTC))
        end = moments.pop("end", _NEVER)
        if moments or not start < end:
            raise ValueError("it ends before it begins")
    except (AttributeError, TypeError, ValueError) as error:
        raise _Unusable(f"{place}: validFor cannot be used: {str(error)[:120]}") from error
    return start, end


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found


def _demand_one(spans: Sequence[tuple[datetime, datetime]], kind: str, at: datetime | None) -> None:
    if at and not any(start <= at and at + TERM <= end for start, end in spans):
        raise _Unusable(f"none of its {kind} is in use now and for {TERM.days} days")


_READERS: Mapping[str, Callable[[bytes, datetime | None], None]] = {
    "trusted_root.json": _read_root,
    "issuers.json": _read_issuers,
    "witnesses.json": _read_witnesses,
    "signing_config.json": _read_services,
    "client_trust_config.json": _read_client,
}


# --- the policy ----------------------------------------------------------------------------------


def check_policy(files: Mapping[str, bytes], environment: str, at: datetime) -> Layout:
    """Read layout, principals and every other document whole; `files`: the policy's by path.

    Raises:
        VerificationError: POLICY_DATA_INVALID, IDENTITY_PATTERN or DUPLICATE_KEY_IDENTITY.
        EvidenceError: strict-JSON codes.
    """
    layout = parse_layout(files)
    for name, rule in layout.steps.items():
        for parameter, schema in rule.parameters.items():
            json_schemas.check_meaning(schema, f"policies/data/layout.json, {name}.{parameter}")
    for path in sorted(files):
        if path.startswith("schemas/") and path.endswith(".json"):
            json_schemas.check_meaning(encoding.strict_json(files[path]), f"policies/{path}")
    for name in (*_DOCUMENTS, *(name for name in _OPTIONAL if f"data/{name}.json" in files)):
        _check_document(files, name)
    _check_next_step(layout, environment)
    check_authors(layout.principals, at)
    return layout


def _check_document(files: Mapping[str, bytes], name: str) -> None:
    artifact = f"policies/data/{name}.json"
    try:
        document = encoding.strict_json(files[f"data/{name}.json"])
        schema = encoding.strict_json(files[f"schemas/{name}.json"])
    except KeyError as error:
        raise _invalid(artifact, f"{error} is missing") from error
    problem = json_schemas.first_problem(schema, document)
    if problem is not None:
        where = "/".join(str(part) for part in problem.absolute_path)
        raise _invalid(artifact, f"at {where or 'the top'}: {problem.message[:200]}")


def _check_next_step(layout: Layout, environment: str) -> None:
    """The layout must let policy authors sign the next release, in this environment."""
    rule = layout.steps.get("policy")
    if (
        rule is None
        or rule.signer_role != ROLE
        or rule.identity != {"issuer": identities.PEOPLE, "subject": None}
        or rule.predicate_type != statements.POLICY_RELEASE
        or environment not in rule.environments
        or environment not in layout.environments
    ):
        raise _invalid(
            "policies/data/layout.json",
            f"the step `policy` does not let people with the role {ROLE} sign in {environment!r}",
        )


def check_authors(principals: Sequence[Principal], at: datetime | None = None) -> None:
    """Demand that enough people can sign the next release, `at` that moment and for a while.

    Raises:
        VerificationError: POLICY_DATA_INVALID.
    """
    left = [
        principal
        for principal in principals
        if ROLE in principal.roles
        and (at is None or (principal.is_valid_at(at) and principal.is_valid_at(at + TERM)))
        and any(identity.issuer == identities.PEOPLE for identity in principal.identities)
    ]
    if (found := len(identities.groups(left))) < _AUTHORS:
        raise _invalid(
            "policies/data/principals.json",
            f"{found} policy authors are left who could sign the next release, not {_AUTHORS}",
        )


def _invalid(artifact: str, message: str) -> VerificationError:
    return VerificationError(reason(RootCause.POLICY_DATA_INVALID, message, artifact=artifact))


def as_malformed(error: ConfigError) -> VerificationError:
    """What a file of the trust root that cannot be used comes to."""
    first = error.reasons[0]
    return VerificationError(
        reason(RootCause.ROOT_MALFORMED, first.message, artifact=first.artifact or "trust")
    )
