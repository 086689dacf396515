"""Dagster's pages and its daemon as `ui` starts them: `python -m … pages` or `daemon`, then theirs.

Each asks the code server every second whether it is another one, over a new connection: a fifth of
what an idle `ui` costs. Here the code server is `ui`'s own. It is never another one, and when it
ends, `ui` ends. For the interval Dagster has a constant and no option.
"""

import runpy
import sys
from typing import Final

from dagster._grpc import server_watcher

import fraud_provenance.causes  # noqa: F401 - no refusal is shown without its remedy

MODULES: Final = {"pages": "dagster_webserver", "daemon": "dagster._daemon"}
LOOK_S: Final = 15


def main() -> None:
    """Run the service named first with the arguments after it."""
    module = MODULES[sys.argv.pop(1)]
    server_watcher.WATCH_INTERVAL = LOOK_S
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
