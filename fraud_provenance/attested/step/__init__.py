"""`Step`: the only way to data: what it reads is verified and decided on, what it writes signed."""
