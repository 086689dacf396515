"""Answers over HTTP that are whole within a limit of bytes and seconds, and lead nowhere else.

For libraries that bring a session of their own: this is the part of it that sends.
"""

import io
import time
from collections.abc import Mapping
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from fraud_provenance.attested.core.addresses import is_safe_address

_CONNECT_S: Final = 5.0
_CHUNK_BYTES: Final = 1 << 16


class UnusableAnswer(requests.RequestException):
    """What a server answered, or where it is, is not taken."""


class BoundedAdapter(HTTPAdapter):
    """Sends to https addresses, or to this machine, and reads answers within limits."""

    def __init__(self, limit_bytes: int, deadline_s: float) -> None:
        super().__init__()
        self._limit_bytes, self._deadline_s = limit_bytes, deadline_s

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ANN401 - as the library's own
        verify: bool | str = True,
        cert: Any = None,  # noqa: ANN401 - the same
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send it; `stream` and `timeout` are this adapter's own, whatever is said.

        Raises:
            UnusableAnswer: the address, a redirect, or too much or too slow an answer.
            RequestException: the library's own.
        """
        if not is_safe_address(request.url or ""):
            raise UnusableAnswer("it names an address that is not https")
        limits = (_CONNECT_S, self._deadline_s)
        answer = super().send(request, True, limits, verify, cert, proxies)
        try:
            if answer.is_redirect or answer.status_code // 100 == 3:
                raise UnusableAnswer("it answers with a redirect, which is not followed")
            content = self._read(answer.raw)
        except HTTPError as error:
            raise UnusableAnswer(f"its answer breaks off ({type(error).__name__})") from error
        finally:
            answer.close()
        answer.raw = io.BytesIO(content)
        return answer

    def _read(self, raw: Any) -> bytes:  # noqa: ANN401 - urllib3's own
        end, content = time.monotonic() + self._deadline_s, b""
        # `read1` gives what is there; who waits for a whole chunk waits for a server that drips.
        while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
            content += chunk
            if len(content) > self._limit_bytes:
                raise UnusableAnswer(f"its answer has more than {self._limit_bytes} bytes")
            if time.monotonic() > end:
                raise UnusableAnswer(f"its answer took more than {self._deadline_s:.0f} s")
        return content
