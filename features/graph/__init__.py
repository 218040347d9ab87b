"""Relationships as of T: who is tied to whom, how and since when; in bulk, and around one person."""
