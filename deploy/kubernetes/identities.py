"""Let the service accounts of a namespace sign for the steps: `python identities.py NAMESPACE`.

Rewrites `layout.json` and `principals.json` of this checkout: each workload of the first issuer,
such as `/steps/feature_store`, becomes the account `feature-store` of the namespace. It counts once
two policy authors released it.
"""

import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "policies" / "data"


def of_accounts(value: Any, namespace: str) -> Any:  # noqa: ANN401 - JSON
    """A document whose workloads are the service accounts of a namespace."""
    if isinstance(value, list):
        return [of_accounts(item, namespace) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("issuer") == "workloads" and value.get("subject"):
        account = value["subject"].rpartition("/")[2].replace("_", "-")
        subject = f"https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"
        return value | {"issuer": "kubernetes", "subject": subject}
    return {name: of_accounts(item, namespace) for name, item in value.items()}


def main(namespace: str) -> None:
    """Rewrite both documents."""
    for name in ("layout.json", "principals.json"):
        path = DATA / name
        changed = of_accounts(json.loads(path.read_bytes()), namespace)
        path.write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
