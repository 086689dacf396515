"""The tools' folder follows the pins, by the same rule in Python and in the shell."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance.attested.local import tools

_BUILD = Path(__file__).resolve().parents[2] / "tools" / "build.sh"


def test_tools_dir_without_environment_is_where_the_build_script_builds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FRAUD_PROVENANCE_TOOLS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    printed = subprocess.run(["sh", _BUILD, "--dir"], check=True, capture_output=True, text=True)

    assert Path(printed.stdout.strip()) == tools.tools_dir()
    assert tools.tools_dir().is_relative_to(tmp_path)


def test_tool_not_built_is_an_error_that_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path))

    with pytest.raises(ConfigError, match="make tools") as raised:
        tools.tool("fulcio")

    assert raised.value.reasons[0].code == "TOOL_UNAVAILABLE"
    assert "make tools" in raised.value.reasons[0].remedy


def test_tool_without_execute_permission_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path))
    (tmp_path / "opa").write_bytes(b"x")

    with pytest.raises(ConfigError, match="opa is not in"):
        tools.tool("opa")


def test_tool_digest_of_a_replaced_binary_is_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path))
    binary = tmp_path / "opa"
    for content in (b"one", b"three"):
        binary.write_bytes(content)
        binary.chmod(0o755)
        assert tools.tool_digest("opa") == hashlib.sha256(content).hexdigest()
