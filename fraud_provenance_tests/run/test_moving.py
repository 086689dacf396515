"""A home that moves to servers: what is refused before anything is touched."""

from dataclasses import replace
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance.home.server_settings import Mlflow
from fraud_provenance.home.settings import Place, Settings
from fraud_provenance.run import moving
from fraud_provenance_tests.conftest import codes

STORE = Place(place="s3://evidence/home", endpoint="https://store.example.com")
OTHER = STORE.model_copy(update={"place": "s3://other/home"})
SERVER, OTHER_SERVER = (Mlflow(server=f"https://{name}.example.com") for name in ("a", "b"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"environment": "production"}, "environment"),
        ({}, {"tokens": Path("/run/tokens")}, "tokens"),
        ({"evidence": STORE}, {"evidence": OTHER}, "[evidence]"),
        ({"evidence": STORE}, {}, "[evidence]"),
        ({"data": STORE}, {"data": OTHER}, "[data]"),
        ({"mlflow": SERVER}, {"mlflow": OTHER_SERVER}, "[mlflow]"),
        ({}, {"mlflow": SERVER}, "not named"),
    ],
)
def test_a_home_that_would_be_another_one_is_refused(
    before: dict[str, object], after: dict[str, object], said: str, tmp_path: Path
) -> None:
    plain = Settings(home=tmp_path)
    with pytest.raises(ConfigError) as refused:
        moving.move(
            replace(plain, **before), replace(plain, **after), tmp_path / "none", "", print  # type: ignore[arg-type]
        )  # fmt: skip
    assert codes(refused.value) == ["USAGE"]
    assert said in refused.value.reasons[0].message
    assert not list(tmp_path.iterdir())


def test_records_that_moved_are_set_aside_once(tmp_path: Path) -> None:
    database = tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(b"records")
    for _ in range(2):
        moving.set_aside(tmp_path)
        assert [path.name for path in database.parent.iterdir()] == ["mlflow.db.moved"]
