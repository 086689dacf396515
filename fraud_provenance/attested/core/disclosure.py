"""What a statement may disclose: it goes to a log that anyone can read, for ever.

In: the facts of a statement before it is signed. Out: the same facts, or a refusal. Names, counts,
codes, bounds and aggregates may pass; values of rows and identifiers of cards, customers, terminals
and transactions may not. Two nets: a closed schema for what contracts found, and a search for card
numbers in every statement.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason

# A name is a word in lower case; four digits in a row are a value that stands where a name belongs.
_NAME: Final = re.compile(r"(?!.*[0-9]{4})[a-z][a-z0-9_]{0,119}")
_CODE: Final = re.compile(r"[A-Z][A-Z_]{2,59}")
_PARTITION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[a-z][a-z_]{0,39}")
# Digests and identifiers are no card numbers: nothing that could continue the number may touch it.
_CARD: Final = re.compile(
    r"(?<![0-9A-Za-z_.+/=-])(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7})"
    r"(?![0-9A-Za-z_+/=-])"
)


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError("not a name")
        return value

    return AfterValidator(check)


_Name = Annotated[str, _matching(_NAME)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Finding(BaseModel):
    """One check that one partition did not pass, as far as everyone may know it.

    Attributes:
        day: The partition.
        check: The sentence that is not true.
        code: Root cause.
        column: A column's name, or "".
        rows: How many rows are concerned (0: the partition as a whole).
        observed: An aggregate over the partition's rows, never the value of one row.
        minimum: What `observed` had to reach.
        maximum: What `observed` had to stay below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    day: Annotated[str, _matching(_PARTITION)]
    check: _Name
    code: Annotated[str, _matching(_CODE)]
    column: Annotated[str, _matching(re.compile(f"(?:{_NAME.pattern})?"))] = ""
    rows: Annotated[int, Field(ge=0)] = 0
    observed: _Finite | None = None
    minimum: _Finite | None = None
    maximum: _Finite | None = None


def public_findings(findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The findings of a contract in their closed form.

    Raises:
        VerificationError: PII_IN_ATTESTATION for a field that the form does not know, or a value
            where a name, a count or an aggregate belongs.
    """
    return [_public(item) for item in findings]


def _public(finding: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return Finding.model_validate(dict(finding)).model_dump(exclude_none=True)
    except ValidationError as error:
        places = sorted({str(item["loc"][0]) if item["loc"] else "" for item in error.errors()})
        # Their contents stay out of the message: it may be logged as well.
        raise _refused(f"a contract's finding may not carry this in {places}") from None


def check_names(names: Sequence[str]) -> None:
    """Refuse names of checks that are no names.

    Raises:
        VerificationError: PII_IN_ATTESTATION.
    """
    if not all(_NAME.fullmatch(name) for name in names):
        raise _refused("a check is named by something that is no name")


def refuse_card_numbers(value: Any, place: str = "predicate") -> None:  # noqa: ANN401 - JSON
    """Search a document for card numbers (13 to 19 digits with a valid check digit).

    Raises:
        VerificationError: PII_IN_ATTESTATION, naming the place and not the number.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            refuse_card_numbers(str(name), f"a name in {place}")
            refuse_card_numbers(item, str(name)[:40])
    elif isinstance(value, list | tuple):
        for item in value:
            refuse_card_numbers(item, place)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        for found in _CARD.finditer(str(value)):
            if _has_check_digit(re.sub("[ -]", "", found.group())):
                raise _refused(f"{place} holds what looks like a card number")


def _has_check_digit(digits: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _refused(message: str) -> VerificationError:
    return VerificationError(reason(RootCause.PII_IN_ATTESTATION, message))
