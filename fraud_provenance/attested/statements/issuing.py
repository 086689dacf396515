"""When a person signed something, and what makes it a statement of its own.

What is withdrawn is withdrawn by its digest. A person who decides the same again, in the same words
and within the same second, decides anew: a random number keeps the two apart.
"""

import secrets
from datetime import datetime

from fraud_provenance.attested.core import encoding


def issued(now: datetime) -> dict[str, str]:
    """The members of a predicate that say when it was signed, and which one it is.

    >>> sorted(issued(datetime.fromisoformat("2018-04-01T00:00:00Z")))
    ['issued_at', 'nonce']
    """
    return {"issued_at": encoding.utc_text(now), "nonce": secrets.token_hex(16)}
