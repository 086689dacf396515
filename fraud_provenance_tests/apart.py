"""A host of its own on this machine: a network with nothing but a loopback, and private folders.

`apart` runs a command in namespaces of its own. What listens on this machine's loopback is reached
from there through sockets in one folder, by the ports that a bridge names; the bridge can be cut.
As a script, this is what runs inside.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

HOST = "127.0.0.1"
_CHUNK = 1 << 16
_UNSHARE = ("unshare", "--net", "--mount", "--propagation", "private")
_OUTSIDE = 3  # seconds for a server to be connected to


@cache
def is_possible() -> bool:
    """Whether this machine lets us make such namespaces."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    script = "ip link set lo up && mount -t tmpfs tmpfs /mnt"
    done = subprocess.run([*_UNSHARE, "sh", "-c", script], check=False, capture_output=True)
    return done.returncode == 0


def apart(bridge: Path, hidden: Sequence[Path], command: Sequence[str]) -> list[str]:
    """The command line that runs `command` there; of the folders in `hidden` it sees nothing."""
    return [
        *_UNSHARE, sys.executable, "-m", "fraud_provenance_tests.apart",
        str(bridge), *map(str, hidden), "--", *command,
    ]  # fmt: skip


class Bridge:
    """The way from such hosts to ports of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False

    def add(self, port: int) -> None:
        """Let hosts come to a port."""
        path = self.folder / str(port)
        if not path.exists():
            self._do(asyncio.start_unix_server(partial(self._join, port), path))

    def cut(self) -> None:
        """End what is connected, and let nothing through."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(lambda: [writer.close() for writer in self._open])

    def mend(self) -> None:
        """Let everything through again."""
        self._is_cut = False

    async def _join(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_cut:
            writer.close()
            return
        try:
            there = await asyncio.wait_for(asyncio.open_connection(HOST, port), _OUTSIDE)
        except OSError:
            writer.close()
            return
        ours = {writer, there[1]}
        self._open |= ours
        await _both_ways((reader, writer), there)
        self._open -= ours

    def _do(self, work: "asyncio.coroutines.Coroutine[object, object, object]") -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_OUTSIDE)  # type: ignore[arg-type]

    def serve(self) -> None:
        """For a thread: until `stop`."""
        self._loop.run_forever()

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def bridge(folder: Path) -> Iterator[Bridge]:
    """A bridge whose sockets lie in a folder."""
    folder.mkdir()
    made = Bridge(folder)
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        made.stop()


End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _both_ways(one: End, other: End) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    await asyncio.gather(pour(one[0], other[1]), pour(other[0], one[1]))
    for _, writer in (one, other):
        writer.close()


async def _reach(folder: Path) -> None:
    """Inside: listen on each port of the bridge."""

    async def join(path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await _both_ways((reader, writer), there)

    for path in folder.iterdir():
        await asyncio.start_server(partial(join, path), HOST, int(path.name))


def main() -> None:
    """Inside: hide folders, reach the bridge, run the command."""
    split = sys.argv.index("--")
    folder, hidden, command = Path(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for path in hidden:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_reach(folder))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    code = subprocess.run(command, check=False).returncode
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
