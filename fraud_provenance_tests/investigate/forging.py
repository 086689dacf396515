"""Files that differ from an honest one in one thing, packed anew so that the rest still fits."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

import verify_bundle
from fraud_provenance_tests.mutations import bent, mutations

Members = Mapping[str, bytes]
KINDS = ("bytes", "cut", "listing", "document", "payload", "bytes of a member", "removed",
         "exchanged", "added", "doubled")  # fmt: skip


def kind_of(name: str) -> str:
    """What a member's name says that it is."""
    return next(kind for kind, form in verify_bundle.NAMES.items() if form.fullmatch(name))


def named(name: str, content: bytes) -> str:
    """The name that a member of other bytes has."""
    digest = verify_bundle.sha256(content)
    names = {
        "bundle": f"evidence/bundles/{digest}.sigstore.json",
        "manifest": f"evidence/manifests/{digest}.json",
        "object": f"trust/objects/{digest}",
    }
    return names.get(kind_of(name), name)


def packed(listing: Mapping[str, Any], members: Members) -> bytes:
    """A file of these members whose listing says what they are."""
    ordered = dict(sorted(members.items()))
    listed = [
        {"name": name, "sha256": verify_bundle.sha256(data), "size": len(data),
         "kind": kind_of(name)}
        for name, data in ordered.items()
    ]  # fmt: skip
    first = verify_bundle.canonical({**listing, "members": listed})
    return verify_bundle.pack({"proof.json": first} | ordered)


@st.composite
def forged(draw: st.DrawFn, content: bytes, donor: Members) -> tuple[str, bytes]:
    """(what was done, a file that differs from `content`); `donor` has evidence of other things."""
    listing, members = verify_bundle.unpack(content)
    what = draw(st.sampled_from(KINDS))
    if what == "bytes":
        found = bytearray(content)
        bit = draw(st.integers(0, len(found) * 8 - 1))
        found[bit // 8] ^= 1 << bit % 8
        return what, bytes(found)
    if what == "cut":
        return what, content[: draw(st.integers(0, len(content) - 1))]
    if what == "listing":
        other = draw(mutations(listing))
        return what, verify_bundle.pack({"proof.json": _json(other)} | members)
    made = packed(listing, draw(_changed(what, members, donor)))
    assume(made != content)
    return what, made


@st.composite
def _changed(draw: st.DrawFn, what: str, members: Members, donor: Members) -> Members:
    changed = dict(members)
    names = sorted(members)
    if what in ("document", "payload"):
        names = [name for name in names if kind_of(name) in ("bundle", "manifest")]
    if what == "payload":
        names = [name for name in names if kind_of(name) == "bundle"]
    kind = draw(st.sampled_from(sorted({kind_of(name) for name in names})))
    name = draw(st.sampled_from([item for item in names if kind_of(item) == kind]))
    match what:
        case "removed":
            del changed[name]
        case "exchanged":
            other = draw(st.sampled_from(sorted(set(members) - {name})))
            changed[name], changed[other] = members[other], members[name]
        case "added":
            fresh = sorted(set(donor) - set(members))
            assume(fresh)
            more = draw(st.sampled_from(fresh))
            changed[more] = donor[more]
        case "doubled":
            content = _json(_spaced(members[name]))
            assume(content is not None)
            changed[named(name, content)] = content
        case _:
            content = draw(_other(what, changed.pop(name)))
            changed[named(name, content)] = content
    return changed


@st.composite
def _other(draw: st.DrawFn, what: str, content: bytes) -> bytes:
    if what == "bytes of a member":
        assume(content)
        found = bytearray(content)
        bit = draw(st.integers(0, len(found) * 8 - 1))
        found[bit // 8] ^= 1 << bit % 8
        return bytes(found)
    document = json.loads(content)
    if what == "document":
        return _json(draw(mutations(document)))
    envelope = document["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    envelope["payload"] = base64.b64encode(_json(draw(mutations(payload)))).decode()
    if draw(st.booleans()):
        envelope["signatures"][0]["sig"] = draw(bent(envelope["signatures"][0]["sig"]))
    return _json(document)


def _spaced(content: bytes) -> Any:  # noqa: ANN401 - a document, or nothing
    try:
        return {**json.loads(content), "and": 1}
    except ValueError:
        return {"x": content.hex()[:64]}


def _json(document: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return verify_bundle.canonical(document)
