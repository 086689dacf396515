"""Each port's promises, asked of every form that it has."""
