"""The service under load: what officers wait for while lists are published and rows come in."""
