"""What people decide about data and models: approve, accept, revoke, roll back, waive."""
