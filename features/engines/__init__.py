"""Two engines for one catalogue: ``reference`` (obvious, plain Python) and ``fast`` (Polars and NumPy)."""
