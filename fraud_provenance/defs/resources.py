"""Resources and executor, bound in one place."""

import dagster as dg

from fraud_provenance.defs.training import TrainingResource
from fraud_provenance.resources import ProvenanceResource


@dg.definitions
def resources() -> dg.Definitions:
    """One process runs a whole graph: a process a step would import everything again (3 s each)."""
    from fraud_provenance.defs.support import dbt_resource, mlflow_resource

    return dg.Definitions(
        resources={
            "provenance": ProvenanceResource(),
            "training": TrainingResource(),
            "mlflow": mlflow_resource,
            "dbt": dbt_resource(),
        },
        executor=dg.in_process_executor,
    )
