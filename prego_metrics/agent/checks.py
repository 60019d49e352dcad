"""What a check of the doctor's is, and what the checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prego_metrics.agent.bench import Bench
from prego_metrics.agent.config import Config
from prego_metrics.agent.state import State
from prego_metrics.agent.state_folder import StateFolder

PASS = "pass"
WARN = "warn"
FAIL = "fail"
SKIP = "skip"


@dataclass(frozen=True)
class Check:
	"""One thing looked at; action says what to do, and is empty where there is nothing to do."""

	name: str
	state: str
	seen: str
	action: str = ""

	def as_dict(self) -> dict[str, str]:
		return {"name": self.name, "state": self.state, "seen": self.seen, "action": self.action}


@dataclass(frozen=True)
class Examination:
	"""What the checks look at."""

	bench: Bench
	config: Config
	state: State
	state_warnings: tuple[str, ...]
	folder: StateFolder
	environ: Mapping[str, str]
