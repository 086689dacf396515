"""Where Spark can be tested: with the extra and with Java."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

_JAVA = (
    shutil.which("java") or (Path(os.environ.get("JAVA_HOME") or "/usr") / "bin" / "java").is_file()
)
NEEDS_SPARK = [
    pytest.mark.spark,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None, reason="PySpark is missing: `make spark`"
    ),
    pytest.mark.skipif(not _JAVA, reason="Java is missing"),
]
