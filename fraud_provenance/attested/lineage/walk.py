"""From statement to statement: each verified once, what it rests on first.

Not here: what a statement must show; `demands` asks that.
"""

import time
from collections.abc import Callable, Generator

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError, reason
from fraud_provenance.attested.lineage.nodes import Draft, Node, Refused

_MAX_LINEAGE_NODES = 100_000
_MAX_SECONDS = 600.0
Work = Generator[str, Node, None]
"""Asks for nodes by their statement, and is sent them verified."""


class RefusedBelow(Exception):  # noqa: N818 - ends a node's work, is never seen outside
    """What a statement rests on is refused: that says why, and there is nothing more to look at."""


class Walk:
    """Nodes by their statement, each kept, so that shared history costs once."""

    def __init__(self, fill: Callable[[Draft], Work], name_of: Callable[[str], str]) -> None:
        """`fill` verifies one statement; `name_of` names a statement that nobody has read yet."""
        self._fill, self._name_of = fill, name_of
        self._nodes: dict[str, Node] = {}
        self._open: set[str] = set()
        self._refused: dict[Node, Refused] = {}

    def known(self, statement: str) -> Node | None:
        """The node of a statement that was verified before."""
        return self._nodes.get(statement)

    def node(self, statement: str) -> Node:
        """The node of a statement, verified or refused; problems are not raised.

        Without recursion: a chain of any length gives a verdict.
        """
        deadline = time.monotonic() + _MAX_SECONDS
        stack: list[tuple[Draft, Work]] = []
        found = self._known_or_begun(statement, stack)
        while stack:
            draft, work = stack[-1]
            try:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"verification took longer than {_MAX_SECONDS:.0f} s")
                wanted = next(work) if found is None else work.send(found)
                found = self._known_or_begun(wanted, stack)
                continue
            except (StopIteration, RefusedBelow):
                pass
            except ProvenanceError as error:
                self._blame(draft, error)
            except Exception as error:
                self._blame(draft, VerificationError(reason(RootCause.VERIFY_ERROR, repr(error))))
            stack.pop()
            self._open.discard(draft.statement)
            self._nodes[draft.statement] = found = draft.node()
        assert found is not None  # noqa: S101 - the last node to be taken from the stack
        return found

    def _blame(self, draft: Draft, error: ProvenanceError) -> None:
        """Record an error; what could not even be read is named as the index knows it."""
        draft.name = draft.name or self._name_of(draft.statement)
        draft.blame(error)

    def refuse(self, node: Node, error: ProvenanceError) -> Refused:
        """A node that is refused by who uses it, and so from now on."""
        why = tuple(node.explain(item) for item in error.reasons)
        refused = Refused(
            kind=node.kind, name=node.name, statement=node.statement, children=node.children,
            reasons=(*node.reasons, *why), revoked=node.revoked, rests=node.rests,
            distance=node.distance, claims=node.claims,
        )  # fmt: skip
        self._nodes[node.statement] = self._refused[node] = refused
        return refused

    def latest(self, node: Node) -> Node:
        """The node, or what it became since it was found below others."""
        return self._refused.get(node, node)

    def _known_or_begun(self, statement: str, stack: list[tuple[Draft, Work]]) -> Node | None:
        """The node if it can be had at once; None after its work was put on the stack."""
        if statement in self._nodes:
            return self._nodes[statement]
        draft = Draft("", statement)
        if statement in self._open or len(self._nodes) + len(stack) >= _MAX_LINEAGE_NODES:
            endless = reason(RootCause.LINEAGE_CYCLE, "the lineage has no end here")
            self._blame(draft, VerificationError(endless))
            return draft.node()
        self._open.add(statement)
        stack.append((draft, self._fill(draft)))
        return None
