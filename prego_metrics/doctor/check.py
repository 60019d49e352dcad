"""What a check of the doctor's is, and what the checks look at, each thing read once and when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.state.effective import as_pushed
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.store import StateFolder

PASS = "pass"
WARN = "warn"
FAIL = "fail"
SKIP = "skip"


@dataclass(frozen=True)
class Check:
	"""One thing looked at; action says what to do, and is empty where there is nothing to do.

	`name` is an identifier. `seen` and `action` are sentences that can be translated, where we made them.
	"""

	name: str
	state: str
	seen: str
	action: str = ""

	def as_dict(self) -> dict[str, str]:
		return {"name": self.name, "state": self.state, "seen": self.seen, "action": self.action}


@dataclass
class Examination:
	"""One node as the checks see it; `online` tells whether the control plane and others may be asked."""

	bench: Bench
	environ: Mapping[str, str]
	online: bool = True

	@cached_property
	def config(self) -> Config:
		return load_config(self.bench, self.environ)

	@cached_property
	def common(self) -> Mapping[str, object]:
		"""The bench's whole common configuration, as Frappe reads it; empty where it cannot be read."""
		try:
			return read_common_config(self.bench)
		except ValueError:
			return {}  # the check of the configuration says so

	@cached_property
	def folder(self) -> StateFolder:
		return StateFolder(self.bench.sites)

	@cached_property
	def _read(self) -> tuple[State, list[str]]:
		return self.folder.read()

	@property
	def state(self) -> State:
		return self._read[0]

	@property
	def state_warnings(self) -> list[str]:
		return self._read[1]

	@cached_property
	def pushed(self) -> Config:
		"""The settings with the interval, and in the hardened mode the node_id, that the pushes really have."""
		return as_pushed(self.config, self.folder, self.state)

	@cached_property
	def ticks(self) -> list[Tick]:
		return self.folder.ticks()

	@cached_property
	def history(self) -> list[Push]:
		return self.folder.history()

	@cached_property
	def census(self) -> Census | NotSent:
		"""The tenants as a push counts them, or why there is no count."""
		try:
			return count_tenants(self.config)
		except NotSent as error:
			return error


@dataclass(frozen=True)
class Group:
	"""Checks that are made together, since they look at one thing; most are alone."""

	names: tuple[str, ...]
	make: Callable[[Examination], Iterable[Check]]
