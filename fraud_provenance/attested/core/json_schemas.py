"""JSON schemas that come from policy data: patterns in linear time, and nothing fetched.

Python's `re` goes back and tries again: a pattern such as `^(a+)+$` takes for ever on forty
letters. Patterns of policy data are therefore read by the engine that pydantic brings along, which
cannot go back and takes no pattern that would have to (look-around, references to groups). For the
same reason a schema may not name properties by patterns, nor other documents.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason

_MAX_PATTERN = 1000


def first_problem(schema: Any, value: Any) -> Any:  # noqa: ANN401 - JSON; a library's error
    """What is wrong with `value`, or None: a `jsonschema.ValidationError`."""
    return next(_validator()(schema).iter_errors(value), None)


def check_schema(schema: Any, artifact: str) -> None:  # noqa: ANN401 - JSON
    """Demand that a schema's patterns can be matched in linear time and that it stands alone.

    Raises:
        VerificationError: POLICY_DATA_INVALID.
    """
    for place, found in _keywords(schema, ""):
        if "patternProperties" in found:
            raise _invalid(artifact, f"{place}: properties cannot be named by patterns")
        if not str(found.get("$ref", "#")).startswith("#"):
            raise _invalid(artifact, f"{place}: a schema refers to nothing outside of itself")
        if isinstance(pattern := found.get("pattern"), str) and _engine(pattern) is None:
            raise _invalid(artifact, f"{place}: {pattern[:80]!r} cannot be matched in linear time")


def check_meaning(schema: Any, artifact: str) -> None:  # noqa: ANN401 - JSON
    """As `check_schema`, and every keyword has a value that it can have.

    Raises:
        VerificationError: POLICY_DATA_INVALID.
    """
    import jsonschema  # takes half a second

    check_schema(schema, artifact)
    try:
        jsonschema.Draft7Validator.check_schema(schema, format_checker=jsonschema.FormatChecker(()))
    except jsonschema.SchemaError as error:
        raise _invalid(artifact, f"it is no schema: {error.message[:200]}") from error


def _keywords(schema: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: ANN401 - JSON
    """Every object in a schema, wherever it stands: some of them are schemas."""
    if isinstance(schema, Mapping):
        yield place or "/", schema
        for name, item in schema.items():
            yield from _keywords(item, f"{place}/{name}")
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _keywords(item, f"{place}/{index}")


@cache
def _engine(pattern: str) -> SchemaValidator | None:
    """What matches the pattern, or None where no linear engine can."""
    if len(pattern) > _MAX_PATTERN:
        return None
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


@cache
def _validator() -> Any:  # noqa: ANN401 - a class that the library makes
    import jsonschema  # takes half a second, needed only where something ran with parameters

    def pattern(_validator: Any, wanted: str, value: Any, _schema: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON
        if isinstance(value, str) and not _matches(wanted, value):
            yield jsonschema.ValidationError(f"{value!r} does not match {wanted!r}")

    return jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # as the library has it
        jsonschema.Draft7Validator, {"pattern": pattern}
    )


def _matches(pattern: str, value: str) -> bool:
    engine = _engine(pattern)
    try:
        return engine is not None and isinstance(engine.validate_python(value), str)
    except ValidationError:
        return False


def _invalid(artifact: str, message: str) -> VerificationError:
    return VerificationError(reason(RootCause.POLICY_DATA_INVALID, message, artifact=artifact))
