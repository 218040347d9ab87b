"""One true person, one to four records: which record an event is written under."""

from __future__ import annotations

import numpy as np

from features.simulate.parameters import Floats, Ints
from features.simulate.stage import NAT, Stage


class Nominals:
    """Records of every true person. A person's share of events per record never changes, so each is one more draw.

    ``count[person]`` 1..4; ``first[person]`` the number of his first record; the others follow it. Only records of
    persons who appear are written, under a scrambled number.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.doc = stage, stage.register.doc["records"]
        self._draw = stage.rng("nominals")
        self._rng = stage.rng("nominal of an event")
        self.count: Ints = np.empty(0, dtype=np.int64)
        self.first: Ints = np.empty(0, dtype=np.int64)
        self.main_share: Floats = np.empty(0)
        self.seen: Ints = np.empty(0, dtype=np.int64)
        self.total = 0
        self.used = np.zeros(0, dtype=bool)
        self.grow()

    def grow(self) -> None:
        """Give records to every person of the register who has none yet."""
        more = self.stage.register.person["sex"].n - len(self.count)
        if more <= 0:
            return
        doc, rng = self.doc, self._draw
        extra = rng.choice(3, more, p=np.array(doc["duplicate_extra"])) + 1
        count = np.where(rng.random(more) < doc["duplicate_share"], 1 + extra, 1).astype(np.int64)
        first = self.total + np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
        # The first record draws most of the events: weights 1, w, w, w before they are normalised.
        share = 1.0 / (1.0 + doc["extra_weight"] * (count - 1))
        self.count, self.first = np.concatenate([self.count, count]), np.concatenate([self.first, first])
        self.main_share = np.concatenate([self.main_share, share])
        self.used = np.concatenate([self.used, np.zeros(more, dtype=bool)])
        self.total += int(count.sum())
        self.seen = np.concatenate([self.seen, np.full(int(count.sum()), NAT, dtype=np.int64)])

    def label(self, number: Ints) -> Ints:
        """The number printed in person_id: a one-to-one scramble, so that records of one person are not neighbours."""
        return self.stage.person_ids(number)

    def of(self, person: Ints, known_at: Ints) -> Ints:
        """The printed number of the record each appearance is written under; negative persons stay -1."""
        self.grow()
        person = np.asarray(person, dtype=np.int64)
        real = person >= 0
        who = np.where(real, person, 0)
        n = self.count[who]
        u = self._rng.random(len(who))
        other = 1 + (self._rng.random(len(who)) * np.maximum(n - 1, 1)).astype(np.int64)
        number = self.first[who] + np.where(
            (n > 1) & (u >= self.main_share[who]), np.minimum(other, n - 1), 0
        )
        number = np.where(real, number, -1)
        self.note(number[real], np.asarray(known_at)[real])
        self.used[who[real]] = True
        return self.label(number)

    def note(self, number: Ints, known_at: Ints) -> None:
        """Remember when a record was first used."""
        fresh = np.full(self.total, np.iinfo(np.int64).max)
        np.minimum.at(fresh, number, known_at)
        old = np.where(self.seen == NAT, np.iinfo(np.int64).max, self.seen)
        both = np.minimum(old, fresh)
        self.seen = np.where(both == np.iinfo(np.int64).max, NAT, both)

    def person_of(self) -> Ints:
        """True person of every record number."""
        return np.repeat(np.arange(len(self.count)), self.count)
