"""Identities, not spellings: when two names are one identity, and when they are one person.

Whose signature counts is asked by `canonical`: an address in small letters, without a dot at the
end of its domain. Who is independent of whom is asked by `person`, which takes more for the same:
`name+tag` is the mailbox `name`. Workloads are exact paths. Addresses are ASCII: what else could
be written in two ways is not accepted at enrolment, nor can a certificate carry it. A domain in
another script is its `xn--` form, which is one name. Dots within a name tell people apart.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from fraud_provenance.attested.statements.statements import Identity

PEOPLE = "people"


class Party(Protocol):
    """Whoever has a name and identities, such as a principal."""

    @property
    def id(self) -> str: ...  # noqa: D102 - a name

    @property
    def identities(self) -> tuple[Identity, ...]: ...  # noqa: D102 - as the class says


def canonical(identity: Identity) -> Identity:
    """The one form of an identity: what a signer is known by, however the address was spelled."""
    if identity.issuer != PEOPLE or not identity.subject.isascii():
        return identity
    return Identity(issuer=PEOPLE, subject=identity.subject.lower().removesuffix("."))


def of_person(email: str) -> Identity:
    """The identity of a person who gave this address."""
    return canonical(Identity(issuer=PEOPLE, subject=email.strip()))


def person(identity: Identity) -> Identity:
    """What all addresses of one mailbox have in common; a workload is only itself."""
    found = canonical(identity)
    local, at, domain = found.subject.partition("@")
    name = local.partition("+")[0] or local
    return Identity(issuer=found.issuer, subject=f"{name}{at}{domain}") if at else found


def groups(parties: Iterable[Party]) -> list[list[Party]]:
    """The parties, those together that share a name or a person, directly or through others."""
    found: list[tuple[set[object], list[Party]]] = []
    for party in parties:
        marks: set[object] = {party.id.lower(), *map(person, party.identities)}
        members = [party]
        apart = []
        for known, before in found:
            if known & marks:
                marks |= known
                members = [*before, *members]
            else:
                apart.append((known, before))
        found = [*apart, (marks, members)]
    return [members for _, members in found]


def names(parties: Sequence[Party]) -> str:
    """Some parties with their addresses, for messages."""
    return " and ".join(
        f"{party.id} ({', '.join(item.subject for item in party.identities)})" for party in parties
    )
