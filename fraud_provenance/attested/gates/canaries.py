"""Canaries: before anything is promoted or scored, the judges themselves are judged.

One bundle known to be good and several known to be bad go through the in-process verifier and the
cosign binary; questions whose answers are known go through OPA and the policy in force. A stubbed
tool, a weakened flag or a check that no longer checks gives itself away here.
"""

import base64
import copy
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError, reason
from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import identity_fact
from fraud_provenance.attested.gates.policy import GATES, Policy, PolicyEngine
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.sigstore.verification import VerifiedBundle

_WORKERS = 4
_OTHER_TYPE = "https://slsa.dev/provenance/v1"  # the canary's own is a policy release
_PASSED: set[tuple[str, ...]] = set()
_Probe = Callable[[], str]  # what is wrong, or an empty string


def check(trust: Trust, cosign_binary: Path, tool_digests: tuple[str, ...]) -> None:
    """Put every judge to the test, once a process for each set of tools, policy and trust root.

    Raises:
        VerificationError: CANARY_FAILED; INPUT_MISSING or POLICY_EVAL_ERROR, a rule does not fit
            its schema. BackendError: a judge could not be run.
    """
    policy = trust.policies.current()
    key = (*tool_digests, policy.digest, trust.bundles.root_digest)
    if key in _PASSED:
        return
    trust.policies.check_rules(policy)
    bundles = [
        json.loads(trust.store.bundle(statement)[1]) for statement in policy.release_statements
    ]
    with tempfile.TemporaryDirectory(prefix="canaries-") as folder:
        probes = [
            *_verifier_probes(trust, bundles),
            *_cosign_probes(trust, cosign_binary, bundles[0], Path(folder)),
            *_policy_probes(trust.policies, policy, trust.environment, trust.clock()),
        ]
        _run(probes)
    _PASSED.add(key)


def check_policy(engine: PolicyEngine, policy: Policy, environment: str, at: datetime) -> None:
    """Compile a policy's rules and put questions to it whose answers are known.

    Raises:
        VerificationError: CANARY_FAILED, POLICY_DATA_INVALID; INPUT_MISSING or POLICY_EVAL_ERROR,
            a rule does not fit its schema. BackendError: the policy engine could not be run.
    """
    engine.check_rules(policy)
    try:
        probes = [*_policy_probes(engine, policy, environment, at)]
    except (LookupError, AssertionError, RuntimeError) as error:  # no step, suite or signer for it
        raise VerificationError(
            reason(
                RootCause.POLICY_DATA_INVALID,
                f"by this layout no step reads anything in {environment!r}",
                artifact="policies/data/layout.json",
            )
        ) from error
    _run(probes)


def _run(probes: Sequence[_Probe]) -> None:
    with ThreadPoolExecutor(_WORKERS) as pool:
        wrong = [found for found in pool.map(lambda probe: probe(), probes) if found]
    if wrong:
        raise VerificationError(
            *(reason(RootCause.CANARY_FAILED, found, artifact="canary") for found in wrong)
        )


# --- bundles ------------------------------------------------------------------------------------


def _flipped_payload(bundle: Any, _other: Any) -> None:  # noqa: ANN401 - JSON
    payload = bytearray(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload[len(payload) // 2] ^= 1
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(bytes(payload)).decode()


def _flipped_signature(bundle: Any, _other: Any) -> None:  # noqa: ANN401 - JSON
    signature = bytearray(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
    signature[-1] ^= 1
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(signature)).decode()


def _without_log_entry(bundle: Any, _other: Any) -> None:  # noqa: ANN401 - JSON
    bundle["verificationMaterial"]["tlogEntries"] = []


def _with_other_log_entry(bundle: Any, other: Any) -> None:  # noqa: ANN401 - JSON
    entries = other["verificationMaterial"]["tlogEntries"]
    bundle["verificationMaterial"]["tlogEntries"] = entries


def _with_other_timestamp(bundle: Any, other: Any) -> None:  # noqa: ANN401 - JSON
    stamps = other["verificationMaterial"]["timestampVerificationData"]
    bundle["verificationMaterial"]["timestampVerificationData"] = stamps


_BAD = (
    _flipped_payload,
    _flipped_signature,
    _without_log_entry,
    _with_other_log_entry,
    _with_other_timestamp,
)


def _changed(change: Callable[[Any, Any], None], bundles: list[Any]) -> bytes:
    made = copy.deepcopy(bundles[0])
    change(made, bundles[1])
    return json.dumps(made).encode()


def _verifier_probes(trust: Trust, bundles: list[Any]) -> Iterator[_Probe]:
    """The good bundle in a spelling of its own, so that no memory answers for it; bad ones."""
    good = json.dumps(bundles[0], indent=3).encode()
    yield lambda: _is_accepted_in_process(trust, good, "the good bundle")
    for change in _BAD:
        content = _changed(change, bundles)
        name = change.__name__.strip("_").replace("_", " ")
        yield lambda content=content, name=name: _is_refused_in_process(trust, content, name)  # type: ignore[misc]


def _is_accepted_in_process(trust: Trust, content: bytes, name: str) -> str:
    try:
        trust.bundles.verify(content)
    except ProvenanceError as error:
        return f"the verifier refuses {name}: {error}"
    return ""


def _is_refused_in_process(trust: Trust, content: bytes, name: str) -> str:
    try:
        trust.bundles.verify(content)
    except ProvenanceError:
        return ""
    return f"the verifier accepts a bundle with a fault: {name}"


def _cosign_probes(trust: Trust, binary: Path, bundle: Any, folder: Path) -> Iterator[_Probe]:  # noqa: ANN401 - JSON
    content = json.dumps(bundle).encode()
    expected = trust.bundles.verify(content)
    good, flipped, unlogged = (folder / f"{name}.json" for name in ("good", "payload", "log"))
    good.write_bytes(content)
    flipped.write_bytes(_changed(_flipped_payload, [bundle, bundle]))
    unlogged.write_bytes(_changed(_without_log_entry, [bundle, bundle]))
    honest = cosign.arguments(trust, binary, expected, good)
    someone = _other_identity(expected)
    lies = {
        "a flipped payload": cosign.arguments(trust, binary, expected, flipped),
        "no log entry": cosign.arguments(trust, binary, expected, unlogged),
        "another identity": cosign.arguments(trust, binary, someone, good),
        "another predicate type": _replaced(honest, "--type", _OTHER_TYPE),
        "another subject": _replaced(honest, "--digest", "0" * 64),
    }
    yield lambda: "" if cosign.run(trust, honest) else "cosign refuses the good bundle"
    for name, command in lies.items():
        yield lambda command=command, name=name: (  # type: ignore[misc]
            f"cosign accepts a bundle in spite of {name}" if _cosign_accepts(trust, command) else ""
        )


def _cosign_accepts(trust: Trust, command: list[str]) -> bool:
    try:
        return cosign.run(trust, command)
    except ProvenanceError:
        return False  # no answer is no acceptance; the good bundle shows whether it works at all


def _other_identity(expected: VerifiedBundle) -> VerifiedBundle:
    subject = f"not.{expected.identity.subject}"
    identity = expected.identity.model_copy(update={"subject": subject})
    return expected.model_copy(update={"identity": identity, "spelled": None})


def _replaced(command: list[str], option: str, value: str) -> list[str]:
    place = command.index(option) + 1
    return [*command[:place], value, *command[place + 1 :]]


# --- policy -------------------------------------------------------------------------------------


def _policy_probes(
    engine: PolicyEngine, policy: Policy, environment: str, at: datetime
) -> Iterator[_Probe]:
    """Each gate must deny a question without facts; data access also knows right from wrong."""
    for gate in GATES:
        yield lambda gate=gate: _is_denied(engine, policy, gate, {}, "INPUT_INVALID")  # type: ignore[misc]
    question = _question(environment, policy.layout, encoding.utc_text(at))
    yield lambda: _is_allowed(engine, policy, question)
    failed = copy.deepcopy(question)
    failed["partitions"][0]["contracts"][0]["result"] = "FAILED"
    yield lambda: _is_denied(engine, policy, "data_access", failed, "CHECK_FAILED")
    stolen = copy.deepcopy(question)
    stolen["partitions"][0]["signer"]["subject"] += "/other"
    yield lambda: _is_denied(
        engine, policy, "data_access", stolen, "IDENTITY_NOT_AUTHORIZED_FOR_STEP"
    )


def _is_denied(engine: PolicyEngine, policy: Policy, gate: str, document: Any, code: str) -> str:  # noqa: ANN401 - JSON
    answer = engine.evaluate(policy, gate, document)
    if answer.allowed or code not in {item.code for item in answer.reasons}:
        return f"the policy does not deny a bad question at {gate} with {code}"
    return ""


def _is_allowed(engine: PolicyEngine, policy: Policy, document: Any) -> str:  # noqa: ANN401 - JSON
    answer = engine.evaluate(policy, "data_access", document)
    return "" if answer.allowed else f"the policy denies a good question: {answer.reasons[0]}"


def _question(environment: str, layout: Layout, now: str) -> Any:  # noqa: ANN401 - JSON
    """An honest question at the data-access gate, for the first step that needs contracts."""
    step, rule, material = next(
        (name, rule, material)
        for name, rule in layout.steps.items()
        for material in rule.materials
        if material.requires_suites and material.min <= 1 and environment in rule.environments
    )
    digest = "0" * 64
    signer = {name: layout.steps[name].signer() for name in (step, layout.producer(material.asset))}
    judges = {suite: layout.steps[layout.contracts[suite].step].signer() for suite in
              material.requires_suites}  # fmt: skip
    contracts = [
        {"suite": suite, "result": "PASSED", "checks": 1, "rows": 1, "statement": digest,
         "signer": identity_fact(who)}
        for suite, who in judges.items() if who
    ]  # fmt: skip
    asker, producer = signer.values()
    assert asker is not None  # noqa: S101 - steps that produce or read are workloads
    assert producer is not None  # noqa: S101 - as above
    return {
        "request": {
            "step": step, "identity": identity_fact(asker), "environment": environment,
            "asset": material.asset, "purpose": rule.purposes[0], "at": now,
        },
        "partitions": [
            {"partition": "canary", "sha256": digest, "environment": environment,
             "contracts": contracts, "statement": digest, "signer": identity_fact(producer),
             "signed_at": now}
        ],
    }  # fmt: skip
