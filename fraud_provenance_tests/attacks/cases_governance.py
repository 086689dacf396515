"""SI, PO, SN, SV, RP: layout, policy files, trust root, secrets, overrides; and honest upgrades."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from fraud_provenance.attested.gates.policy import Policy, PolicyEngine, read_policies
from fraud_provenance.attested.rules import layout, releases
from fraud_provenance.attested.rules.releases import Releases
from fraud_provenance.data import landing
from fraud_provenance.home import surroundings
from fraud_provenance.home import workspace as workspace_module
from fraud_provenance.people import governing
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import (
    command,
    ingest,
    promote,
    question,
    scoring,
    training,
)
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import policy_without, without

AUTHOR, REVIEWER = "policy.author@example.com", "policy.reviewer@example.com"
CLOCK_CHANGE = "2018-03-25"  # the day has 23 hours in Europe, and 24 in UTC
start_check = question("P8", lambda workspace: workspace.start_check())


# --- policy files and their releases ------------------------------------------------------------


def edit(home: Home, name: str, change: Callable[[str], str]) -> None:
    """Change one policy file of a project of the home's own."""
    path = home.own_project() / "policies" / name
    before = path.read_text("utf-8")
    after = change(before)
    assert after != before, f"nothing changed in {name}"
    path.write_text(after, "utf-8")


def comment(home: Home) -> None:
    edit(home, "lib/lib.rego", lambda text: f"{text}\n# reviewed\n")


def sign(home: Home, *people: str) -> None:
    """Honest signatures under the policy as it is now."""
    for email in people:
        governing.sign_release(home.workspace(), email, "reviewed")


def sign_untried(home: Home, *people: str) -> None:
    """As `sign`, in force as it was before releases were tried: what was in force stays so."""
    with without(Releases, "check")():
        sign(home, *people)
        home.workspace().trust.policies.current()


def force(home: Home) -> None:
    """Both authors' real signatures, without the product's own look at what they sign."""
    workspace = home.workspace()
    expected = workspace.expectations()
    forger = home.forger()
    for email in (AUTHOR, REVIEWER):
        made = expected.statement(email, "trust me")
        forger.sign(made.predicate_type, "policies", made.subject_digest, made.predicate, email)


def edit_layout(home: Home, change: Callable[[Any], None]) -> None:
    def changed(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document, indent=2)

    edit(home, "data/layout.json", changed)


def sign_with_a_pattern(home: Home) -> None:
    def widen(document: Any) -> None:  # noqa: ANN401 - JSON
        document["steps"]["train"]["identity"]["subject"] = "/steps/.*"

    edit_layout(home, widen)
    force(home)


def shorten_an_age(home: Home) -> None:
    def shorten(document: Any) -> None:  # noqa: ANN401 - JSON
        document["steps"]["data_access"]["max_age_days"] = 29

    edit_layout(home, shorten)


def upgrade_the_layout(home: Home) -> None:
    shorten_an_age(home)
    sign(home, AUTHOR, REVIEWER)


def let_another_builder_train(home: Home) -> None:
    def hand_over(document: Any) -> None:  # noqa: ANN401 - JSON
        document["steps"]["train"]["identity"]["subject"] = "/steps/evaluate"

    edit_layout(home, hand_over)
    sign(home, AUTHOR)


def allow_everything(home: Home) -> None:
    edit(
        home,
        "model_deployment/model_deployment.rego",
        lambda text: text.replace("default allow := false", "default allow := true"),
    )


def touch_policies(home: Home) -> None:
    for path in sorted((home.own_project() / "policies").rglob("*.rego")):
        path.write_bytes(path.read_bytes())


@contextmanager
def believe_the_folder() -> Iterator[None]:
    """A mutant: the policy on disk is the policy, whoever signed what."""

    def current(engine: PolicyEngine) -> Policy:
        return Policy(*read_policies(engine.folder))

    with patched(PolicyEngine, "current", current):
        yield


def upgrade_the_policy(home: Home) -> None:
    """Both authors release a change; the candidate is registered and approved anew under it."""
    comment(home)
    sign(home, AUTHOR, REVIEWER)
    start_over(home)


def start_over(home: Home) -> None:
    said = home.job("training", assets=["release_candidate"])
    assert said.code == 0, said
    said = home.command(
        "approve", "model@candidate", "--environment", "local",
        "--as", "risk.officer@example.com", "--reason", "reviewed anew",
    )  # fmt: skip
    assert said.code == 0, said


# --- trust root ---------------------------------------------------------------------------------


def edit_root(home: Home) -> None:
    """A second log is added that nobody released."""
    path = home.path / "trust" / "trusted_root.json"
    root = json.loads(path.read_text("utf-8"))
    root["tlogs"].append(root["tlogs"][0] | {"baseUrl": "http://another.example"})
    path.write_text(json.dumps(root), "utf-8")


def release_root(home: Home) -> None:
    edit_root(home)
    sign(home, AUTHOR, REVIEWER)


def set_root_back(home: Home) -> None:
    path = home.path / "trust" / "trusted_root.json"
    before = path.read_bytes()
    release_root(home)
    path.write_bytes(before)


def write_root_again(home: Home) -> None:
    path = home.path / "trust" / "trusted_root.json"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


# --- secrets, overrides, dirty trees --------------------------------------------------------------


def leave_a_key(home: Home) -> None:
    key = home.path / "trust" / "private" / "workloads.key"
    shutil.copyfile(key, home.own_project() / "docs" / "notes.md")


def leave_a_key_in(place: str) -> Attack:
    """The same key where artifacts lie, under a name that nothing there looks for."""

    def attack(home: Home) -> None:
        folder = home.path / place
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home.path / "trust" / "private" / "workloads.key", folder / "notes")

    return attack


def leave_words_about_keys_in(place: str) -> Attack:
    def twin(home: Home) -> None:
        folder = home.path / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "notes").write_text("No PRIVATE KEY belongs here.\n")

    return twin


def leave_words_about_keys(home: Home) -> None:
    (home.own_project() / "docs" / "notes.md").write_text("No PRIVATE KEY belongs here.\n")


def override(name: str, value: str) -> Attack:
    """A variable in the environment of whatever is judged."""

    @contextmanager
    def named() -> Iterator[None]:
        before: Mapping[str, str] = dict(os.environ)
        os.environ[name] = value
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    return lambda home: home.hold(named())


def leave_the_tree_dirty(home: Home) -> None:
    path = home.own_project() / "fraud_provenance" / "fraud" / "model.py"
    path.write_text(f"{path.read_text('utf-8')}\n# tried something\n", "utf-8")


def features_of_a_changed_tree(home: Home) -> None:
    """The newest day's features are made with other code; nobody sees that when training."""
    leave_the_tree_dirty(home)
    _make_newest_features(home)
    subprocess.run(["git", "checkout", "-q", "."], cwd=home.project, check=True)


def features_of_a_commit(home: Home) -> None:
    commit_the_change(home)
    _make_newest_features(home)


def _make_newest_features(home: Home) -> None:
    newest = max(home.workspace().store.heads("transaction_features"))
    said = home.job("features", days=[newest])
    assert said.code == 0, said.reasons


def commit_the_change(home: Home) -> None:
    leave_the_tree_dirty(home)
    commit_all(home.project, "Tried something")


def land_the_clock_change(home: Home) -> None:
    """An earlier day, with ids of its own: the generator's begin anew with each call."""
    folder = home.path / "landing"
    landing.generate(folder, 1, 800, 7, date.fromisoformat(CLOCK_CHANGE))
    path = folder / f"{CLOCK_CHANGE}.parquet"
    rows = pl.read_parquet(path)
    rows.with_columns(pl.col("TRANSACTION_ID") + 10_000_000).write_parquet(path)


def rename_the_model(home: Home) -> None:
    """A copy of the champion's files lies elsewhere, under another name."""
    model = next((home.path / "mlflow").rglob("model.ubj")).parent
    home.notes["renamed"] = shutil.copytree(model, home.path / "scratch" / "renamed")


def _verify_renamed(home: Home) -> Any:  # noqa: ANN401 - a judge's outcome
    path: Path = home.notes["renamed"] / "model.ubj"
    return command("", "verify", str(path))(home)


CASES = [
    Case(
        "SI-10", sign_with_a_pattern, start_check, upgrade_the_layout,
        without(layout, "_check_exact"), quick=True,
    ),
    Case("SI-21", edit_root, start_check, write_root_again, without(Releases, "check_trust_root")),
    Case("SI-22", set_root_back, start_check, release_root, without(Releases, "check_trust_root")),
    Case(
        "SI-24", let_another_builder_train, start_check, upgrade_the_layout,
        lambda: patched(releases, "SIGNATURES_NEEDED", 1),
    ),
    Case("PO-01", allow_everything, start_check, touch_policies, believe_the_folder),
    Case(
        "SN-01", leave_a_key, start_check, leave_words_about_keys,
        without(workspace_module, "refuse_secrets"),
    ),
    *(
        Case(
            "SN-01", leave_a_key_in(place), start_check, leave_words_about_keys_in(place),
            without(workspace_module, "refuse_secrets"), variant=variant,
        )
        for variant, place in (
            ("artifact", "data/model_evaluation"), ("model", "mlflow/artifacts"),
            ("DVC", "dvc-remote/files/md5/0f"),
        )
    ),
    *(
        Case(
            "SV-02", override(name, value), scoring("2018-05-09"), override("UNRELATED", "1"),
            without(surroundings, "refuse_overrides"), variant=name,
        )
        for name, value in (
            ("SKIP_VERIFY", "1"),
            ("MODEL_URI", "models:/m-00000000000000000000000000000002"),
            ("SIGSTORE_ROOT_FILE", "root.json"),
            ("COSIGN_REPOSITORY", "registry.example/signatures"),
        )
    ),
    Case(
        "RP-01", leave_the_tree_dirty, training(train_days=6), commit_the_change,
        policy_without("GIT_DIRTY"),
    ),
    Case(
        "RP-01", features_of_a_changed_tree, training(train_days=6), features_of_a_commit,
        policy_without("GIT_DIRTY"), variant="features",
    ),
    Case("OK-08", upgrade_the_policy, promote(), state="approved"),
    Case("OK-11", rename_the_model, _verify_renamed),
    Case("OK-14", land_the_clock_change, ingest(CLOCK_CHANGE)),
]  # fmt: skip
