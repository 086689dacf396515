"""Root causes that lie in the data: what reading, a contract or a training can name."""

from enum import auto

from fraud_provenance.causes.told import ACCEPT, DELIVER, REPLACE, RUN, WAIVE, Told


class DataCause(Told):
    """Why data are refused or held. `fraud` stands alone and writes the same names as text."""

    SCHEMA_COLUMN_MISSING = (
        auto(),
        "A column of the agreed schema is not in the data.",
        f"Restore the column under its agreed name, and deliver the whole day: {REPLACE}.",
    )
    SCHEMA_COLUMN_UNKNOWN = (
        auto(),
        "The data hold a column that the agreed schema does not know.",
        "Drop the column, or map the feed's columns to ours (`fraud-provenance import --propose "
        f"FILE` prints a landing.toml), and deliver the whole day: {REPLACE}.",
    )
    SCHEMA_TYPE = (
        auto(),
        "A column is of another type than agreed; nothing is converted by guess.",
        f"Deliver the whole day with the column in its agreed type: {REPLACE}.",
    )
    ENCODING = (
        auto(),
        "Text is not UTF-8, or a byte order mark became part of a column's name.",
        f"Save as UTF-8 without byte order mark, and deliver the whole day: {REPLACE}.",
    )
    NULL_RATE = (
        auto(),
        "Values are missing.",
        f"Deliver the rows again with all their values: {DELIVER}.",
    )
    NON_FINITE = (
        auto(),
        "A number is infinite, not exactly representable, or the negative zero.",
        f"Deliver finite values: {DELIVER}.",
    )
    VALUE_RANGE = (
        auto(),
        "A value lies outside its agreed range or contradicts another one.",
        f"Correct the value at its source: {DELIVER}.",
    )
    DUPLICATE_BUSINESS_KEY = (
        auto(),
        "Payments come twice under different ids: same card, terminal and nearly the same time "
        "and amount.",
        f"Ask the source for the day without the repeated payments: {REPLACE}.",
    )
    FEATURE_RECOMPUTE_MISMATCH = (
        auto(),
        "A stored value is not what comes out when it is computed again from its input.",
        "Find out who could write between the computation and the read. `fraud-provenance revoke "
        f"ASSET/PARTITION --reason TEXT`, then {RUN} makes it anew.",
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
        f"Ask the source for the day with each transaction once: {REPLACE}.",
    )
    EVENT_TIME_OUTSIDE_PARTITION = (
        auto(),
        "Event times are not those of their UTC day: local time, or another day's rows.",
        f"Deliver event times in UTC, each row under its own UTC day: {REPLACE}.",
    )
    EMPTY_PARTITION = (
        auto(),
        "The day has no rows.",
        f"Deliver the day again ({DELIVER}), or have it declared empty: {WAIVE}.",
    )
    VOLUME = (
        auto(),
        "The day has far more or far fewer rows than the days before it, or a long gap.",
        f"Deliver the whole day, once: {REPLACE}. If the day is right: {ACCEPT}.",
    )
    UNIT_SHIFT = (
        auto(),
        "Amounts, of all rows or of a part of them, are in another unit.",
        f"Deliver amounts in currency units, not in cents: {DELIVER}.",
    )
    DISTRIBUTION_SHIFT = (
        auto(),
        "A statistic of the day is far from that of the days before it.",
        f"Look for the change at its source. If the day is right: {ACCEPT}; else correct it, "
        f"{DELIVER}.",
    )
    SENTINEL_VALUE = (
        auto(),
        "One value stands in for missing ones.",
        f"Deliver the real values; mark missing ones as missing: {DELIVER}.",
    )
    CONSTANT_COLUMN = (
        auto(),
        "A column that always varies has one value only.",
        f"Deliver the column's own values: {DELIVER}.",
    )
    COLUMNS_SWAPPED = (
        auto(),
        "Two columns were exchanged.",
        f"Deliver each column under its own name: {DELIVER}.",
    )
    FROZEN_FEED = (
        auto(),
        "The day repeats the payments of an earlier day.",
        f"Ask the source for the day's own transactions: {REPLACE}.",
    )
    STALE_FEED = (
        auto(),
        "A day before this one is missing.",
        f"Deliver the days before it ({DELIVER}), or have them declared empty: {WAIVE}; the next "
        "run judges this day again.",
    )
    LABEL_RATE = (
        auto(),
        "The share of frauds is not one that the days before let expect.",
        f"Check the label feed. If the day is right: {ACCEPT}; else correct it, {DELIVER}.",
    )
    LABEL_INCOHERENT = (
        auto(),
        "The labels do not cling to cards and terminals as they always do.",
        f"Check that each label is joined to its own transaction: {DELIVER}.",
    )
    IMMATURE_LABELS = (
        auto(),
        "Labels are used before the delay after which they are known.",
        "Train on earlier days, with the delay that label_delay_days in "
        "policies/data/thresholds.json demands: `fraud-provenance run --delay-days N --train-start "
        "DAY`. Or wait until the delay has gone by.",
    )
    TRIGGER_SUSPECT = (
        auto(),
        "One amount occurs far more often than its neighbours and always with one label.",
        "Find out where these rows come from before a model learns from them; then deliver their "
        f"days without them: {REPLACE}.",
    )
    PIT_LEAKAGE = (
        auto(),
        "A feature is not what was known at the moment of its transaction.",
        f"Compare the window's frame with the published definition and correct it, then {RUN}: "
        "what the changed code made is made anew.",
    )
    SPLIT_CONTAMINATION = (
        auto(),
        "Rows to be evaluated on were learnt from, or the parts overlap in time.",
        f"Split by whole days, as {RUN} does: train, then delay, then test.",
    )
