"""What the product's own vocabularies are made of."""

from fraud_provenance.attested.core.codes import Cause, Kind


class Told(Cause):
    """A root cause that brings its remedy: a row is `NAME = auto(), meaning, remedy[, kind]`."""

    remedy: str

    def __init__(self, code: str, meaning: str, remedy: str, kind: Kind = Kind.REFUSED) -> None:
        super().__init__(code, meaning, kind)
        self.remedy = remedy
