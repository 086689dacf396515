"""What people decide about data and models: approve, revoke, roll back, waive."""
