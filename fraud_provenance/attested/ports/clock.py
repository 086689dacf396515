"""What time it is: what evidence claims about itself, and what ages and limits are judged by.

When a signature was made is for a timestamp authority to say, never for a clock of ours. How long
something took is measured by counters (`time.monotonic`), which are no clocks.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whoever knows the time."""

    def __call__(self) -> datetime:
        """This moment, in UTC."""


def machine_clock() -> datetime:
    """This machine's time.

    >>> machine_clock().utcoffset()
    datetime.timedelta(0)
    """
    return datetime.now(UTC)  # noqa: TID251 - the one place that asks the machine


class SetClock:
    """A clock in memory, which stands until it is moved.

    >>> clock = SetClock(datetime(2018, 4, 1, tzinfo=UTC))
    >>> clock.move(timedelta(days=1, hours=6))
    >>> clock()
    datetime.datetime(2018, 4, 2, 6, 0, tzinfo=datetime.timezone.utc)
    """

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def __call__(self) -> datetime:
        """See `Clock`."""
        return self._at

    def move(self, by: timedelta) -> None:
        """Set it ahead, or back."""
        self._at += by
