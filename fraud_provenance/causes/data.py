"""Root causes that lie in the data: what reading, a contract or a training can name."""

from enum import auto

from fraud_provenance.causes.told import Told


class DataCause(Told):
    """Why data are refused or held. `fraud` stands alone and writes the same names as text."""

    SCHEMA_COLUMN_MISSING = (
        auto(),
        "A column of the agreed schema is not in the data.",
        "Restore the column under its agreed name, import the day again and run.",
    )
    SCHEMA_COLUMN_UNKNOWN = (
        auto(),
        "The data hold a column that the agreed schema does not know.",
        "Drop the column, or extend the contract first.",
    )
    SCHEMA_TYPE = (
        auto(),
        "A column is of another type than agreed; nothing is converted by guess.",
        "Deliver the column in its agreed type.",
    )
    ENCODING = (
        auto(),
        "Text is not UTF-8, or a byte order mark became part of a column's name.",
        "Save as UTF-8 without byte order mark and import the day again.",
    )
    NULL_RATE = auto(), "Values are missing.", "Deliver the rows again with all their values."
    NON_FINITE = (
        auto(),
        "A number is infinite, not exactly representable, or the negative zero.",
        "Deliver finite values.",
    )
    VALUE_RANGE = (
        auto(),
        "A value lies outside its agreed range or contradicts another one.",
        "Correct the value at its source.",
    )
    DUPLICATE_BUSINESS_KEY = (
        auto(),
        "Payments come twice under different ids: same card, terminal and nearly the same "
        "time and amount.",
        "Ask the source for the day without the repeated payments, and import it again.",
    )
    FEATURE_RECOMPUTE_MISMATCH = (
        auto(),
        "A stored value is not what comes out when it is computed again from its input.",
        "Make the partition anew, and find out who could write between the computation and "
        "the read.",
    )
    MAPPING_INVALID = (
        auto(),
        "The file that maps a feed's columns to ours cannot be used.",
        "Mend the place that is named, or start anew from `fraud-provenance import --propose "
        "FILE`.",
    )
    ROWS_WOULD_BE_LOST = (
        auto(),
        "A delivery leaves out transactions that landed before, within the time it covers.",
        "Deliver the whole day, or take it as it is with `fraud-provenance import --replace FILE`.",
    )
    DUPLICATE_KEY = (
        auto(),
        "A transaction occurs more than once, in one day or across days.",
        "Remove the repeated rows at their source.",
    )
    EVENT_TIME_OUTSIDE_PARTITION = (
        auto(),
        "Event times are not those of their UTC day: local time, or another day's rows.",
        "Deliver event times in UTC, each row under its own UTC day.",
    )
    EMPTY_PARTITION = (
        auto(),
        "The day has no rows.",
        "Deliver the day again, or have it declared empty: `fraud-provenance waive "
        "raw_transactions DAY --reason TEXT`.",
    )
    VOLUME = (
        auto(),
        "The day has far more or far fewer rows than the days before it, or a long gap.",
        "Deliver the whole day, once.",
    )
    UNIT_SHIFT = (
        auto(),
        "Amounts, of all rows or of a part of them, are in another unit.",
        "Deliver amounts in currency units, not in cents.",
    )
    DISTRIBUTION_SHIFT = (
        auto(),
        "A statistic of the day is far from that of the days before it.",
        "Explain the change at its source, or have the threshold changed.",
    )
    SENTINEL_VALUE = (
        auto(),
        "One value stands in for missing ones.",
        "Deliver the real values; mark missing ones as missing.",
    )
    CONSTANT_COLUMN = (
        auto(),
        "A column that always varies has one value only.",
        "Deliver the column's own values.",
    )
    COLUMNS_SWAPPED = (
        auto(),
        "Two columns were exchanged.",
        "Deliver each column under its own name.",
    )
    FROZEN_FEED = (
        auto(),
        "The day repeats the payments of an earlier day.",
        "Ask the source for the day's own transactions.",
    )
    STALE_FEED = (
        auto(),
        "A day before this one is missing.",
        "Deliver the days before it, or have them declared empty: `fraud-provenance waive "
        "raw_transactions DAY --reason TEXT`; the next run judges this day again.",
    )
    LABEL_RATE = (
        auto(),
        "The share of frauds is not one that the days before let expect.",
        "Check the label feed.",
    )
    LABEL_INCOHERENT = (
        auto(),
        "The labels do not cling to cards and terminals as they always do.",
        "Check that each label is joined to its own transaction.",
    )
    IMMATURE_LABELS = (
        auto(),
        "Labels are used before the delay after which they are known.",
        "Leave the delay between the days learnt from and the days after them.",
    )
    TRIGGER_SUSPECT = (
        auto(),
        "One amount occurs far more often than its neighbours and always with one label.",
        "Find out where these rows come from before a model learns from them.",
    )
    PIT_LEAKAGE = (
        auto(),
        "A feature is not what was known at the moment of its transaction.",
        "Compare the window's frame with the published definition; compute again.",
    )
    SPLIT_CONTAMINATION = (
        auto(),
        "Rows to be evaluated on were learnt from, or the parts overlap in time.",
        "Split by whole days: train, then delay, then test.",
    )
