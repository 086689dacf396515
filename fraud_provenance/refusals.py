"""A refusal as people read it in the UI: what was refused, why, and what to do. No stack trace."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from fraud_provenance.attested.core.errors import ProvenanceError, Reason, storage_error
from fraud_provenance.fraud.errors import DataError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ROWS_SHOWN = 20


def as_failure(body: Callable[_P, _R]) -> Callable[_P, _R]:
    """The body of an asset or check; what it refuses becomes Dagster's own failure.

    The refusal stays its cause, for those who read it in the same process.
    """
    if inspect.isgeneratorfunction(body):

        @wraps(body)
        def generating(*given: _P.args, **named: _P.kwargs) -> Iterator[Any]:
            with _told():
                yield from cast("Iterator[Any]", body(*given, **named))

        return cast("Callable[_P, _R]", generating)

    @wraps(body)
    def returning(*given: _P.args, **named: _P.kwargs) -> _R:
        with _told():
            return body(*given, **named)

    return returning


def reasons_table(reasons: Sequence[Reason]) -> dg.TableMetadataValue:
    """Reasons as a table, the first ones only."""
    names = ("code", "artifact", "partition", "message", "identity", "at", "remedy")
    records = [
        dg.TableRecord({name: str(getattr(item, name)) for name in names})
        for item in reasons[:_ROWS_SHOWN]
    ]
    return dg.TableMetadataValue(
        records, dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])
    )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ProvenanceError as error:
        raise _failure(error.reasons) from error
    except DataError as error:
        found = Reason(code=error.code, message=error.placed_message, remedy=error.remedy)
        raise _failure([found]) from error
    except Exception as error:
        storage = storage_error(error)
        if storage is None:
            raise
        storage.__cause__ = error
        raise _failure(storage.reasons) from storage


def _failure(reasons: Sequence[Reason]) -> dg.Failure:
    first = reasons[0]
    place = "/".join(filter(None, (first.artifact, first.partition)))
    more = f" ({len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
    return dg.Failure(
        description=f"{first.code}{f' at {place}' if place else ''}: {first.message}{more}",
        metadata={
            "what to do": dg.MetadataValue.md(first.remedy or "See the reasons."),
            "code": str(first.code),
            "artifact": first.artifact or "-",
            "partition": first.partition or "-",
            "found": first.message,
            "reasons": reasons_table(reasons),
        },
        allow_retries=False,
    )
