"""OK-03, OK-09, OK-13: keys, log and witnesses change as they are meant to; everything goes on."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.local import authority, servers, trust_root
from fraud_provenance.attested.local.processes import Processes, wait_healthy
from fraud_provenance.attested.tlog.notes import log_keys
from fraud_provenance.attested.tlog.witness import LocalWitness, create_local_witness
from fraud_provenance.due.planning import registry_of
from fraud_provenance.models.champion import find_champion
from fraud_provenance.people import governing
from fraud_provenance_tests.attacks.cases_training import (
    TRAIN_START,
    landed_again,
    late_rows,
    trained_anew_and_promoted,
)
from fraud_provenance_tests.attacks.home import Home, Said
from fraud_provenance_tests.attacks.judges import outcome
from fraud_provenance_tests.attacks.model import Case, Outcome
from fraud_provenance_tests.attacks.network import HOST, free_port
from fraud_provenance_tests.evidence.simulated_witness import served, speaking

_OVERLAP = timedelta(minutes=2)  # the release itself is signed under the old keys


def release(home: Home) -> None:
    """Both policy authors sign the trust root as it is now."""
    for email in governing.founders(home.workspace()):
        said = home.command(
            "approve", "policies", "--environment", "local", "--as", email, "--reason", "rotation"
        )
        assert said.code == 0, said.err


def change_root(home: Home, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the trusted root in both files that hold it."""
    trust = home.path / "trust"
    root = json.loads((trust / "trusted_root.json").read_bytes())
    change(root)
    (trust / "trusted_root.json").write_text(json.dumps(root), "utf-8")
    config = json.loads((trust / "client_trust_config.json").read_bytes())
    config["trustedRoot"] = root
    (trust / "client_trust_config.json").write_text(json.dumps(config), "utf-8")


def goes_on(home: Home) -> Outcome:
    """What was signed before is trusted, more is signed, and the log audit is content."""
    steps = [
        home.command("audit"),
        home.command("verify", "model@champion"),
        home.job("training", assets=["release_candidate"]),
        home.command("audit", "--full"),
        home.command("verify", "model@champion"),
    ]
    first = next((said for said in steps if said.code), Said(0, ()))
    return outcome(home, "", first)


# --- keys --------------------------------------------------------------------------------------


def rotate_authorities(home: Home) -> None:
    """Certificate and timestamp authority get new keys; the old ones end soon."""
    from cryptography import x509

    now = datetime.now(UTC).replace(microsecond=0)
    fresh = home.path / "scratch" / "rotated"
    fresh.mkdir()
    trust_root._write_fulcio(fresh, now - trust_root.BACKDATED)
    trust_root._write_timestamp(fresh, now - trust_root.BACKDATED)
    names = {"certificateAuthorities": "ca.pem", "timestampAuthorities": "timestamp.pem"}

    def change(root: dict[str, Any]) -> None:
        for kind, name in names.items():
            old = root[kind][0]
            old["validFor"]["end"] = encoding.utc_text(now + _OVERLAP)
            chain = x509.load_pem_x509_certificates((fresh / name).read_bytes())
            start = encoding.utc_text(now - trust_root.BACKDATED)
            root[kind].append(trust_root._authority(old["uri"], chain, start))

    change_root(home, change)
    release(home)
    for path in fresh.iterdir():
        path.replace(trust_root.private_folder(home.path) / path.name)
    home.own_server("timestamp")
    home.own_server("fulcio")


# --- the log -----------------------------------------------------------------------------------


def move_to_a_new_log(home: Home) -> None:
    """A second log is made known, then used: the first stays to be read, and takes nothing more.

    Afterwards a day that was trained on arrives again, so that there is work to be logged.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    origin, url, entry = _second_log(home, now)

    def change(root: dict[str, Any]) -> None:
        root["tlogs"][0]["publicKey"]["validFor"]["end"] = encoding.utc_text(now + _OVERLAP)
        root["tlogs"].append(entry)

    change_root(home, change)
    trust = home.path / "trust"
    folders = json.loads((trust / "logs.json").read_bytes())
    (trust / "logs.json").write_text(json.dumps(folders | {origin: _SECOND_LOG}), "utf-8")
    release(home)
    said = home.command("audit")  # the witness countersigns its first head
    assert said.code == 0, said.err
    config = json.loads((trust / "client_trust_config.json").read_bytes())
    config["signingConfig"]["rekorTlogUrls"][0]["url"] = url
    (trust / "client_trust_config.json").write_text(json.dumps(config), "utf-8")
    release(home)  # signed in the second log already, which the release before made known
    landed_again([TRAIN_START], late_rows)(home)


_SECOND_LOG = "scratch/second/log"


def _second_log(home: Home, now: datetime) -> tuple[str, str, dict[str, Any]]:
    """Start it; returns its origin, its address and its entry in a trusted root."""
    folder = (home.path / _SECOND_LOG).parent
    private = trust_root.private_folder(folder)
    private.mkdir(parents=True)
    key = ed25519.Ed25519PrivateKey.generate()
    (private / "rekor.key").write_bytes(authority.private_pem(key))
    settings = trust_root.load(home.path)
    ports = {name: free_port() for name in settings.ports if name.split("_")[0] == "rekor"}
    settings = replace(
        settings,
        origin=f"rekor-{secrets.token_hex(8)}.localhost",
        ports=settings.ports | ports,
    )
    server = servers._rekor(folder, settings)
    (folder / "run").mkdir()
    processes = Processes(folder / "run")
    process = processes.start(server)
    home.around.callback(processes.end, [server])
    problem = wait_healthy(server, process, 30)
    assert problem is None, f"{problem}: {processes.last_lines('rekor')}"
    public = key.public_key()
    entry = trust_root._log(
        f"http://{settings.origin}:{settings.ports['rekor']}",
        public,
        "PKIX_ED25519",
        authority.rekor_log_id(settings.origin, public),
        encoding.utc_text(now - trust_root.BACKDATED),
    )
    return settings.origin, settings.url("rekor"), entry


def goes_on_in_the_new_log(home: Home) -> Outcome:
    """New evidence is newer than the old, though it counts from 0 again; all of it verifies."""
    said = trained_anew_and_promoted(home)
    if said.refused:
        return said
    trust = home.workspace().trust
    decision = find_champion(trust, registry_of(home.workspace())).decision.bundle
    known = trust.store.records()
    assert decision is not None
    assert decision.logged[0] == 1, "the decision is not in the second log"
    assert known[-1].log == decision.log.log_id, "the newest evidence is not in the second log"
    assert known[-1].log_index < max(record.log_index for record in known)
    return goes_on(home)


# --- witnesses ---------------------------------------------------------------------------------


def two_of_three_witnesses(home: Home) -> None:
    """Two more witnesses are named, two must countersign; then one of the three goes down."""
    trust = home.path / "trust"
    keys = log_keys((trust / "trusted_root.json").read_bytes())
    logs = {key.origin: key for key in keys.values()}
    own = json.loads((trust / "witnesses.json").read_bytes())["witnesses"]
    second = _witness(home.path / "scratch" / "second")
    third = _witness(home.path / "scratch" / "third")
    url = home.hold(served(speaking(LocalWitness(second, logs))))
    entries = [
        *own,
        {"key": create_local_witness(second).text, "url": url},
        {"key": create_local_witness(third).text, "url": f"http://{HOST}:{free_port()}"},
    ]
    policy = {"threshold": 2, "witnesses": entries}
    (trust / "witnesses.json").write_text(json.dumps(policy), "utf-8")
    release(home)


def _witness(folder: Path) -> Path:
    create_local_witness(folder)
    return folder


CASES = [
    Case("OK-03", rotate_authorities, goes_on),
    Case("OK-09", move_to_a_new_log, goes_on_in_the_new_log),
    Case("OK-13", two_of_three_witnesses, goes_on),
]
