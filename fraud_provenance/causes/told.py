"""What the product's own vocabularies are made of, and the commands that remedies tell to type.

A word in capitals is a place that the person fills in; everything else is typed as it stands.
"""

from typing import Final

from fraud_provenance.attested.core.codes import Cause, Kind

UP: Final = "`fraud-provenance up`"
RESTORE: Final = "`fraud-provenance up --restore`"
HOME: Final = "`fraud-provenance home`"
RUN: Final = "`fraud-provenance run`"
IMPORT: Final = "`fraud-provenance import FILE`"
DELIVER: Final = f"{IMPORT}, then {RUN}"
REPLACE: Final = f"`fraud-provenance import FILE --replace`, then {RUN}"
ACCEPT: Final = "`fraud-provenance accept ASSET DAY --as EMAIL --reason TEXT`"
WAIVE: Final = "`fraud-provenance waive raw_transactions DAY --reason TEXT`"
ROLLBACK_DAY: Final = "`fraud-provenance rollback raw_transactions DAY --to DIGEST`"
PUT_BACK: Final = "`fraud-provenance rollback ASSET PARTITION`"
APPROVE: Final = (
    "`fraud-provenance approve model@candidate --environment ENV --as EMAIL --reason TEXT`"
)
RELEASE: Final = "`fraud-provenance approve policies --environment ENV --as EMAIL --reason TEXT`"
RELEASED: Final = f"two policy authors, each with {RELEASE}"
TOOLS: Final = (
    "delete the folder that `tools/build.sh --dir` prints (a tool that is there is kept), then "
    "`make tools`"
)
BACKUP: Final = "Copy the backup of evidence/ over the home's and keep what is newer there"

OUT: Final = (
    "Find out who put it there. Remove the bundle that is named from evidence/bundles/, and "
    f"evidence/index.sqlite, which is made anew. {BACKUP}."
)
FORGED: Final = f"Treat the bundle as forged. {OUT}"
MISSIGNED: Final = (
    f"{FORGED} `fraud-provenance revoke log:N --reason TEXT`, with the log entry that is named, "
    f"withdraws its entry; {RUN} makes anew what is missing, and a model made anew is approved "
    f"anew: {APPROVE}, then {RUN}."
)


FACTS: Final = (
    "The product's code tells a gate these facts, and policies/schemas say which ones it takes: "
    "put code and policies of one commit together (`git checkout -- policies`), and have the "
    f"policies signed by {RELEASED}."
)


def of_day(remedy: str, asset: str, day: str) -> str:
    """A remedy with the day filled in that it is about.

    >>> of_day("If it is right: `fraud-provenance accept ASSET DAY`.", "raw", "2018-04-01")
    'If it is right: `fraud-provenance accept raw 2018-04-01`.'
    """
    return remedy.replace("ASSET DAY", f"{asset} {day}")


class Told(Cause):
    """A root cause that brings its remedy: a row is `NAME = auto(), meaning, remedy[, kind]`."""

    remedy: str

    def __init__(self, code: str, meaning: str, remedy: str, kind: Kind = Kind.REFUSED) -> None:
        super().__init__(code, meaning, kind)
        self.remedy = remedy
