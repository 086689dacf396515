"""The columns of a landing file in words, without a library: `import --help` shows them."""

from typing import Final

MEANINGS: Final = {
    "TRANSACTION_ID": "whole number, one of its own for each transaction",
    "TX_DATETIME": "2018-04-01 13:05:09, UTC, or with an offset such as +02:00",
    "CUSTOMER_ID": "whole number: the card or customer",
    "TERMINAL_ID": "whole number: the terminal or merchant",
    "TX_AMOUNT": "decimal number with a point, in the currency's main unit",
    "TX_TIME_SECONDS": "whole seconds since the feed's first midnight; derived where absent",
    "TX_TIME_DAYS": "whole days since then; derived where absent",
    "TX_FRAUD": "1 (or true) for a fraud, 0 for a genuine transaction",
    "TX_FRAUD_SCENARIO": "0 genuine, 1 to 3 the kind of fraud; optional (1 for a fraud)",
}
"""The columns of a landing file and what each holds."""


def table() -> str:
    """The columns of a landing file, one a line, and a line of CSV."""
    width = max(map(len, MEANINGS))
    rows = [f"  {name:{width}}  {meaning}" for name, meaning in MEANINGS.items()]
    example = "1,2018-04-01 00:00:31,596,3156,57.16,31,0,0,0"
    return "\n".join([*rows, "", "\b", f"  {','.join(MEANINGS)}", f"  {example}"])
