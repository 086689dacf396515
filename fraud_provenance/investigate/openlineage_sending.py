"""OpenLineage events to a consumer over HTTP, by openlineage-python's own transport.

In the order of the log, one after the other; the first that is not taken ends it. Run ids are the
same each time, so sending again adds nothing twice. The library follows redirects by itself, which
would turn a POST into a GET that says 200: here none is followed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fraud_provenance.alerts.sinks import Answer, within
from fraud_provenance.attested.core.addresses import is_safe_address
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError, reason
from fraud_provenance.causes.product import ProductCause

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport.http import HttpTransport

DEADLINE_S = 30.0
_REQUEST_S = 10.0
_RETRY = {
    "total": 2, "connect": 2, "read": 0, "redirect": 0, "backoff_factor": 0.3,
    "status_forcelist": [502, 503, 504], "allowed_methods": ["POST"], "raise_on_status": False,
}  # fmt: skip
_WHO = "the consumer of lineage events"


def check_url(url: str) -> None:
    """Only https, or http to this machine: events name people, and a token goes with them.

    Raises:
        ConfigError: USAGE.
    """
    if not is_safe_address(url) or urlsplit(url).query or urlsplit(url).fragment:
        why = "the address of a consumer is https://HOST[:PORT][/PATH], or http on 127.0.0.1"
        raise ConfigError(reason(RootCause.USAGE, why))


def send(
    events: "Sequence[RunEvent]",
    url: str,
    token: str = "",
    *,
    say: Callable[[str], None] = lambda _text: None,
    request_s: float = _REQUEST_S,
    deadline_s: float = DEADLINE_S,
) -> int:
    """Send events to `url`/api/v1/lineage; returns how many were taken, which is all of them.

    Args:
        events: What to send, in this order.
        url: The consumer's address.
        token: Sent as bearer, if there is one.
        say: Told now and then how far it is.
        request_s: How long a connection may be silent.
        deadline_s: How long one event may take in all.

    Raises:
        ConfigError: USAGE, the address.
        BackendError: CONSUMER_UNAVAILABLE; how many were taken before is said.
    """
    from openlineage.client.transport import http
    from requests import Session

    check_url(url)
    with Session() as session:
        session.max_redirects = 0
        session.trust_env = urlsplit(url).scheme == "https"  # no proxy to this machine
        auth = {"type": "api_key", "apiKey": token} if token else {}
        transport = http.HttpTransport(
            http.HttpConfig(
                url=f"{url.rstrip('/')}/", timeout=request_s, auth=http.create_token_provider(auth),
                session=session, retry=_RETRY,
            )
        )  # fmt: skip
        for count, event in enumerate(events):
            answer = within(deadline_s, partial(_ask, transport, event), _WHO)
            if not answer.accepted:
                why = f"{answer.error}; {count} of {len(events)} events were taken"
                raise BackendError(
                    reason(ProductCause.CONSUMER_UNAVAILABLE, why, artifact=urlsplit(url).netloc)
                )
            if count % 100 == 99:
                say(f"{count + 1} of {len(events)} events sent")
    return len(events)


def _ask(transport: "HttpTransport", event: "RunEvent") -> Answer:
    from requests.exceptions import RequestException, TooManyRedirects

    try:
        status = transport.emit(event).status_code
    except TooManyRedirects:
        return Answer(False, f"{_WHO} answered with a redirect, which is not followed")
    except RequestException as error:
        if error.response is not None:
            return Answer(False, f"{_WHO} answered {error.response.status_code}")
        return Answer(False, f"{_WHO} cannot be reached ({type(error).__name__})", in_doubt=True)
    return Answer(status // 100 == 2, f"{_WHO} answered {status}")
