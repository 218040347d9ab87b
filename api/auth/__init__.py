"""Signing in: the table of who may what, accounts, sessions, tokens, restricted records, the identity provider."""
