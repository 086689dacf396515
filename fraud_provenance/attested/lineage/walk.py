"""From statement to statement: each verified once, what it rests on first.

Not here: what a statement must show; `demands` asks that.
"""

import time
from collections.abc import Callable, Generator

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Node

_MAX_LINEAGE_NODES = 100_000
_MAX_SECONDS = 600.0
Work = Generator[str, Node, None]
"""Asks for nodes by their statement, and is sent them verified."""


class RefusedBelow(Exception):  # noqa: N818 - ends a node's work, is never seen outside
    """What a statement rests on is refused: that says why, and there is nothing more to look at."""


class Walk:
    """Nodes by their statement, each kept, so that shared history costs once."""

    def __init__(self, fill: Callable[[Node], Work], name_of: Callable[[str], str]) -> None:
        """`fill` verifies one node; `name_of` names a statement that nobody has read yet."""
        self._fill, self._name_of = fill, name_of
        self._nodes: dict[str, Node] = {}
        self._open: set[str] = set()

    def known(self, statement: str) -> Node | None:
        """The node of a statement that was verified before."""
        return self._nodes.get(statement)

    def node(self, statement: str) -> Node:
        """The verified node of a statement; problems are recorded in it, not raised.

        Without recursion: a chain of any length gives a verdict.
        """
        deadline = time.monotonic() + _MAX_SECONDS
        stack: list[tuple[Node, Work]] = []
        found = self._known_or_begun(statement, stack)
        while stack:
            node, work = stack[-1]
            try:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"verification took longer than {_MAX_SECONDS:.0f} s")
                wanted = next(work) if found is None else work.send(found)
                found = self._known_or_begun(wanted, stack)
                continue
            except (StopIteration, RefusedBelow):
                pass
            except ProvenanceError as error:
                node.blame(error)
            except Exception as error:
                node.blame(VerificationError(reason(RootCause.VERIFY_ERROR, repr(error))))
            stack.pop()
            self._open.discard(node.statement)
            node.distance = 1 + max((child.distance for child in node.children), default=-1)
            node.is_sound = not node.reasons and all(child.is_sound for child in node.children)
            self._nodes[node.statement] = found = node
        assert found is not None  # noqa: S101 - the last node to be taken from the stack
        return found

    def _known_or_begun(self, statement: str, stack: list[tuple[Node, Work]]) -> Node | None:
        """The node if it can be had at once; None after its work was put on the stack."""
        if statement in self._nodes:
            return self._nodes[statement]
        node = Node(kind="evidence", name=self._name_of(statement), statement=statement)
        if statement in self._open or len(self._nodes) + len(stack) >= _MAX_LINEAGE_NODES:
            node.blame(
                VerificationError(reason(RootCause.LINEAGE_CYCLE, "the lineage has no end here"))
            )
            return node
        self._open.add(statement)
        stack.append((node, self._fill(node)))
        return None
