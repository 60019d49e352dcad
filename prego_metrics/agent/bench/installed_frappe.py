"""A bench's Frappe, judged without importing it: its version, and how often its scheduler runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.light_typing import Any

TICK_KEY = "scheduler_tick_interval"
_VERSION = re.compile(r'^__version__ = "([0-9]+)\.([0-9]+)[0-9A-Za-z.+-]*"', re.MULTILINE)
_MAX_BYTES = 1 << 20
# Frappe's own defaults for the tick, before 16 and from 16 on.
_OLD_TICK_SECONDS = 60.0
_TICK_SECONDS = 240.0


@dataclass(frozen=True)
class FrappeVersion:
	"""The version of a bench's Frappe; full is all of it."""

	major: int
	minor: int
	full: str

	@property
	def goes_dormant(self) -> bool:
		"""Whether the scheduler passes over sites that nobody logs in to.

		It does up to about 15.56; releases of 16 and later do so on Frappe's own cloud alone, while 16's
		development version still did everywhere.
		"""
		return (
			self.major < 15 or (self.major == 15 and self.minor <= 56) or self.full.startswith("16.0.0-dev")
		)


def frappe_version(bench: Bench) -> FrappeVersion | None:
	"""Return the version of the Frappe that lies beside `sites/`, or None if there is none to be read."""
	path = os.path.join(bench.root, "apps", "frappe", "frappe", "__init__.py")
	try:
		match = _VERSION.search(read_limited(path, _MAX_BYTES).decode("utf-8", "replace"))
	except (OSError, UnfitFile):
		return None
	if not match:
		return None
	return FrappeVersion(int(match[1]), int(match[2]), match[0].split('"')[1])


def tick_seconds(bench: Bench, common: Mapping[str, object]) -> float:
	"""Return the seconds between two runs of Frappe's scheduler, once it was started with these settings."""
	configured: Any = common.get(TICK_KEY)
	with contextlib.suppress(TypeError, ValueError, OverflowError):
		seconds = int(float(configured))
		if seconds > 0:
			return float(seconds)
	version = frappe_version(bench)
	return _TICK_SECONDS if version and version.major >= 16 else _OLD_TICK_SECONDS


def scheduler_tick(bench: Bench) -> float | None:
	"""Return `tick_seconds` by the bench's configuration as it is now, or None where no Frappe here has this app."""
	if frappe_version(bench) is None or not is_app_in(bench):
		return None
	try:
		return tick_seconds(bench, read_common_config(bench))
	except ConfigurationError:
		return None  # who asks for the settings says so


def is_app_in(bench: Bench) -> bool:
	"""Tell whether this app lies among the apps of the bench: a program beside it needs no Frappe."""
	return os.path.isdir(os.path.join(bench.root, "apps", "prego_metrics"))


def our_command() -> str:
	"""Return what our command line is called here: bench has it only where this is a bench's Python."""
	return "bench prego-metrics" if _frappe_spec() else "prego-metrics"


def is_frappe_at_hand(bench: Bench) -> bool:
	"""Tell whether this Python is that of the bench, and so can import the Frappe that serves it."""
	spec = _frappe_spec()
	if spec is None or not spec.origin:
		return False
	apps = os.path.realpath(os.path.join(bench.root, "apps"))
	return os.path.realpath(spec.origin).startswith(apps + os.sep)


def _frappe_spec() -> ModuleSpec | None:
	try:
		return importlib.util.find_spec("frappe")
	except (ImportError, ValueError):
		return None
