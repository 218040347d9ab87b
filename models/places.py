"""Places on a list: who takes how many of them, under any weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.metrics import Board
from models.ranking import figure as number
from models.ranking import share_of

__all__ = ["number", "on_list", "places_of"]

Array = npt.NDArray[np.float64]


def on_list(place: Array, weight: Array, part: float) -> tuple[npt.NDArray[np.intp], Array]:
    """Who takes the best ``part`` of the weight: rows, and the places each takes (rows x draws).

    Rows tied at the cut share what is left, so that places are the exact expectation over their orders.
    """
    board = Board(place, weight)
    if not board.n:
        return np.zeros(0, dtype=np.intp), np.zeros((0, board.weight.shape[1]))
    places = min(part, 1.0) * board.total
    full = np.flatnonzero((board.upto >= places - 1e-9).all(axis=1))
    groups = int(full[0]) + 1 if len(full) else len(board.starts)
    held = np.diff(board.upto[:groups], axis=0, prepend=0.0)
    taken = np.clip(places - (board.upto[:groups] - held), 0.0, held)
    fraction = np.divide(taken, held, out=np.zeros_like(held), where=held > 0)
    members = board.order[: board.ends[groups - 1]]
    sizes = (board.ends - board.starts)[:groups]
    return members, np.repeat(fraction, sizes, axis=0) * board.weight[members]


def places_of(order: Array, places: float) -> Array:
    """Places of the list taken by each person, everybody counting once (n values, ties at the cut share)."""
    listed, taken = on_list(order, np.ones((len(order), 1)), share_of(places, len(order)))
    out = np.zeros(len(order))
    out[listed] = taken[:, 0]
    return out
