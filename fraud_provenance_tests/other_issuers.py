"""A real local Sigstore that believes other issuers, too: they lie beside the home's own two.

Each is static: a discovery document, and a key set whose private half a test holds to mint tokens
as a platform would. Fulcio makes its certificates as for the platforms themselves.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from fraud_provenance.attested.core.files import write_atomic
from fraud_provenance.attested.local import trust_root
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.listening import listening

REPOSITORY, BRANCH = "Acme/fraud", "refs/heads/main"
WORKFLOW = f"{REPOSITORY}/.github/workflows/ingest.yml"
PIPELINE = f"gitlab.example.com/acme/fraud//.gitlab-ci.yml@{BRANCH}"
SUBJECTS = {
    "github": f"https://github.com/{WORKFLOW}@{BRANCH}",
    "gitlab": f"https://{PIPELINE}",
    "kubernetes": "https://kubernetes.io/namespaces/fraud/serviceaccounts/features",
    "spiffe": "spiffe://fraud.example.com/steps/contracts",
}
_WORKFLOW_OF = {  # as Fulcio's own configuration for these two platforms maps their claims
    "github-workflow": {
        "subject-alternative-name-template": "https://github.com/{{ .job_workflow_ref }}",
        "extension-templates": {
            "build-signer-uri": "https://github.com/{{ .job_workflow_ref }}",
            "source-repository-uri": "https://github.com/{{ .repository }}",
            "source-repository-digest": "sha",
            "source-repository-ref": "ref",
        },
    },
    "gitlab-pipeline": {
        "subject-alternative-name-template": "https://{{ .ci_config_ref_uri }}",
        "extension-templates": {
            "build-signer-uri": "https://{{ .ci_config_ref_uri }}",
            "source-repository-uri": "https://gitlab.example.com/{{ .project_path }}",
            "source-repository-ref": "ref_path",
        },
    },
}
_TYPES: dict[str, dict[str, str]] = {
    "github": {"type": "ci-provider", "ci-provider": "github-workflow"},
    "gitlab": {"type": "ci-provider", "ci-provider": "gitlab-pipeline"},
    "kubernetes": {"type": "kubernetes"},
    "spiffe": {"type": "spiffe", "spiffe-trust-domain": "fraud.example.com"},
}
CLAIMS: dict[str, dict[str, Any]] = {
    "github": {
        "sub": f"repo:{REPOSITORY}:ref:{BRANCH}", "job_workflow_ref": f"{WORKFLOW}@{BRANCH}",
        "repository": REPOSITORY, "ref": BRANCH, "sha": "1" * 40,
    },
    "gitlab": {
        "sub": f"project_path:acme/fraud:ref:{BRANCH}", "ci_config_ref_uri": PIPELINE,
        "project_path": "acme/fraud", "ref_path": BRANCH,
    },
    "kubernetes": {
        "sub": "system:serviceaccount:fraud:features",
        "kubernetes.io": {
            "namespace": "fraud", "serviceaccount": {"name": "features", "uid": "1"},
            "pod": {"name": "run-1", "uid": "2"},
        },
    },
    "spiffe": {"sub": SUBJECTS["spiffe"]},
}  # fmt: skip


@dataclass
class Platforms:
    """The other issuers of one home."""

    urls: dict[str, str] = field(default_factory=dict)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def token(self, issuer: str, **claims: Any) -> str:
        """What a platform says of a job, a pod or a workload; `claims` say otherwise."""
        now = int(time.time())
        said = {"iss": self.urls[issuer], "aud": "sigstore", "iat": now, "exp": now + 300}
        key = self.keys[issuer]
        header = {"kid": trust_root.key_id(key.public_key())}
        return jwt.encode(said | CLAIMS[issuer] | claims, key, algorithm="ES256", headers=header)


def add_issuers(workspace: Workspace) -> Platforms:
    """Make the home's trust root with all of them, before its servers start."""
    (workspace.home / "run").mkdir(parents=True, exist_ok=True)
    base = trust_root.ensure(workspace.home).url("issuer")
    trust, found = workspace.home / "trust", Platforms()
    fulcio = yaml.safe_load((trust / "fulcio_identities.yaml").read_text("utf-8"))
    known = json.loads((trust / "issuers.json").read_text("utf-8"))
    for name, kind in _TYPES.items():
        url = found.urls[name] = known[name] = f"{base}/{name}"
        key = found.keys[name] = ec.generate_private_key(ec.SECP256R1())
        folder = trust / "issuers" / name
        (folder / ".well-known").mkdir(parents=True)
        discovery = folder / ".well-known" / "openid-configuration"
        discovery.write_text(json.dumps(trust_root._discovery(url)))
        (folder / "keys").write_text(json.dumps({"keys": [trust_root._jwk(key.public_key())]}))
        fulcio["oidc-issuers"][url] = {"issuer-url": url, "client-id": "sigstore", **kind}
    fulcio["ci-issuer-metadata"] = _WORKFLOW_OF
    write_atomic(trust / "fulcio_identities.yaml", yaml.safe_dump(fulcio).encode())
    write_atomic(trust / "issuers.json", json.dumps(known).encode())
    return found


def name_others(policies: Path, steps: Mapping[str, str]) -> None:
    """Give steps (path of the workload → issuer) to the subjects of other issuers."""

    def changed(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, list):
            return [changed(item) for item in value]
        if not isinstance(value, dict):
            return value
        issuer = steps.get(str(value.get("subject"))) if value.get("issuer") == "workloads" else ""
        if issuer:
            return value | {"issuer": issuer, "subject": SUBJECTS[issuer]}
        return {name: changed(item) for name, item in value.items()}

    for name in ("layout", "principals"):
        path = policies / "data" / f"{name}.json"
        path.write_text(json.dumps(changed(json.loads(path.read_text("utf-8"))), indent=2))


@contextmanager
def actions_endpoint(token: str, status: int = 200) -> Iterator[dict[str, str]]:
    """The endpoint at which a job of GitHub Actions asks for its token; the job's variables."""
    bearer = f"{len(token)}-of-this-job"

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_asked = self.headers["Authorization"] == f"bearer {bearer}"
            right = is_asked and self.path.endswith("api-version=2&audience=sigstore")
            self.send_response(status if right else 403)
            self.end_headers()
            self.wfile.write(json.dumps({"value": token}).encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    with listening(Answer) as port:
        yield {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{port}/?api-version=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer,
        }
