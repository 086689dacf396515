"""Resources and executor, bound in one place."""

import dagster as dg

from fraud_provenance.defs.training import CONFIGURED
from fraud_provenance.resources import HERE


@dg.definitions
def resources() -> dg.Definitions:
    """One process runs a whole graph: a process a step would import everything again (3 s each)."""
    from fraud_provenance.defs.support import dbt_resource, mlflow_resource

    return dg.Definitions(
        resources={
            "provenance": HERE,
            "training": CONFIGURED,
            "mlflow": mlflow_resource,
            "dbt": dbt_resource(),
        },
        executor=dg.in_process_executor,
    )
