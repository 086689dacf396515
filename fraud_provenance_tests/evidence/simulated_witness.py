"""A witness behind an address (C2SP tlog-witness), around a local one or around any answer."""

import base64
import http.server
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.tlog import notes
from fraud_provenance.attested.tlog.notes import Checkpoint
from fraud_provenance.attested.tlog.witness import Conflict, LocalWitness
from fraud_provenance_tests.listening import listening


@contextmanager
def served(answer: Callable[[bytes], tuple[int, bytes]]) -> Iterator[str]:
    """A witness's address; `answer` gets the request's body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, content = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Nothing is printed."""

    with listening(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def speaking(witness: LocalWitness) -> Callable[[bytes], tuple[int, bytes]]:
    """C2SP tlog-witness around a local one."""

    def answer(body: bytes) -> tuple[int, bytes]:
        head, _, note = body.partition(b"\n\n")
        old, *proof = head.decode().split("\n")
        checkpoint: Checkpoint = notes.parse_checkpoint(note)
        try:
            lines = witness.add(
                checkpoint, int(old.removeprefix("old ")), [base64.b64decode(p) for p in proof]
            )
        except Conflict as conflict:
            return 409, f"{conflict.size}\n".encode()
        except ProvenanceError:
            return 422, b""
        return 200, "".join(f"{line.line}\n" for line in lines).encode()

    return answer
