"""A push that is under way: an empty file in the state folder, whose name says who began it, and when.

A process that is killed leaves it behind, and the next one that gets the lock records a push without a result. A name
needs no fsync: the one of the state, before anything is sent, takes the folder's changes to the disk with it.
"""

from __future__ import annotations

import re
import time

from prego_metrics.agent.light_typing import NamedTuple
from prego_metrics.agent.state.model import TRIGGERS

# A trigger, a time in seconds since the epoch, and the id of a push: how a file's name says which push it is about.
NAMED_PUSH = rf"({'|'.join(TRIGGERS)})-([0-9]{{1,10}}(?:\.[0-9]{{1,9}})?)-([0-9a-f]{{16}})"
_NAME = f"begun-{NAMED_PUSH}"


class BegunPush(NamedTuple):
	"""A push that began, at `at` in seconds since the epoch; id is that of the push in the history."""

	at: float
	trigger: str
	id: str

	@classmethod
	def of(cls, trigger: str) -> BegunPush:
		import secrets

		return cls(time.time(), trigger, secrets.token_hex(8))

	@property
	def file_name(self) -> str:
		return f"begun-{self.trigger}-{self.at!r}-{self.id}"


def begun_push_of(file_name: str) -> BegunPush | None:
	"""Return the begun push that a file's name stands for, None for any other name."""
	match = re.fullmatch(_NAME, file_name)
	return BegunPush(float(match[2]), match[1], match[3]) if match else None
