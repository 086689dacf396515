"""fraud_provenance: every fraud score, provable back to the raw transactions."""
