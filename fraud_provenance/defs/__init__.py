"""The asset graph, one file a stage, in flow order.

ingest → contracts → transform (dbt) → features (Feast) → training → release → scoring; beside them
alerts, automation and resources. Bodies are thin: knowledge is in `fraud`, trust in `gates`.
"""
