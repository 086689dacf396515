"""A complete Sigstore on one machine: identity issuers, Fulcio, CT, timestamp authority, Rekor v2.

In: a home folder and the pinned Go tools. Out: running servers, the trust configuration that
sigstore-python, cosign and model_signing read, and identity tokens for workloads and people.
Not here: signing, verifying, policy. In production this package is not used at all: only the
trust configuration and the source of the tokens change.
"""

from fraud_provenance.attested.local.processes import ServerStatus
from fraud_provenance.attested.local.sigstore import LocalSigstore
from fraud_provenance.attested.local.tools import cache_folder, tool, tool_digest, tools_dir
from fraud_provenance.attested.local.trust_root import check_private

__all__ = [
    "LocalSigstore", "ServerStatus", "cache_folder", "check_private", "tool", "tool_digest",
    "tools_dir",
]  # fmt: skip
