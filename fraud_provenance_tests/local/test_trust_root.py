"""The trust root appears at once, is never replaced, and its public half is repaired."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sigstore.models import ClientTrustConfig, TrustedRoot

from fraud_provenance.attested.core.errors import ConfigError, VerificationError
from fraud_provenance.attested.local import LocalSigstore, trust_root

PUBLIC = (
    "client_trust_config.json",
    "trusted_root.json",
    "signing_config.json",
    "issuers.json",
    "fulcio_identities.yaml",
    "issuers/people/keys",
    "issuers/workloads/.well-known/openid-configuration",
)


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_ensure_on_an_empty_home_keeps_private_files_to_their_owner(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)

    private = trust_root.private_folder(tmp_path)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}
    public = [path for path in (tmp_path / "trust").rglob("*") if private not in path.parents]
    assert not any(b"PRIVATE" in path.read_bytes() for path in public if path.is_file())


def test_ensure_on_an_empty_home_writes_what_sigstore_reads(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)

    config = (tmp_path / "trust" / "client_trust_config.json").read_text()
    root = TrustedRoot.from_file(str(tmp_path / "trust" / "trusted_root.json"))
    assert len(ClientTrustConfig.from_json(config).signing_config.get_tlogs()) == 1
    assert len(root.get_fulcio_certs()) == 1
    assert len(root.get_timestamp_authorities()) == 1


def test_ensure_again_changes_nothing(tmp_path: Path) -> None:
    first = trust_root.ensure(tmp_path)
    before = _bytes(tmp_path / "trust")

    assert trust_root.ensure(tmp_path) == first
    assert _bytes(tmp_path / "trust") == before


@pytest.mark.parametrize("name", PUBLIC)
def test_ensure_after_a_kill_while_publishing_writes_the_same_public_file(
    tmp_path: Path, name: str
) -> None:
    trust_root.ensure(tmp_path)
    before = _bytes(tmp_path / "trust")
    (tmp_path / "trust" / name).unlink()

    trust_root.ensure(tmp_path)

    assert _bytes(tmp_path / "trust") == before


def test_ensure_after_a_kill_while_creating_starts_over_without_leftovers(tmp_path: Path) -> None:
    half = tmp_path / "trust" / ".private.0123456789ab"
    half.mkdir(parents=True)
    (half / "ca.key").write_bytes(b"half")

    trust_root.ensure(tmp_path)

    assert not half.exists()
    assert trust_root.load(tmp_path).origin.startswith("rekor-")


def test_ensure_with_a_log_but_without_keys_refuses_to_make_new_keys(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)
    shutil.rmtree(trust_root.private_folder(tmp_path))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_text("rekor\n1\n")

    with pytest.raises(ConfigError, match=r"ROOT_DIGEST_MISMATCH.*log/ has entries"):
        trust_root.ensure(tmp_path)

    assert not trust_root.exists(tmp_path)


def test_ensure_with_loosened_permissions_tightens_them(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)
    key = trust_root.private_folder(tmp_path) / "rekor.key"
    key.chmod(0o644)

    trust_root.ensure(tmp_path)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_load_without_a_trust_root_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HOME_MISSING") as raised:
        trust_root.load(tmp_path)
    assert "up" in raised.value.reasons[0].remedy


def test_load_with_damaged_settings_is_an_error_that_says_so(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)
    (trust_root.private_folder(tmp_path) / "settings.json").write_text("{}")

    with pytest.raises(ConfigError, match=r"damaged: settings\.json"):
        trust_root.load(tmp_path)


def test_two_homes_share_no_key_no_port_and_no_origin(tmp_path: Path) -> None:
    one, other = trust_root.ensure(tmp_path / "a"), trust_root.ensure(tmp_path / "b")

    assert one.origin != other.origin
    assert not set(one.ports.values()) & set(other.ports.values())
    for name in ("ca.key", "ct.key", "rekor.key", "timestamp.key", "workloads.key", "people.key"):
        first, second = (trust_root.private_folder(tmp_path / home) / name for home in "ab")
        assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("name", ["rekor.key", "ct.key", "people.key", "ca.pem", "timestamp.pem"])
def test_ensure_with_a_damaged_private_file_says_so(tmp_path: Path, name: str) -> None:
    trust_root.ensure(tmp_path)
    (trust_root.private_folder(tmp_path) / name).write_text("-----BEGIN")

    told = r"ROOT_DIGEST_MISMATCH: trust/private/ is damaged"
    with pytest.raises(ConfigError, match=told) as why:
        trust_root.ensure(tmp_path)
    assert why.value.reasons[0].remedy == trust_root.RESTORE


def open_file(home: Path) -> None:
    (trust_root.private_folder(home) / "people.key").chmod(0o640)


def open_password(home: Path) -> None:
    (trust_root.private_folder(home) / "fulcio.json").chmod(0o604)


def open_folder(home: Path) -> None:
    trust_root.private_folder(home).chmod(0o750)


def open_witness(home: Path) -> None:
    (home / "witness" / "witness.key").chmod(0o604)


def linked_key(home: Path) -> None:
    key = trust_root.private_folder(home) / "people.key"
    key.symlink_to(key.rename(home / "people.key"))


@pytest.mark.parametrize(
    "change", [open_file, open_password, open_folder, open_witness, linked_key]
)
def test_key_that_is_not_its_owners_alone_is_refused(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    trust_root.ensure(tmp_path)
    trust_root.check_private(tmp_path, "local")
    change(tmp_path)
    with pytest.raises(VerificationError, match="TMP_PERMS"):
        trust_root.check_private(tmp_path, "local")


def test_keys_of_authorities_are_within_reach_in_a_local_home_only(tmp_path: Path) -> None:
    trust_root.check_private(tmp_path, "production")
    trust_root.ensure(tmp_path)
    with pytest.raises(VerificationError, match=r"TMP_PERMS.*within reach in production"):
        trust_root.check_private(tmp_path, "production")
    shutil.rmtree(trust_root.private_folder(tmp_path))
    shutil.rmtree(tmp_path / "witness")
    trust_root.check_private(tmp_path, "production")


def test_home_without_keys_has_no_secret_to_remember_by(tmp_path: Path) -> None:
    local = LocalSigstore(tmp_path)
    assert local.authority_key() is None
    trust_root.ensure(tmp_path)
    known = local.authority_key()
    assert known is not None
    private = trust_root.private_folder(tmp_path)
    assert (private / "fulcio.json").exists()
    for path in private.glob("*.key"):
        path.unlink()
    assert local.authority_key() is None


def test_home_with_public_files_alone_signs_by_a_sigstore_elsewhere(tmp_path: Path) -> None:
    """What is missing of them is named; keys, and a log that lost them, are no such home."""
    trust = tmp_path / "trust"
    assert not trust_root.is_given(tmp_path)
    trust.mkdir()
    (trust / trust_root.PUBLIC[0]).write_text("{}")
    assert trust_root.is_given(tmp_path)
    assert trust_root.lacking(tmp_path) == list(trust_root.PUBLIC[1:])
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_text("a log of its own")
    assert not trust_root.is_given(tmp_path)
    (tmp_path / "log" / "checkpoint").unlink()
    trust_root.private_folder(tmp_path).mkdir()
    assert not trust_root.is_given(tmp_path)
