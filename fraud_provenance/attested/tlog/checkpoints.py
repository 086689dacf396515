"""What was seen of each log: countersigned heads, kept for ever, and the tree below the newest.

`<trust>/checkpoints/<origin>/` holds one note and one ledger for each remembered size, never taken
back, and a mirror of the log's hash tiles (32 bytes a leaf), so that any leaf below the newest
head can be checked offline. The mirror is no authority: what it holds must add up to that head.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import Case, RootCause, remedy
from fraud_provenance.attested.core.errors import (
    ConfigError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.ports.clock import Clock, machine_clock
from fraud_provenance.attested.tlog import notes
from fraud_provenance.attested.tlog.notes import Checkpoint, LogKey
from fraud_provenance.attested.tlog.tiles import (
    FolderSource,
    LogFiles,
    Tree,
    open_source,
    tile_path,
)
from fraud_provenance.attested.tlog.witness import (
    WitnessPolicy,
    countersigned,
    load_policy,
    open_witnesses,
)

_NOTE_SUFFIX, _LEDGER_SUFFIX = ".checkpoint", ".leaves.json"


class OpenLeaf(BaseModel):
    """A leaf under one of our identities that nothing in the store explained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int = Field(ge=0)
    identity: str
    digest: str


class Ledger(BaseModel):
    """What the leaves since the previous ledger were found to be.

    `audited` says up to which leaf anyone looked; `matched` are our leaves and the statements that
    stored bundles carry for them, `journalled` those that only an intent explains, `open` all that
    is unexplained so far.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    audited: int = Field(default=0, ge=0)
    matched: dict[int, str] = {}
    journalled: dict[int, str] = {}
    open: tuple[OpenLeaf, ...] = ()


class LogMemory:
    """What is remembered of one log."""

    def __init__(self, folder: Path, key: LogKey, policy: WitnessPolicy) -> None:
        self.key = key
        self._policy = policy
        self._folder = folder
        self._newest: Checkpoint | None = None
        self._looked: list[int] = []
        self._listed: list[int] = []
        self._listed_at: str | None = None
        self._tree: Tree | None = None

    def sizes(self) -> list[int]:
        """The sizes remembered, smallest first; listed again when something touched the folder."""
        try:
            at = files.settled(self._folder)
            if at is None or at != self._listed_at:
                self._listed = _sizes(os.listdir(self._folder))
                self._listed_at = at if at == files.settled(self._folder) else None
        except FileNotFoundError:
            return []
        return self._listed

    def checkpoint(self, size: int) -> Checkpoint:
        """One remembered head, under the log's own signature.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED.
        """
        path = self._path(size, _NOTE_SUFFIX)
        found = notes.parse_checkpoint(files.read_once(path, limit_bytes=notes.MAX_NOTE_BYTES))
        self.key.verify(found)
        if found.size != size:
            raise self._untrusted(f"{path.name} holds a checkpoint of size {found.size}")
        return found

    def newest(self) -> Checkpoint:
        """The newest remembered head that the policy's witnesses countersigned.

        One that others countersigned, before or after the policy changed, is passed over.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED, there is none.
        """
        sizes = self.sizes()
        if self._newest is None or sizes[-1:] != self._looked:
            self._newest, self._tree = self._find(sizes), None
            self._looked = sizes[-1:]
        return self._newest

    def _find(self, sizes: Sequence[int]) -> Checkpoint:
        for size in reversed(sizes):
            found = self.checkpoint(size)
            if self._policy.is_met(found):
                return found
        raise self._untrusted(
            f"no checkpoint of {self.key.origin} is remembered that enough witnesses countersigned"
        )

    def ledger(self, size: int) -> Ledger:
        """What was found when the head of `size` was remembered.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED, it is lost or was edited beyond recognition.
        """
        try:
            content = files.read_once(
                self._path(size, _LEDGER_SUFFIX), limit_bytes=encoding.MAX_DOCUMENT_BYTES
            )
            return Ledger.model_validate_json(content)
        except (ProvenanceError, ValidationError) as error:
            raise self._untrusted(f"the ledger of size {size} cannot be read: {error}") from error

    def tree(self) -> Tree:
        """The tree below the newest head, from the mirror."""
        newest = self.newest()
        if self._tree is None:
            mirror = LogFiles(FolderSource(self._folder))
            self._tree = Tree(mirror.tile, newest.size, newest.root)
        return self._tree

    def put(self, checkpoint: Checkpoint, ledger: Ledger, tree: Tree) -> None:
        """Remember a countersigned head with its ledger and tree; the note comes last."""
        self._policy.check(checkpoint)
        self._looked = []
        for level, index, tile in tree.known_tiles():
            path = self._folder / tile_path(level, index, len(tile))
            if not path.exists():
                files.write_atomic(path, b"".join(tile), durable=False)
        content = ledger.model_dump_json().encode()
        files.write_atomic(self._path(checkpoint.size, _LEDGER_SUFFIX), content)
        files.write_atomic(self._path(checkpoint.size, _NOTE_SUFFIX), checkpoint.note)

    def complete(self, checkpoint: Checkpoint, ledger: Ledger) -> None:
        """Keep the ledger of a head that was remembered before anybody had looked below it.

        Raises:
            VerificationError: LOG_FORK, another root is remembered for this size.
        """
        if self.checkpoint(checkpoint.size).root != checkpoint.root:
            raise VerificationError(
                reason(
                    RootCause.LOG_FORK,
                    f"another root is remembered for size {checkpoint.size}",
                    artifact=f"log {checkpoint.origin}",
                )
            )
        if self.ledger(checkpoint.size).audited < ledger.audited:
            content = ledger.model_dump_json().encode()
            files.write_atomic(self._path(checkpoint.size, _LEDGER_SUFFIX), content)

    def _path(self, size: int, suffix: str) -> Path:
        return self._folder / f"{size:016d}{suffix}"

    def _untrusted(self, message: str) -> VerificationError:
        return VerificationError(
            reason(RootCause.CHECKPOINT_UNTRUSTED, message, artifact=f"log {self.key.origin}")
        )


def _sizes(names: Iterable[str]) -> list[int]:
    notes_only = [name.removesuffix(_NOTE_SUFFIX) for name in names if name.endswith(_NOTE_SUFFIX)]
    return sorted(int(name) for name in notes_only if name.isascii() and name.isdigit())


class WitnessedLogs:
    """Every log of the trusted root with what is remembered of it, by log id."""

    def __init__(
        self, trust: Path, root: Path | None = None, witnesses: Path | None = None
    ) -> None:
        """`trust`: the folder with `trusted_root.json`, `witnesses.json` and `checkpoints/`.

        `root` and `witnesses` name other versions of those two files, e.g. released ones.

        Raises:
            ConfigError: ROOT_DIGEST_MISMATCH.
        """
        content = files.read_once(root or trust / "trusted_root.json", limit_bytes=1 << 20)
        self.policy = load_policy(witnesses or trust / "witnesses.json")
        self.memories: Mapping[bytes, LogMemory] = {
            log_id: LogMemory(trust / "checkpoints" / key.origin, key, self.policy)
            for log_id, key in notes.log_keys(content).items()
        }

    def check_bundle(self, log_id: bytes, index: int, leaf: bytes, checkpoint: Checkpoint) -> None:
        """Demand that a bundle's entry is in the witnessed tree, if that reaches so far.

        An entry above the newest witnessed head stands on the log's own signed checkpoint until
        the next audit, which every promotion begins with.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED or LOG_FORK.
        """
        self._memory(log_id).key.verify(checkpoint)
        self.check_leaf(log_id, index, leaf)

    def check_leaf(self, log_id: bytes, index: int, leaf: bytes) -> None:
        """As `check_bundle`, for who has verified the bundle's own checkpoint before.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED or LOG_FORK.
        """
        memory = self._memory(log_id)
        tree = memory.tree()
        if index < tree.size and tree.leaf(index) != leaf:
            raise VerificationError(
                reason(
                    RootCause.LOG_FORK,
                    f"leaf {index} of the witnessed tree is another entry",
                    artifact=f"log {memory.key.origin}",
                )
            )

    def _memory(self, log_id: bytes) -> LogMemory:
        memory = self.memories.get(log_id)
        if memory is None:
            raise VerificationError(
                reason(
                    RootCause.CHECKPOINT_UNTRUSTED,
                    f"the trusted root knows no log {log_id.hex()[:16]}",
                )
            )
        return memory


class LogKeeper:
    """Reads each log's own head, has it countersigned, and remembers it."""

    def __init__(self, home: Path, logs: WitnessedLogs, clock: Clock = machine_clock) -> None:
        """`home`: its `trust/logs.json` says where each log's files are (a folder or an address).

        Raises:
            ConfigError: ROOT_DIGEST_MISMATCH, that file cannot be used.
        """
        self.logs = logs
        self._home, self._clock = home, clock
        self._locations = _load_locations(home / "trust" / "logs.json")

    def lock(self) -> AbstractContextManager[None]:
        """Held while heads are read and kept, so that memory only moves forward."""
        return files.exclusive_lock(self._home / "run" / "checkpoints.lock")

    def files(self, memory: LogMemory) -> LogFiles:
        """The log's own files.

        Raises:
            ConfigError: ROOT_DIGEST_MISMATCH, nobody said where they are.
        """
        location = self._locations.get(memory.key.origin)
        if location is None:
            raise ConfigError(
                reason(
                    RootCause.ROOT_DIGEST_MISMATCH,
                    f"trust/logs.json does not say where the files of {memory.key.origin} are",
                )
            )
        return LogFiles(open_source(location, self._home))

    def head(self, memory: LogMemory, last: Checkpoint | None) -> tuple[Checkpoint, Tree]:
        """The log's own head, no smaller than `last`, and the tree below it; both verified.

        Raises:
            VerificationError: CHECKPOINT_UNTRUSTED, LOG_ROLLBACK or LOG_CORRUPT.
            BackendError: LOG_UNAVAILABLE.
        """
        log = self.files(memory)
        head = notes.parse_checkpoint(log.checkpoint())
        memory.key.verify(head)
        if last and head.size < last.size:
            raise VerificationError(
                reason(
                    RootCause.LOG_ROLLBACK,
                    f"{last.size} leaves were remembered, the log shows {head.size}",
                    artifact=f"log {memory.key.origin}",
                )
            )
        return head, Tree(log.tile, head.size, head.root)

    def remember(self, memory: LogMemory, head: Checkpoint, tree: Tree, ledger: Ledger) -> None:
        """Have a head countersigned and keep it; one that is remembered gets its ledger at most.

        Raises:
            VerificationError: a witness saw another tree. BackendError: WITNESS_UNAVAILABLE.
        """
        if head.size in memory.sizes():
            known = memory.checkpoint(head.size)
            memory.complete(head, ledger)
            if self.logs.policy.is_met(known):
                return
            head = head.with_signatures(known.signatures)  # countersigned under another policy
        keys = {item.key.origin: item.key for item in self.logs.memories.values()}
        witnesses = open_witnesses(self.logs.policy, self._home / "witness", keys, self._clock)
        memory.put(countersigned(head, tree, self.logs.policy, witnesses), ledger, tree)

    def begin(self, memory: LogMemory) -> None:
        """Remember a first head of a log of which none counts: a new log, or other witnesses.

        Nothing that was not audited before counts as audited.

        Raises:
            VerificationError, BackendError: the log did not grow, or no witness answered.
        """
        sizes = memory.sizes()
        if any(self.logs.policy.is_met(memory.checkpoint(size)) for size in reversed(sizes)):
            return
        last = memory.checkpoint(sizes[-1]) if sizes else None
        head, tree = self.head(memory, last)
        for size in sizes:
            check_grew(tree, memory.checkpoint(size))
        before = memory.ledger(last.size) if last else Ledger()
        self.remember(memory, head, tree, Ledger(audited=before.audited, open=before.open))


def check_grew(tree: Tree, earlier: Checkpoint) -> None:
    """Demand that a tree begins with an earlier head's.

    Raises:
        VerificationError: LOG_FORK.
    """
    if earlier.size > tree.size or tree.root_at(earlier.size) != earlier.root:
        raise VerificationError(
            reason(
                RootCause.LOG_FORK,
                f"the head remembered at size {earlier.size} does not lead to the one shown",
                artifact=f"log {earlier.origin}",
            )
        )


def _load_locations(path: Path) -> dict[str, str]:
    try:
        document = encoding.strict_json(files.read_once(path, limit_bytes=1 << 16))
        return {str(origin): str(location) for origin, location in document.items()}
    except (ProvenanceError, AttributeError) as error:
        raise ConfigError(
            reason(
                RootCause.ROOT_DIGEST_MISMATCH,
                f"trust/logs.json cannot be used: {error}",
                remedy=remedy(Case.TRUST_FILE_UNUSABLE),
            )
        ) from error
