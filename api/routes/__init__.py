"""The routes: JSON under /api/v1 and, at the same path without the prefix, a page."""
