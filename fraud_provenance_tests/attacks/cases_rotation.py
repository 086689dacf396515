"""OK-03, OK-13: keys and witnesses change in the way they are meant to, and everything goes on."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fraud_provenance.evidence import encoding
from fraud_provenance.evidence.notes import log_keys
from fraud_provenance.evidence.witness import LocalWitness, create_local_witness
from fraud_provenance.governing import FOUNDERS
from fraud_provenance.local import trust_root
from fraud_provenance_tests.attacks.home import Home, Said
from fraud_provenance_tests.attacks.judges import outcome
from fraud_provenance_tests.attacks.model import Case, Excused, Outcome
from fraud_provenance_tests.attacks.network import HOST, free_port
from fraud_provenance_tests.evidence.simulated_witness import served, speaking

_OVERLAP = timedelta(minutes=2)  # the release itself is signed under the old keys


def release(home: Home) -> None:
    """Both policy authors sign the trust root as it is now."""
    for email in FOUNDERS:
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
    Case("OK-13", two_of_three_witnesses, goes_on),
]

EXCUSED = [
    Excused(
        "OK-09",
        "what is newest is told by the index in one log, and a second log counts from 0 again; "
        "verifier and audit read several logs, the order of evidence does not span them yet",
    ),
]
