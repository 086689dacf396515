"""Compiled files that hold other code than their source, however Python takes them for current."""

import importlib.util
import json
import marshal
import os
import py_compile
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors import compiled

HONEST, LIE = (
    "def answer():\n    return {'a', 'b'}, 1.5\n",
    "def answer():\n    return 'lies', 66\n",
)
MODES = list(py_compile.PycInvalidationMode)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(HONEST, "utf-8")
    return path


def kept(source: Path, tag: str = "") -> Path:
    return Path(importlib.util.cache_from_source(str(source), optimization=tag))


def write(source: Path, mode: py_compile.PycInvalidationMode, optimise: int = 0) -> Path:
    return Path(str(py_compile.compile(str(source), invalidation_mode=mode, optimize=optimise)))


def lie(source: Path, path: Path) -> None:
    """Other code behind the header that Python goes by."""
    content = path.read_bytes()
    code = marshal.dumps(compile(LIE, str(source), "exec"))
    path.write_bytes(content[:16] + code)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("optimise", [0, 1, 2])
def test_compiled_file_is_what_its_source_compiles_to(
    source: Path, mode: py_compile.PycInvalidationMode, optimise: int
) -> None:
    path = write(source, mode, optimise)
    assert compiled.lying([source]) == []
    lie(source, path)
    assert compiled.lying([source]) == [path]


def test_compiled_file_of_an_older_source_is_no_lie(source: Path) -> None:
    """Python does not use it, and every change of a source leaves one."""
    lie(source, write(source, MODES[0]))
    os.utime(source, (1, 1))
    assert compiled.lying([source]) == []


def test_compiled_file_that_is_never_compared_by_python_must_hold_its_source(source: Path) -> None:
    path = write(source, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    source.write_text(LIE, "utf-8")
    assert compiled.lying([source]) == [path]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:20],
        lambda content: content[:16] + marshal.dumps("text"),
        lambda content: content[:16] + b"garbage",
        lambda content: content[:16],
    ],
)
def test_compiled_file_that_is_no_code_is_a_lie(
    source: Path, change: Callable[[bytes], bytes]
) -> None:
    path = write(source, MODES[0])
    path.write_bytes(change(path.read_bytes()))
    assert compiled.lying([source]) == [path]


@pytest.mark.parametrize("content", [b"", b"\0" * 200])
def test_file_that_no_python_of_this_version_reads_is_no_lie(source: Path, content: bytes) -> None:
    path = write(source, MODES[0])
    path.write_bytes(content)
    assert compiled.lying([source]) == []


def test_code_object_of_another_line_table_or_handler_is_a_lie(source: Path) -> None:
    path = write(source, MODES[0])
    content = path.read_bytes()
    code = marshal.loads(content[16:])  # noqa: S302 - written above
    for other in (code.replace(co_exceptiontable=b"\1\1\1\1"), code.replace(co_flags=1)):
        path.write_bytes(content[:16] + marshal.dumps(other))
        assert compiled.lying([source]) == [path]


def test_compiled_file_behind_a_link_is_read(source: Path) -> None:
    path = write(source, MODES[0])
    lie(source, path)
    target = path.rename(path.with_name("target"))
    path.symlink_to(target)
    assert compiled.lying([source]) == [path]


def test_compiled_file_in_a_folder_of_its_own_is_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "elsewhere"))
    path = write(source, MODES[0])
    assert "elsewhere" in path.parts
    lie(source, path)
    assert compiled.lying([source]) == [path]


def test_outcome_is_remembered_by_the_bytes(source: Path, tmp_path: Path) -> None:
    path, cache = write(source, MODES[0]), tmp_path / "cache.json"
    assert compiled.lying([source], cache) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_holds", None)
        assert compiled.lying([source], cache) == []
    facts = path.stat()
    lie(source, path)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert compiled.lying([source], cache) == [path]
    cache.write_text("{}")
    assert compiled.lying([source], cache) == [path]


def test_header_is_as_python_writes_it(source: Path) -> None:
    path = write(source, MODES[0])
    flags, modified, size = struct.unpack("<4xIII", path.read_bytes()[:16])
    assert (flags, modified, size) == (0, int(source.stat().st_mtime), len(HONEST))


def test_two_checkouts_share_the_cache_and_it_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.json"
    sources = []
    for name in ("a", "b", "c"):
        folder = tmp_path / name
        folder.mkdir()
        sources.append(folder / "module.py")
        sources[-1].write_text(HONEST, "utf-8")
        write(sources[-1], MODES[0])
    for source in sources[:2]:
        assert compiled.lying([source], cache) == []
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_holds", lambda *_: pytest.fail("it was compared before"))
        for source in sources[:2]:
            assert compiled.lying([source], cache) == []
    monkeypatch.setattr(compiled, "_REMEMBERED", 2)
    assert compiled.lying([sources[2]], cache) == []
    assert len(json.loads(cache.read_text("utf-8"))) == 1
