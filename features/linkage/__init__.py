"""Probabilistic linkage of nominal records: which of them are one person, and how sure that is.

It reads names and addresses, so nothing that computes a feature, a label or a score may import what is in here except
``features.linkage.store``, which hands over references, probabilities and clocks alone (``features.nominals``).
"""
