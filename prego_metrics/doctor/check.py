"""What a check is, and what the checks look at: each thing is read once, when the first check needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from prego_metrics.agent.base.errors import ConfigurationError, NotSent
from prego_metrics.agent.base.messages import Message, code_of, from_catalog
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.installed_frappe import is_app_in
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.config import PUSH_KEYS, Config, load_config
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.doctor.frappe_facts import Frappe

PASS = "pass"
WARN = "warn"
FAIL = "fail"
SKIP = "skip"

# Of these the settings are not known, and defaults stand in their place.
_UNREAD = ("settings_unreadable", "bench_unreadable", "bench_untrusted")

Read = TypeVar("Read")


class Finding(NamedTuple):
	"""What a check found; `action` says what to do, and is empty where there is nothing to do.

	`state` is one of the four above. `seen` and `action` are sentences that can be translated, where we made them.
	`code` is that of the catalog; it need not be given where `seen` itself is an error of it.
	"""

	state: str
	seen: str
	action: str = ""
	code: str = ""


def found(state: str, seen: str, action: str = "", code: str = "", /, **params: object) -> Finding:
	"""Return a finding. `seen` and `action` are sentences, or literal templates that `params` fill."""
	return Finding(state, _sentence(seen, params), _sentence(action, params), code)


def _sentence(template: str, params: Mapping[str, object]) -> str:
	return template if isinstance(template, Message) or not template else from_catalog("", template, **params)


@dataclass(frozen=True)
class Check:
	"""One finding, under the name of the check that made it and the group of that check."""

	group: str
	name: str
	state: str
	seen: str
	action: str = ""
	code: str = ""

	def __post_init__(self) -> None:
		object.__setattr__(self, "code", self.code or code_of(self.seen))

	def as_dict(self) -> dict[str, str]:
		"""Return the check as JSON has it."""
		return {
			"group": self.group,
			"name": self.name,
			"state": self.state,
			"code": self.code,
			"seen": self.seen,
			"action": self.action,
		}


@dataclass
class Examination:
	"""One node as the checks see it.

	`online` says whether the control plane and others may be asked. `connect` returns the bench's Frappe, to be
	asked; None where this Python is not the bench's.
	"""

	bench: Bench
	environ: Mapping[str, str]
	online: bool = True
	connect: Callable[[Examination], Frappe] | None = None
	_read_once: dict[object, Any] = field(default_factory=dict)

	def once(self, read: Callable[[Examination], Read]) -> Read:
		"""Return what `read` returns of this node; it is called at most once, whichever checks want it."""
		if read not in self._read_once:
			self._read_once[read] = read(self)
		result: Read = self._read_once[read]
		return result

	@cached_property
	def config(self) -> Config:
		return load_config(self.bench, self.environ)

	@property
	def settings_unread(self) -> bool:
		"""Whether the settings could not be read: what follows from that is no finding of its own."""
		return any(problem.message.code in _UNREAD for problem in self.config.problems)

	@property
	def cannot_push(self) -> bool:
		"""Whether a push from here would not be sent: for its settings, its key or its count."""
		needed = any(not problem.key or problem.key in PUSH_KEYS for problem in self.config.problems)
		return needed or isinstance(self.key, ConfigurationError) or isinstance(self.census, NotSent)

	@cached_property
	def has_app(self) -> bool:
		"""Whether the bench's own Frappe has the app: its scheduler can push, and `bench prego-metrics` is there."""
		is_here = self.connect is not None or is_app_in(self.bench)
		# Where sites/ alone is mounted, Frappe runs elsewhere.
		return is_here or any(tick.trigger == "frappe" for tick in self.ticks)

	@cached_property
	def key(self) -> tuple[Secret, list[str]] | ConfigurationError:
		"""The key with the warnings about it, or why there is none."""
		try:
			return load_api_key(self.config.api_key_file, self.environ, self.config.problems)
		except ConfigurationError as error:
			return error

	@cached_property
	def common(self) -> Mapping[str, object]:
		"""The bench's whole common configuration, as Frappe reads it; empty where it cannot be read."""
		try:
			return read_common_config(self.bench)
		except ConfigurationError:
			return {}  # the check of the configuration says so

	@cached_property
	def folder(self) -> StateFolder:
		return StateFolder(self.bench.sites)

	@cached_property
	def unwritable(self) -> Message | None:
		"""Why the state cannot be written, so that nothing of later runs is known; None if it can."""
		return self.folder.unwritable()

	@cached_property
	def _state_read(self) -> tuple[State, list[Message]]:
		return self.folder.read()

	@property
	def state(self) -> State:
		return self._state_read[0]

	@property
	def state_warnings(self) -> list[Message]:
		return self._state_read[1]

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
			return count_tenants(self.config, self.state.site_marks)
		except NotSent as error:
			return error

	@cached_property
	def frappe(self) -> Frappe | None:
		return self.connect(self) if self.connect else None


def alive_triggers(node: Examination) -> set[str]:
	"""Return the names of the triggers that tick by themselves, as often as the interval wants it."""
	return {tick.trigger for tick in living_ticks(node) if tick.is_repeated}


def severity_without_frappe(node: Examination) -> str:
	"""Return how bad it is when Frappe's scheduler does not push: another trigger may."""
	return WARN if alive_triggers(node) - {"frappe"} or not node.config.scheduler_pushes else FAIL


def living_ticks(node: Examination) -> list[Tick]:
	"""Return the last runs of the triggers that run as often as the interval wants it."""
	now = time.time()
	shortest = node.config.push_interval  # a crontab with an interval of its own may also run that seldom
	return [
		tick for tick in node.ticks if 0 <= now - tick.at <= fresh_seconds(max(shortest, tick.push_interval))
	]
