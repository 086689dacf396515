"""What a model contains, as a CycloneDX 1.6 machine-learning bill of materials."""

from typing import Any


def ml_bom(
    *,
    name: str,
    model_sha256: str,
    training_sha256: str,
    feature_contract: dict[str, Any],
    parameters: dict[str, Any],
    library: dict[str, str],
) -> dict[str, Any]:
    """The bill of materials of one model; it names no time, so that the same model gives the same.

    Args:
        name: The model's name.
        model_sha256: SHA-256 of the UBJ bytes.
        training_sha256: SHA-256 of the training file.
        feature_contract: As made with the model: inputs, output, threshold.
        parameters: The requested parameters.
        library: name and version of the training library.

    Source: CycloneDX 1.6, `component.modelCard`.
    """
    data = f"training-set:{training_sha256}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": f"model:{model_sha256}",
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": model_sha256}],
                "modelCard": {"modelParameters": _model_parameters(data, feature_contract)},
                "properties": [
                    {"name": f"parameter:{key}", "value": str(value)}
                    for key, value in sorted(parameters.items())
                ],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{library['name']}@{library['version']}",
                "name": library["name"],
                "version": library["version"],
            },
            {
                "type": "data",
                "bom-ref": data,
                "name": "training_set/train.parquet",
                "hashes": [{"alg": "SHA-256", "content": training_sha256}],
            },
        ],
    }


def _model_parameters(data: str, feature_contract: dict[str, Any]) -> dict[str, Any]:
    return {
        "approach": {"type": "supervised"},
        "task": "fraud detection",
        "modelArchitecture": "gradient boosted trees",
        "datasets": [{"ref": data}],
        "inputs": [{"format": input_} for input_ in feature_contract["names"]],
        "outputs": [{"format": feature_contract["output"]}],
    }
