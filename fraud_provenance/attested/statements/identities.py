"""Identities, not spellings: when two names are one identity, and when they are one person.

Whose signature counts is asked by `canonical`: an address in small letters, without a dot at the
end of its domain. Who is independent of whom is asked by `person`, which takes more for the same:
`name+tag` is the mailbox `name`. Workloads are exact paths. Addresses are ASCII: what else could
be written in two ways is not accepted at enrolment, nor can a certificate carry it. A domain in
another script is its `xn--` form, which is one name. Dots within a name tell people apart.

Workloads of other issuers are the exact URI that stands in their certificate. Two spellings of one
repository, which hosting sites do not tell apart, are `folded` together, and no policy has both.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from fraud_provenance.attested.statements.statements import Identity

PEOPLE = "people"
WORKLOADS = "workloads"
_WORD = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
_HOST = r"[a-z0-9]+([.-][a-z0-9]+)*"
_LABEL = r"[a-z0-9]+(-+[a-z0-9]+)*"
_OWNER = r"[A-Za-z0-9]+(-+[A-Za-z0-9]+)*"
_BRANCH = rf"refs/(heads|tags)/{_WORD}(/{_WORD})*"
FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    WORKLOADS: re.compile(r"(/[a-z0-9]+([_-][a-z0-9]+)*)+"),
    PEOPLE: re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"),
    "github": re.compile(
        rf"https://{_HOST}/{_OWNER}/{_WORD}/\.github/workflows/{_WORD}\.ya?ml@{_BRANCH}"
    ),
    "gitlab": re.compile(rf"https://{_HOST}(/{_WORD}){{2,}}//\.?{_WORD}(/{_WORD})*@{_BRANCH}"),
    "kubernetes": re.compile(
        rf"https://kubernetes\.io/namespaces/{_LABEL}/serviceaccounts/{_LABEL}(\.{_LABEL})*"
    ),
    "spiffe": re.compile(rf"spiffe://{_HOST}(/{_WORD})+"),
}
"""Issuer → what its identities may look like. Nothing that a reader could take for more than one.

GitHub and GitLab: a file that says what runs, at a branch or a tag; nobody signs by a pull request.
"""
_REPOSITORY_ENDS: Final[Mapping[str, str]] = {"github": "/.github/", "gitlab": "//"}


class Party(Protocol):
    """Whoever has a name and identities, such as a principal."""

    @property
    def id(self) -> str: ...  # noqa: D102 - a name

    @property
    def identities(self) -> tuple[Identity, ...]: ...  # noqa: D102 - as the class says


def canonical(identity: Identity) -> Identity:
    """The one form of an identity: what a signer is known by, however the address was spelled.

    >>> str(canonical(Identity(issuer="people", subject="Ann@Example.com.")))
    'ann@example.com (people)'
    """
    if identity.issuer != PEOPLE or not identity.subject.isascii():
        return identity
    return Identity(issuer=PEOPLE, subject=identity.subject.lower().removesuffix("."))


def of_person(email: str) -> Identity:
    """The identity of a person who gave this address.

    >>> of_person(" Ann@example.com").subject
    'ann@example.com'
    """
    return canonical(Identity(issuer=PEOPLE, subject=email.strip()))


def is_exact(identity: Identity) -> bool:
    """Whether this is one exact name of an issuer that is known here.

    >>> is_exact(Identity(issuer="workloads", subject="/steps/train"))
    True
    >>> is_exact(Identity(issuer="workloads", subject="/steps/.*"))
    False
    """
    form = FORMS.get(identity.issuer)
    return form is not None and form.fullmatch(identity.subject) is not None


def named(name: str) -> Identity:
    """The identity that a person means by a name: its form tells the issuer; else an address.

    >>> named("/steps/train").issuer, named("ann@example.com").issuer
    ('workloads', 'people')
    >>> named("spiffe://bank.example/ns/fraud/sa/train").issuer
    'spiffe'
    """
    known = (Identity(issuer=issuer, subject=name) for issuer in FORMS)
    else_ = Identity(issuer=WORKLOADS if name.startswith("/") else PEOPLE, subject=name)
    return next((one for one in known if is_exact(one)), else_)


def repository(identity: Identity) -> tuple[str, str] | None:
    """(address, reference) of the repository whose own workflow an identity is, if it is one.

    >>> path = "https://github.com/bank/fraud/.github/workflows/train.yml@refs/heads/main"
    >>> repository(named(path))
    ('https://github.com/bank/fraud', 'refs/heads/main')
    >>> repository(named("/steps/train")) is None
    True
    """
    end = _REPOSITORY_ENDS.get(identity.issuer)
    if end is None:
        return None
    address, _, file = identity.subject.rpartition(end)
    return address, file.rpartition("@")[2]


def folded(identity: Identity) -> Identity:
    """What all spellings of one identity have in common: hosting sites see no capitals.

    >>> path = ".github/workflows/train.yml@refs/heads/main"
    >>> spelled = (named(f"https://github.com/{name}/fraud/{path}") for name in ("Bank", "bank"))
    >>> len({folded(identity) for identity in spelled})
    1
    """
    found = repository(identity)
    if found is None:
        return canonical(identity)
    address = found[0]
    subject = address.lower() + identity.subject.removeprefix(address)
    return Identity(issuer=identity.issuer, subject=subject)


def person(identity: Identity) -> Identity:
    """What all addresses of one mailbox have in common; a workload is only itself.

    >>> person(of_person("ann+approvals@example.com")) == person(of_person("ann@example.com"))
    True
    """
    found = folded(identity)
    if found.issuer != PEOPLE:
        return found
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
