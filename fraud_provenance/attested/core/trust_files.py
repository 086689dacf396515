"""The files of a trust root as bytes: the same content gives the same bytes, whoever writes it."""

import json
from typing import Any


def json_file(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    r"""A JSON file that a person may read.

    >>> json_file({"b": 1, "a": []})
    b'{\n  "a": [],\n  "b": 1\n}\n'
    """
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


def client_trust_config(trusted_root: Any, signing_config: Any) -> bytes:  # noqa: ANN401 - JSON
    """Whom to believe and where to sign in one file, as Sigstore's clients want it.

    >>> sorted(json.loads(client_trust_config({}, {})))
    ['mediaType', 'signingConfig', 'trustedRoot']
    """
    return json_file(
        {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": trusted_root,
            "signingConfig": signing_config,
        }
    )
