"""What is wrong with an event by the published schemas of OpenLineage. Nothing is fetched.

Each facet is judged by the very schema that it names, and an unknown name is a fault.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from referencing import Registry, Resource

SPEC = Path(__file__).with_name("openlineage_spec")
OWN = Path(__file__).resolve().parents[2] / "docs" / "openlineage-evidence.json"
_FACETS = ("facets", "inputFacets", "outputFacets")

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or ("T" in text and bool(datetime.fromisoformat(text).tzinfo))


@FORMATS.checks("uri", raises=ValueError)
def _is_uri(text: object) -> bool:
    return not isinstance(text, str) or (bool(urlsplit(text).scheme) and " " not in text)


@FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(text: object) -> bool:
    return not isinstance(text, str) or str(uuid.UUID(text)) == text


def _schemas() -> "Registry[Any]":
    paths = [SPEC / "OpenLineage.json", *sorted((SPEC / "facets").glob("*.json")), OWN]
    documents = [json.loads(path.read_text("utf-8")) for path in paths]
    return Registry().with_resources(
        [(item["$id"], Resource.from_contents(item)) for item in documents]
    )


SCHEMAS = _schemas()


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event, facets included, by the schemas that it names."""
    found = [f"event: {text}" for text in _against(event["schemaURL"], event)]
    for place, facet in facets_of(event):
        found += [f"{place}: {text}" for text in _against(facet["_schemaURL"], facet)]
    return found


def facets_of(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every facet of an event, with its place."""
    for owner in (event["run"], event["job"], *event.get("inputs", []), *event.get("outputs", [])):
        for kind in _FACETS:
            for name, facet in (owner.get(kind) or {}).items():
                yield f"{owner.get('name', 'run')}.{kind}.{name}", facet


def _against(reference: str, value: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(
        {"$ref": reference}, registry=SCHEMAS, format_checker=FORMATS
    )
    return [error.message[:300] for error in validator.iter_errors(value)]
