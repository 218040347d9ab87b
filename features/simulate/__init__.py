"""A force that never was: a mechanistic simulator of domestic-abuse records, with the truth and an oracle apart."""

from features.simulate.parameters import WORLDS
from features.simulate.run import simulate

__all__ = ["WORLDS", "simulate"]
