"""What a user sees: the command line, the JSON interface and the plain pages over the same answers."""
