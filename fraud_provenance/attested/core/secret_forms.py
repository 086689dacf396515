"""What private keys, tokens and passwords look like. Nothing here imports, so that errors may.

Each form has a mark, some letters of its own: only where they stand is a pattern tried. Every
repetition has a bound, so that the time grows with the length of the text and no faster.
Digests, identifiers, signatures and certificates have none of these forms.
"""

import re
from base64 import b64encode
from typing import Final

HIDDEN: Final = "[secret]"
_PEM_KINDS: Final = ("", "EC ", "RSA ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ")
_PEM: Final = (
    rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]){1,8}"
    rb"[A-Za-z0-9+/=:, -]{16,65536}"
)
# a JSON web key with its private half, also as text within JSON
_KTY: Final = rb'\\{0,3}"kty\\{0,3}"'
_HALF: Final = rb'\\{0,3}"d\\{0,3}": ?\\{0,3}"[A-Za-z0-9_-]{32,4096}\\{0,3}"'
_KEYS: Final = {  # mark → pattern
    b"PRIVATE KEY": _PEM,
    b"AGE-SECRET-KEY-": rb"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58,4096}",
    b"PRIVATE+KEY+": rb"PRIVATE\+KEY\+[^+\s]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{20,128}",
    b"PuTTY-User-Key": rb"PuTTY-User-Key-File-[0-9]: [a-z0-9@.-]{1,64}",
    # PKCS#8, SEC 1 and PKCS#1 keys in base64 without their frame: P-256, Ed25519, RSA
    b"MIGHAgEAM": rb"MIGHAgEAMBMGByqG[A-Za-z0-9+/=]{32,65536}",
    b"MHcCAQEEI": rb"MHcCAQEEI[A-Za-z0-9+/=]{32,65536}",
    b"MC4CAQAwB": rb"MC4CAQAwBQYDK2Vw[A-Za-z0-9+/=]{32,65536}",
    b"IBADANBgkqhkiG9w0B": rb"MII[A-Za-z0-9+/]{3}IBADANBgkqhkiG9w0B[A-Za-z0-9+/=]{32,65536}",
    b"IBAAKCA": rb"MII[A-Za-z0-9+/]{3}IBAAKCA[A-Za-z0-9+/=]{32,65536}",
    b"kty": b"%s[^{}]{0,8192}%s|%s[^{}]{0,8192}%s" % (_HALF, _KTY, _KTY, _HALF),
    b"LS0tLS1CRUdJTi": b"(?:%s)[A-Za-z0-9+/=]{0,65536}"
    % b"|".join(
        # base64 of the frame's beginning, without the last letters: they depend on what follows
        re.escape(b64encode(f"-----BEGIN {kind}PRIVATE KEY".encode())[:-4])
        for kind in _PEM_KINDS
    ),
}
_TOKENS: Final = {
    # a JSON web token; alone, its parts are what any base64 of JSON is
    b"eyJ": rb"eyJ[A-Za-z0-9_-]{8,1024}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,2048}",
    # a mark a kind: two letters alone stand in any large file, and then a pattern runs over it
    **{b"gh%c_" % kind: rb"\bgh%c_[A-Za-z0-9]{36,255}\b" % kind for kind in b"pousr"},
    b"github_pat_": rb"\bgithub_pat_[A-Za-z0-9_]{36,255}",
    b"glpat-": rb"\bglpat-[A-Za-z0-9_-]{20,255}",
    b"AKIA": rb"\bAKIA[0-9A-Z]{16}\b",
    b"ASIA": rb"\bASIA[0-9A-Z]{16}\b",
    b"xox": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}",
    b"hooks.slack.com": rb"hooks\.slack\.com/services/[A-Za-z0-9/_-]{10,255}",
    b"_live_": rb"\b[sr]k_live_[A-Za-z0-9]{16,255}",
    b"AIza": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    b"ya29.": rb"\bya29\.[0-9A-Za-z_-]{20,2048}",
    b"npm_": rb"\bnpm_[A-Za-z0-9]{36}\b",
    b"pypi-": rb"\bpypi-AgE[A-Za-z0-9_-]{50,2048}",
    b"hf_": rb"\bhf_[A-Za-z0-9]{34}\b",
    b"SG.": rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b",
    b"dapi": rb"\bdapi[0-9a-f]{32}\b",
    b"dop_v1_": rb"\bdop_v1_[0-9a-f]{64}\b",
    b"sk-": rb"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{40,255}",
    b"AccountKey=": rb"AccountKey=[A-Za-z0-9+/]{64,128}={0,2}",
}
_PASSWORDS: Final = {
    b"://": rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"]{0,64}:[^\s:/@*\"]{1,255}@",
    b"earer ": rb"\b[Bb]earer [A-Za-z0-9._~+/-]{20,8192}=*",
}
FILES: Final = {
    mark: re.compile(pattern, re.ASCII) for mark, pattern in {**_KEYS, **_TOKENS}.items()
}
"""What may lie nowhere: keys and tokens."""
WORDS: Final = {
    **FILES,
    **{mark: re.compile(pattern, re.ASCII) for mark, pattern in _PASSWORDS.items()},
}
"""What may stand in nothing that is signed, logged or shown: passwords, too."""


def has_form(content: bytes, forms: dict[bytes, re.Pattern[bytes]]) -> bool:
    """Whether one of `forms` (`FILES` or `WORDS`) stands in the bytes."""
    return any(mark in content and forms[mark].search(content) for mark in forms)


def redacted(text: str) -> str:
    """The text with every secret in it replaced; as it is where there is none.

    >>> redacted("it said: Bearer abcdefghijklmnopqrstuvwxyz")
    'it said: [secret]'
    """
    content = text.encode("utf-8", "surrogatepass")
    if not has_form(content, WORDS):
        return text
    for mark, pattern in WORDS.items():
        if mark in content:
            content = pattern.sub(HIDDEN.encode(), content)
    return content.decode("utf-8", "surrogatepass")
