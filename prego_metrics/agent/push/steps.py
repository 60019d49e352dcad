"""The steps of a push that read or write files, each within its time. What is late raises TooLate, which names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prego_metrics.agent.base.errors import ConfigurationError, Problem, TooLate
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import FILE_SECONDS, folder_in_time, in_time
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.light_typing import TYPE_CHECKING
from prego_metrics.agent.state.model import State, Tick
from prego_metrics.agent.state.store import StateFolder

if TYPE_CHECKING:
	from prego_metrics.agent.base.redaction import Secret
	from prego_metrics.agent.push.payload import Collected
	from prego_metrics.agent.state.lock import PushLock

# What is left for sending when a push was counted at the last moment: less is not worth a request.
SEND_SECONDS = 1.0


def read_settings(bench: Bench, environ: Mapping[str, str]) -> Config:
	return folder_in_time(lambda: load_config(bench, environ), bench.sites)


def read_state(folder: StateFolder) -> tuple[State, list[Message]]:
	return folder_in_time(folder.read, folder.path)


def read_ticks(folder: StateFolder) -> list[Tick]:
	return folder_in_time(folder.ticks, folder.path)


def take_lock(lock: PushLock, sites: str, wait_seconds: float) -> bool:
	"""Wait for the lock, and tell whether it was got. Raises LockUnsupported, OSError."""
	return folder_in_time(lambda: lock.acquire(wait_seconds), sites, wait_seconds + FILE_SECONDS)


def read_key(config: Config, environ: Mapping[str, str]) -> tuple[Secret, list[str]]:
	"""Return the key and warnings about it. Raises ConfigurationError."""
	from prego_metrics.agent.config.api_key import load_api_key

	late = coded("key_late", seconds=f"{FILE_SECONDS:g}")
	try:
		return in_time(
			lambda: load_api_key(config.api_key_file, environ, config.problems), FILE_SECONDS, late
		)
	except ConfigurationError as error:
		# A push beside the timer that has the key: an api_key_file would give the key to the bench again.
		if error.code == "key_missing" and not (config.scheduler_pushes or config.hardened):
			raise ConfigurationError([Problem("api_key_file", coded("key_with_timer_only"))]) from None
		raise


def require_settings_file(config: Config, state: State) -> None:
	"""Raise ConfigurationError if the file of the settings is gone that the last push read.

	With node_id, URL and key in the environment the push would go on, with the default benches and exclusions.
	"""
	if config.file_absent and state.settings_file_seen:
		file = sanitize(config_file(config.bench))
		raise ConfigurationError([Problem("", coded("settings_vanished", file=file))])


def collect(config: Config, state: State, at: float, seconds: float, *, save_snapshot: bool) -> Collected:
	"""Count and sample; of `seconds` some are left for sending. Raises NotSent."""
	from prego_metrics.agent.collectors.instance import check_instance
	from prego_metrics.agent.push.payload import collect_payload

	count_seconds = max(0.0, seconds - min(SEND_SECONDS, seconds / 2))
	give_up_at = time.monotonic() + count_seconds

	def checked_and_collected() -> Collected:
		check_instance(config)
		return collect_payload(config, state, at, save_snapshot=save_snapshot, give_up_at=give_up_at)

	late = coded("count_late", seconds=f"{count_seconds:.3g}")
	return in_time(checked_and_collected, count_seconds, late)


def write_in_time(
	write: Callable[[], Message | None], folder: StateFolder, give_up_at: float = float("inf")
) -> Message | None:
	"""Write into the folder, and return what went wrong, also that it took too long.

	Before `give_up_at`, of the monotonic clock, time to send is left.
	"""
	left_seconds = give_up_at - time.monotonic() - SEND_SECONDS
	try:
		return folder_in_time(write, folder.path, min(FILE_SECONDS, max(SEND_SECONDS / 2, left_seconds)))
	except TooLate as error:
		return error.message
