"""The policy engine: only signed policy bytes are evaluated, and no silence is an answer."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud_provenance.attested.core.errors import BackendError, ProvenanceError, VerificationError
from fraud_provenance.attested.gates import policy as policy_module
from fraud_provenance.attested.gates.policy import Answer, Policy, PolicyEngine, read_policies
from fraud_provenance.attested.local import tool
from fraud_provenance.attested.rules.releases import Releases
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import (
    PROJECT,
    RAW,
    RAW_SUITES,
    Chain,
    codes,
    copy_home,
    release,
)

pytestmark = pytest.mark.integration

FILES = sorted(
    path.relative_to(PROJECT / "policies").as_posix()
    for path in (PROJECT / "policies").rglob("*")
    if path.is_file()
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder whose policies a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "policies", folder / "policies")
    shutil.copyfile(PROJECT / "requirements.lock", folder / "requirements.lock")
    return folder


@pytest.fixture
def opened(project: Path, tmp_path: Path, home_with_servers: Workspace) -> Workspace:
    """A home with the released policy, opened on the changeable project."""
    home = copy_home(home_with_servers.home, tmp_path / "home")
    return Workspace(Settings(home=home, project=project))


def refusal(work: Callable[[], object]) -> ProvenanceError:
    with pytest.raises(ProvenanceError) as caught:
        work()
    return caught.value


def current(workspace: Workspace) -> Policy:
    return workspace.trust.policies.current()


def request(chain: Chain, **changed: Any) -> dict[str, Any]:
    """What an honest features step asks about the first day."""
    entry = chain.raw.manifest.entries[0]

    def signer(step: str) -> dict[str, str]:
        return {"issuer": "workloads", "subject": f"/steps/{step}"}

    contracts = [
        {
            "suite": suite,
            "result": "PASSED",
            "checks": 1,
            "rows": 3,
            "statement": chain.contracts[suite].statement.digest,
            "signer": signer("contracts"),
        }
        for suite in RAW_SUITES
    ]
    partition = {
        "partition": entry.partition,
        "sha256": entry.sha256,
        "environment": "local",
        "contracts": contracts,
        "statement": chain.raw.bundle.statement.digest,
        "signer": signer("ingest"),
        "signed_at": "2026-01-01T00:00:00Z",
    }
    honest = {
        "step": "features",
        "identity": signer("features"),
        "environment": "local",
        "asset": RAW,
        "purpose": "materialise",
        "at": "2026-01-01T00:00:10Z",
    }
    return {"request": honest | changed.pop("request", {}), "partitions": [partition]} | changed


# --- the policy is an artifact -----------------------------------------------------------------


def test_policy_that_an_author_released_is_current(opened: Workspace) -> None:
    policy = opened.trust.policies.current()
    assert policy.authors == ("policy-office", "policy-review")
    assert sorted(policy.contents) == FILES
    assert opened.trust.policies.current() is policy


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_policy_with_one_byte_changed_anywhere_names_the_file(
    opened: Workspace, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(FILES))
    path = opened.policies_folder / name
    honest = path.read_bytes()
    place = data.draw(st.integers(0, len(honest) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    path.write_bytes(honest[:place] + bytes([honest[place] ^ bit]) + honest[place + 1 :])
    try:
        error = refusal(lambda: current(opened))
    finally:
        path.write_bytes(honest)
    assert codes(error) == ["POLICY_DIGEST_MISMATCH"]
    assert error.reasons[0].artifact == f"policies/{name}"
    assert opened.trust.policies.current().authors


@pytest.mark.parametrize("name", FILES)
def test_policy_without_one_of_its_files_names_the_file(opened: Workspace, name: str) -> None:
    (opened.policies_folder / name).unlink()
    error = refusal(lambda: current(opened))
    assert codes(error) == ["POLICY_DIGEST_MISMATCH"]
    assert error.reasons[0].artifact == f"policies/{name}"


def test_policy_with_a_file_more_names_the_file(opened: Workspace) -> None:
    (opened.policies_folder / "data_access" / "more.rego").write_text("package fraud\n")
    error = refusal(lambda: current(opened))
    assert codes(error) == ["POLICY_DIGEST_MISMATCH"]
    assert error.reasons[0].artifact == "policies/data_access/more.rego"


def test_policy_changed_while_in_use_is_noticed_before_the_next_use(opened: Workspace) -> None:
    opened.trust.policies.current()
    path = opened.policies_folder / "data_access" / "data_access.rego"
    path.write_text(path.read_text().replace("default allow := false", "default allow := true"))
    assert codes(refusal(lambda: current(opened))) == ["POLICY_DIGEST_MISMATCH"]


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []

    def counted(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
        reads.append(folder)
        return read_policies(folder)

    monkeypatch.setattr(policy_module, "read_policies", counted)
    return reads


def test_policy_that_nothing_touched_is_read_once(
    opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_module.files, "_SETTLED_NS", -(10**12))
    engine, reads = opened.trust.policies, _count_reads(monkeypatch)
    first = engine.current()
    assert engine.current() is first
    assert len(reads) == 1
    path = opened.policies_folder / "data" / "thresholds.json"
    facts, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(VerificationError) as caught:
        engine.current()
    assert codes(caught.value) == ["POLICY_DIGEST_MISMATCH"]
    path.write_bytes(content)
    assert engine.current() is first


def test_policy_that_was_just_written_is_read_each_time(
    opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_module.files, "_SETTLED_NS", 10**15)
    engine, reads = opened.trust.policies, _count_reads(monkeypatch)
    for _ in range(2):
        engine.current()
    assert len(reads) == 2


def test_policy_that_changes_while_it_is_read_is_not_kept(
    opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_module.files, "_SETTLED_NS", -(10**12))
    engine = opened.trust.policies
    engine.current()
    path = opened.policies_folder / "data" / "thresholds.json"
    path.touch()

    def slow(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
        found = read_policies(folder)
        path.write_bytes(path.read_bytes() + b" ")
        return found

    monkeypatch.setattr(policy_module, "read_policies", slow)
    engine.current()
    with pytest.raises(VerificationError):
        engine.current()


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_policy_folder_with_anything_but_files_is_refused(opened: Workspace, kind: str) -> None:
    path = opened.policies_folder / "data" / "more.json"
    if kind == "link":
        path.symlink_to(opened.policies_folder / "data" / "layout.json")
    elif kind == "folder link":
        path.symlink_to(opened.policies_folder / "lib")
    else:
        os.mkfifo(path)
    error = refusal(lambda: current(opened))
    assert codes(error) == ["POLICY_DIGEST_MISMATCH"]
    assert error.reasons[0].artifact == "policies/more.json"


def test_policy_folder_with_too_many_files_is_refused(tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / f"{number:03}").touch()
    with pytest.raises(VerificationError, match="more than 500 files"):
        read_policies(tmp_path)


def test_policy_whose_releases_are_gone_is_refused(opened: Workspace) -> None:
    for bundle in (opened.home / "evidence" / "bundles").iterdir():
        bundle.unlink()
    (opened.home / "evidence" / "index.sqlite").unlink()
    assert codes(refusal(lambda: current(opened))) == ["POLICY_ROLLBACK"]


def test_policy_that_nobody_ever_released_is_unsigned(opened: Workspace) -> None:
    elsewhere = Workspace(replace(opened.settings, environment="staging"))
    assert codes(refusal(lambda: current(elsewhere))) == ["POLICY_UNSIGNED"]


def test_policy_whose_release_was_tampered_with_is_refused(opened: Workspace) -> None:
    for bundle in (opened.home / "evidence" / "bundles").iterdir():
        bundle.write_bytes(bundle.read_bytes() + b" ")
    found = codes(refusal(lambda: current(opened)))
    assert (found[0], found[-1]) == ("EVIDENCE_TAMPERED", "POLICY_ROLLBACK")


def test_changed_policy_whose_released_manifest_is_gone_is_refused(opened: Workspace) -> None:
    for manifest in (opened.home / "evidence" / "manifests").iterdir():
        manifest.unlink()
    (opened.policies_folder / "data" / "thresholds.json").write_text("{}")
    assert codes(refusal(lambda: current(opened)))[0] == "EVIDENCE_MISSING"


# --- asking ------------------------------------------------------------------------------------


def ask(workspace: Workspace, document: dict[str, Any], gate: str = "data_access") -> Answer:
    return workspace.trust.policies.ask(gate, document)


def test_ask_with_honest_facts_is_allowed(honest: Chain, opened: Workspace) -> None:
    answer = ask(opened, request(honest))
    assert (answer.allowed, answer.reasons) == (True, ())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"partitions": []}, "PARTITION_MISSING"),
        ({"request": {"purpose": "score"}}, "PURPOSE_NOT_ALLOWED"),
        ({"request": {"step": "score"}}, "IDENTITY_NOT_AUTHORIZED_FOR_STEP"),
        ({"request": {"environment": "moon"}}, "ENVIRONMENT_MISMATCH"),
        ({"request": {"at": "2025-12-31T23:50:00Z"}}, "TIME_SKEW"),
        ({"request": {"at": "2035-12-31T23:59:59Z"}}, "EVIDENCE_TOO_OLD"),
    ],
)
def test_ask_with_one_bad_fact_is_denied_with_code_and_remedy(
    honest: Chain, opened: Workspace, changed: dict[str, Any], code: str
) -> None:
    answer = ask(opened, request(honest, **changed))
    assert not answer.allowed
    assert code in [item.code for item in answer.reasons]
    assert all(item.remedy and item.message for item in answer.reasons)


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:  # noqa: ANN401 - walks any JSON value
        for part in path[:-1]:
            document = document[part]
        del document[path[-1]]

    return change


def put(value: object, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:  # noqa: ANN401 - walks any JSON value
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (drop("partitions"), "INPUT_MISSING"),
        (drop("request", "purpose"), "INPUT_MISSING"),
        (drop("partitions", 0, "signer"), "INPUT_MISSING"),
        (put("3", "partitions", 0, "contracts", 0, "checks"), "INPUT_TYPE"),
        (put(None, "request", "asset"), "INPUT_TYPE"),
        (put(True, "partitions", 0, "verified"), "INPUT_UNVERIFIED_FIELD"),
        (put(True, "verified"), "INPUT_UNVERIFIED_FIELD"),
        (put("short", "partitions", 0, "sha256"), "INPUT_INVALID"),
    ],
)
def test_ask_with_input_off_its_schema_is_refused_before_opa(
    honest: Chain, opened: Workspace, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    document = request(honest)
    change(document)
    assert codes(refusal(lambda: ask(opened, document))) == [code]


def test_ask_of_a_gate_without_schema_is_refused(honest: Chain, opened: Workspace) -> None:
    error = refusal(lambda: ask(opened, request(honest), "no_such_gate"))
    assert codes(error) == ["POLICY_DATA_INVALID"]


def test_policy_documents_are_read_from_the_signed_bytes(opened: Workspace) -> None:
    policy = opened.trust.policies.current()
    expected = json.loads((PROJECT / "policies" / "data" / "thresholds.json").read_text())
    assert policy.data("thresholds") == expected
    assert policy.schema("data_access")["type"] == "object"
    assert "features" in policy.layout.steps


# --- policies that give no answer --------------------------------------------------------------


def released_with(workspace: Workspace, old: str, new: str) -> None:
    """Put rules into force that no trial lets bind, as versions before the trial could."""
    path = workspace.policies_folder / "data_access" / "data_access.rego"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    refused = refusal(lambda: release(workspace, "a mistake"))
    assert set(codes(refused)) <= {
        "CANARY_FAILED", "INPUT_MISSING", "POLICY_EVAL_ERROR", "POLICY_UNDEFINED"
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Releases, "check", lambda *_arguments: None)
        release(workspace, "a mistake")
        workspace.trust.policies.current()  # remembered as in force: it is not tried again


DECISION = 'decision := {"allow": allow, "reasons": reasons}'


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (DECISION.replace("decision", "decisionn", 1), "POLICY_UNDEFINED"),
        (DECISION + " if input.request.no_such_field", "POLICY_UNDEFINED"),
        ("decision := true", "POLICY_UNDEFINED"),
        ('decision := {"allow": true}', "POLICY_UNDEFINED"),
        ('decision := {"allow": true, "reasons": ["because"]}', "POLICY_EVAL_ERROR"),
        ('decision := {"allow": true, "reasons": [{"code": 1}]}', "POLICY_EVAL_ERROR"),
        (
            'decision := {"allow": allow, "reasons": reasons} if '
            'time.parse_rfc3339_ns(input.request.step) > 0',
            "POLICY_EVAL_ERROR",
        ),
        ("decision := {", "POLICY_EVAL_ERROR"),
    ],
    ids=[
        "misspelt", "undefined", "bare true", "no reasons", "reason is text", "reason is half",
        "built-in error", "syntax",
    ],
)  # fmt: skip
def test_ask_of_a_released_policy_that_gives_no_answer_is_refused(
    honest: Chain, opened: Workspace, new: str, code: str
) -> None:
    released_with(opened, DECISION, new)
    error = refusal(lambda: ask(opened, request(honest)))
    assert (codes(error), error.exit_code) == ([code], 1)


@pytest.mark.parametrize("allow", ["false", '"true"', "1", "null", "[true]"])
def test_ask_with_an_allow_that_is_not_exactly_true_is_denied(
    honest: Chain, opened: Workspace, allow: str
) -> None:
    released_with(opened, DECISION, f'decision := {{"allow": {allow}, "reasons": []}}')
    answer = ask(opened, request(honest))
    assert not answer.allowed
    assert [item.code for item in answer.reasons] == ["GATE_DENIED"]


def test_ask_with_allow_and_a_reason_is_denied(honest: Chain, opened: Workspace) -> None:
    reason = '{"code": "X", "message": "m", "remedy": "r", "subject": "s"}'
    released_with(opened, DECISION, f'decision := {{"allow": true, "reasons": [{reason}]}}')
    answer = ask(opened, request(honest))
    assert not answer.allowed
    assert [(item.code, item.artifact) for item in answer.reasons] == [("X", "s")]


def test_denial_names_the_reason_nearest_the_raw_data_first(
    honest: Chain, opened: Workspace
) -> None:
    subjects = ["evaluation", "fraud_model", "training_set/rows", "raw_transactions@2026-01-01"]
    reasons = [{"code": f"C{n}", "message": "m", "remedy": "r", "subject": subject}
               for n, subject in enumerate(subjects)]  # fmt: skip
    released_with(
        opened, DECISION, f'decision := {{"allow": false, "reasons": {json.dumps(reasons)}}}'
    )
    answer = ask(opened, request(honest))
    assert [item.artifact for item in answer.reasons] == subjects[::-1]
    assert [item.distance for item in answer.reasons] == [0, 2, 3, 7]


# --- an engine that is not OPA -----------------------------------------------------------------


def with_opa(workspace: Workspace, opa: Callable[[], Path]) -> PolicyEngine:
    return PolicyEngine(workspace.policies_folder, opa, workspace.releases)


def script(folder: Path, text: str) -> Path:
    path = folder / "opa"
    path.write_text(f"#!{sys.executable} -IS\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "output",
    [
        "", "{}", "true", '{"result": true}', '{"result": []}', "null", "[]", "not json",
        '{"result": [{"expressions": [{"value": true}]}]}',
        '{"result": [{"expressions": [{"value": {}}]}]}',
        '{"result": [{"expressions": [{"value": {"allow": true}}]}]}',
        '{"result": [{"expressions": [{"value": {"allow": true, "reasons": {}}}]}]}',
        "[" * 100_000,
    ],
    ids=lambda output: output[:70] or "nothing",
)  # fmt: skip
def test_engine_that_prints_no_decision_is_undefined(
    honest: Chain, opened: Workspace, tmp_path: Path, output: str
) -> None:
    opa = script(tmp_path, f"print({output!r})")
    engine = with_opa(opened, lambda: opa)
    error = refusal(lambda: engine.ask("data_access", request(honest)))
    assert (codes(error), error.exit_code) == (["POLICY_UNDEFINED"], 1)


@pytest.mark.parametrize(
    ("text", "code", "exit_code"),
    [
        ("import sys; sys.exit(1)", "POLICY_UNDEFINED", 1),
        ("import sys; print('{}'); sys.exit(1)", "POLICY_UNDEFINED", 1),
        ("import sys; sys.exit('rego_type_error')", "POLICY_EVAL_ERROR", 1),
        ("import os; os.kill(os.getpid(), 9)", "POLICY_UNAVAILABLE", 2),
        ("import sys; sys.exit(127)", "POLICY_UNAVAILABLE", 2),
    ],
)
def test_engine_that_fails_is_no_answer_even_with_one_on_its_lips(
    honest: Chain, opened: Workspace, tmp_path: Path, text: str, code: str, exit_code: int
) -> None:
    opa = script(tmp_path, text)
    engine = with_opa(opened, lambda: opa)
    error = refusal(lambda: engine.ask("data_access", request(honest)))
    assert (codes(error), error.exit_code) == ([code], exit_code)


YES = """import json, sys
value = {"decision": {"allow": True, "reasons": []}, "input": json.load(sys.stdin)}
print(json.dumps({"result": [{"expressions": [{"value": value}]}]}))
"""


def test_engine_that_answers_and_fails_is_not_believed(
    honest: Chain, opened: Workspace, tmp_path: Path
) -> None:
    believed = script(tmp_path, YES)
    assert with_opa(opened, lambda: believed).ask("data_access", request(honest)).allowed
    opa = script(tmp_path, f"{YES}\nsys.exit(2)")
    error = refusal(lambda: with_opa(opened, lambda: opa).ask("data_access", request(honest)))
    assert codes(error) == ["POLICY_EVAL_ERROR"]


@pytest.mark.parametrize("echo", ["{}", "None", "[1]", "json.load(sys.stdin) | {'more': 1}"])
def test_engine_that_answers_about_another_input_is_not_believed(
    honest: Chain, opened: Workspace, tmp_path: Path, echo: str
) -> None:
    opa = script(tmp_path, YES.replace("json.load(sys.stdin)", echo))
    error = refusal(lambda: with_opa(opened, lambda: opa).ask("data_access", request(honest)))
    assert codes(error) == ["DECISION_INPUT_MISMATCH"]


@pytest.mark.parametrize("change", ["edit", "add", "remove"])
def test_policy_copy_that_was_changed_after_it_was_verified_does_not_decide(
    honest: Chain, opened: Workspace, change: str
) -> None:
    policy = current(opened)
    rules = policy.folder / "data_access" / "data_access.rego"
    if change == "edit":
        rules.write_text(rules.read_text().replace("allow := false", "allow := true"))
    elif change == "add":
        (policy.folder / "data_access" / "more.rego").write_text("package fraud.data_access\n")
    else:
        rules.unlink()
    error = refusal(lambda: ask(opened, request(honest)))
    assert codes(error) == ["POLICY_REVISION_MISMATCH"]


def test_engine_that_never_answers_is_unavailable(
    honest: Chain, opened: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_module, "_OPA_DEADLINE_S", 0.3)
    opa = script(tmp_path, "import time; time.sleep(30)")
    error = refusal(lambda: with_opa(opened, lambda: opa).ask("data_access", request(honest)))
    assert codes(error) == ["POLICY_UNAVAILABLE"]


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable", "empty", "never built"])
def test_engine_that_cannot_be_run_is_unavailable(
    honest: Chain,
    opened: Workspace,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "opa"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("#!/bin/sh\n")
    elif kind == "empty":
        path.touch(mode=stat.S_IRWXU)
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path / "no tools"))
    opa: Callable[[], Path] = (lambda: tool("opa")) if kind == "never built" else (lambda: path)
    error = refusal(lambda: with_opa(opened, opa).ask("data_access", request(honest)))
    assert isinstance(error, BackendError)
    assert codes(error) == ["POLICY_UNAVAILABLE"]


def test_engine_sees_nothing_of_the_environment(
    honest: Chain, opened: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPA_SECRET", "x")
    text = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(' '.join(sorted(os.environ)))"
    opa = script(tmp_path, text)
    refusal(lambda: with_opa(opened, lambda: opa).ask("data_access", request(honest)))
    assert set((tmp_path / "seen").read_text().split()) <= {"HOME", "PATH", "LC_CTYPE"}


def test_policy_folder_of_a_process_goes_with_it(opened: Workspace) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from fraud_provenance.attested.gates.policy import *\n"
        "print(Policy(*read_policies(Path(sys.argv[1]))).folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(opened.policies_folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not Path(done.stdout.strip()).exists()


# --- the rules against their schemas -----------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("wrong if not input.revokd", "INPUT_MISSING"),
        ("wrong if not input.request.idntity", "INPUT_MISSING"),
        ("wrong if unknown_function(1)", "POLICY_EVAL_ERROR"),
    ],
)
def test_rule_that_does_not_fit_the_schemas_is_refused(
    opened: Workspace, rule: str, code: str
) -> None:
    released_with(opened, DECISION, f"{DECISION}\n\n{rule}\n")
    policies = opened.trust.policies
    error = refusal(lambda: policies.check_rules(policies.current()))
    assert codes(error) == [code]
    assert "data_access/data_access.rego" in error.reasons[0].message


def test_rules_in_force_fit_their_schemas(opened: Workspace) -> None:
    opened.trust.policies.check_rules(opened.trust.policies.current())
