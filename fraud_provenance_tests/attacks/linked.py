"""The command line on another project, run by the code that this environment is linked to.

As the cases are played. A model that another work tree's code made says that its environment was
not as locked, and would be made anew by whoever comes next.
"""

import sys
from pathlib import Path

from fraud_provenance.cli import application as cli
from fraud_provenance_tests.attacks.home import on_project

if __name__ == "__main__":
    with on_project(Path(sys.argv[1])):
        sys.exit(cli.execute(sys.argv[2:]))
