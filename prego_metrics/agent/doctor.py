"""A check for each way in which a push can fail: what was seen, and what to do.

Nothing here writes to the control plane: whether URL, key and node_id are right is asked by
`GET /internal/nodes/:node_id`, and believed only if the answer holds that node_id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from prego_metrics.agent.bench import Bench, open_benches
from prego_metrics.agent.census import Census, take_census
from prego_metrics.agent.config import CENSUS_KEYS, DEFAULT_SOURCE, Config, config_file, load_config
from prego_metrics.agent.due import fresh_seconds
from prego_metrics.agent.errors import ConfigurationError, LockUnsupported, NotSent
from prego_metrics.agent.lock import PushLock
from prego_metrics.agent.printable import printable
from prego_metrics.agent.state import State, Tick
from prego_metrics.agent.state_folder import StateFolder
from prego_metrics.agent.status import FRESH, judge_status

PASS = "pass"
WARN = "warn"
FAIL = "fail"
SKIP = "skip"
MAX_CLOCK_SKEW_SECONDS = 120.0
_LOCK_WAIT_SECONDS = 5.0


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
class _Examination:
	"""What the checks look at."""

	bench: Bench
	config: Config
	state: State
	state_warnings: tuple[str, ...]
	folder: StateFolder
	environ: Mapping[str, str]


def examine(bench: Bench, environ: Mapping[str, str], *, online: bool = True) -> Iterator[Check]:
	"""Yield the checks one after the other, as they are made. Foreseen conditions never raise."""
	folder = StateFolder(bench.sites)
	state, warnings = folder.read()
	seen = _Examination(bench, load_config(bench, environ), state, tuple(warnings), folder, environ)
	for check in _OFFLINE:
		yield check(seen)
	yield from _control_plane(seen, online)


def _configuration(seen: _Examination) -> Check:
	config = seen.config
	if config.problems:
		return Check(
			"configuration",
			FAIL,
			"\n".join(problem.text for problem in config.problems),
			f"mend it with `prego-metrics configure`, or in {printable(config_file(seen.bench))}",
		)
	if config.warnings:
		return Check("configuration", WARN, "\n".join(config.warnings), "change it, unless it is meant so")
	changed = [name for name, source in config.sources.items() if source != DEFAULT_SOURCE]
	return Check("configuration", PASS, f"valid; set: {', '.join(changed)}")


def _api_key(seen: _Examination) -> Check:
	from prego_metrics.agent.api_key import load_api_key

	try:
		key, warnings = load_api_key(seen.config, seen.environ)
	except ConfigurationError as error:
		return Check("api_key", FAIL, str(error), "give the key to the user that runs the push, as said")
	if warnings:
		return Check("api_key", WARN, f"set, from {key.source}. {' '.join(warnings)}", "remove the empty one")
	return Check("api_key", PASS, f"set, from {key.source}")


def _tenants(seen: _Examination) -> Check:
	try:
		census = count_tenants(seen.config)
	except NotSent as error:
		return Check("tenants", FAIL, str(error), "nothing is sent until the bench can be counted")
	text = f"{census.tenant_count} tenants of {len(census.sites)} sites"
	if census.warnings:
		return Check("tenants", WARN, "\n".join([text, *census.warnings]), "look at those sites")
	if not census.tenant_count:
		return Check(
			"tenants", WARN, f"{text}: all are excluded", "see `prego-metrics tenants` for the reasons"
		)
	note = operator_site_note(seen.config, census)
	return Check("tenants", WARN, f"{text}. {note[0]}", note[1]) if note else Check("tenants", PASS, text)


def operator_site_note(config: Config, census: Census) -> tuple[str, str] | None:
	"""Return what to say, and what to do, when the operator's own site counts as a tenant."""
	if config.site and any(site.counted and site.name == printable(config.site) for site in census.sites):
		shown = printable(config.site)
		return (
			f"the operator's site {shown} is counted as a tenant",
			f"if it is none: prego-metrics configure --exclude-sites {shown} (beside those already excluded)",
		)
	return None


def count_tenants(config: Config) -> Census:
	"""Count the tenants as a push would. Raises NotSent where there is no count."""
	config.require(CENSUS_KEYS)
	return take_census(open_benches(config.benches), config.exclude_sites, allow_empty=config.allow_empty)


def _host(seen: _Examination) -> Check:
	from prego_metrics.agent.host import sample_host

	host = sample_host(seen.state.cpu, seen.config.disk_paths)
	figures = (("cpu", host.cpu_pct), ("memory", host.memory_pct), ("disk", host.disk_pct))
	text = ", ".join(f"{name} {'unknown' if pct is None else f'{pct} %'}" for name, pct in figures)
	if host.warnings:
		return Check("host", WARN, f"{text}. {'; '.join(host.warnings)}", "the push goes out without it")
	return Check("host", PASS, text)


def _lock(seen: _Examination) -> Check:
	with PushLock(seen.bench.sites) as lock:
		try:
			got = lock.acquire(_LOCK_WAIT_SECONDS)
		except LockUnsupported as error:
			return Check("lock", FAIL, str(error), "no scheduled push is sent until sites/ can be locked")
		except OSError as error:
			return Check("lock", FAIL, f"{printable(seen.bench.sites)}: {error.strerror}", "make it readable")
	if not got:
		return Check(
			"lock", WARN, f"held for more than {_LOCK_WAIT_SECONDS:g} s", "a push is running: look again"
		)
	return Check("lock", PASS, "sites/ can be locked")


def _state(seen: _Examination) -> Check:
	trouble = seen.folder.unwritable()
	if trouble:
		return Check(
			"state", FAIL, trouble, "free the disk, or give the folder to the user that runs the push"
		)
	if seen.state_warnings:
		return Check("state", WARN, " ".join(seen.state_warnings), "nothing to do: a new state is begun")
	return Check("state", PASS, f"{printable(seen.folder.path)} is readable and writable")


def _drivers(seen: _Examination) -> Check:
	now = time.time()
	ticks = seen.folder.ticks()
	start = (
		"enable the scheduler of a site that has the app (`bench --site SITE enable-scheduler`), or a timer "
		"or cron that runs `prego-metrics push --if-due` every minute"
	)
	if not ticks:
		return Check("drivers", FAIL, "no driver has ever ticked", start)
	limit = fresh_seconds(seen.config.push_interval)
	alive = [tick for tick in ticks if 0 <= now - tick.at <= limit]
	text = "; ".join(f"{tick.driver} {_ago(now, tick)}, {printable(tick.outcome, 40)}" for tick in ticks)
	if not alive:
		return Check("drivers", FAIL, f"every driver has stopped: {text}", start)
	stopped = [tick.driver for tick in ticks if tick not in alive]
	if stopped:
		return Check(
			"drivers",
			WARN,
			f"stopped: {', '.join(stopped)} ({text})",
			"start it again, or remove its file tick-DRIVER.json in "
			f"{printable(seen.folder.path)} if it is gone for good",
		)
	differing = [tick for tick in alive if _differs(tick, seen.config)]
	if differing:
		return Check(
			"drivers",
			WARN,
			"; ".join(
				f"{tick.driver} pushes as {printable(tick.node_id) or 'nobody'} every {tick.push_interval:g} s"
				for tick in differing
			),
			"give every driver the same settings: look for PREGO_METRICS_ variables in its environment",
		)
	return Check("drivers", PASS, text)


def _differs(tick: Tick, config: Config) -> bool:
	return tick.node_id != config.node_id or tick.push_interval != config.push_interval


def _ago(now: float, tick: Tick) -> str:
	return f"{now - tick.at:.0f} s ago"


def _last_push(seen: _Examination) -> Check:
	status = judge_status(seen.state, seen.config, time.time())
	if status.verdict == FRESH:
		return Check("last_push", PASS, status.sentence)
	if status.last is None:
		return Check("last_push", WARN, status.sentence, "push once: prego-metrics push")
	return Check(
		"last_push", FAIL, status.sentence, "mend what the other checks name, then: prego-metrics push"
	)


_OFFLINE: tuple[Callable[[_Examination], Check], ...] = (
	_configuration,
	_api_key,
	_tenants,
	_host,
	_lock,
	_state,
	_drivers,
	_last_push,
)


def _control_plane(seen: _Examination, online: bool) -> Iterator[Check]:
	"""Ask the control plane for this node, and compare its clock with ours."""
	from prego_metrics.agent.api_key import load_api_key

	config = seen.config
	if not online:
		yield Check("control_plane", SKIP, "not asked (--offline)")
		return
	try:
		config.require(("node_id", "control_plane_url"))
		key, _ = load_api_key(config, seen.environ)
	except ConfigurationError:
		yield Check("control_plane", SKIP, "not asked: the settings or the key are not there yet")
		return

	from prego_metrics.agent.control_plane import NODES_ROUTE, WORDS_SHOWN, within_deadline
	from prego_metrics.agent.exchange import Answer, Client, NoAnswer

	client = Client(config.control_plane_url, key)

	def ask(path: str) -> Answer | NoAnswer:
		answer = within_deadline(
			lambda: client.request("GET", path, config.timeout, words_of_success=True),
			client.abandon,
			config.timeout + 2,
		)
		if isinstance(answer, Answer | NoAnswer):
			return answer
		return NoAnswer(str(answer or f"no answer within {config.timeout:g} s"), True)

	answer = ask(f"{NODES_ROUTE}/{quote(config.node_id, safe='')}")
	if isinstance(answer, NoAnswer):
		yield Check(
			"control_plane",
			FAIL,
			f"{printable(config.control_plane_url)}: {key.mask(answer.reason)}",
			"check control_plane_url, the name's resolution, the firewall and proxies, then run this again",
		)
		return
	known = _holds_node_id(answer.words, config.node_id)
	words = printable(key.mask(answer.words).strip(), WORDS_SHOWN)
	if answer.status_code == 200 and known:
		yield Check("control_plane", PASS, "the URL is right, the key is accepted, the node is registered")
	elif answer.status_code in (401, 403):
		yield Check(
			"control_plane",
			FAIL,
			f"the key from {key.source} is refused: {answer.status_code} {words}",
			"give the node the same INTERNAL_API_KEY that the control plane has",
		)
	elif answer.status_code == 404 and _lists_nodes(ask(NODES_ROUTE)):
		yield Check(
			"control_plane",
			FAIL,
			f"the node {printable(config.node_id)} is not registered: {words}",
			"register exactly this node_id in the control plane, or correct it",
		)
	elif answer.status_code == 404:
		yield Check(
			"control_plane",
			WARN,
			f"there is no route {NODES_ROUTE} here, so only the last real push tells: {words}",
			"if pushes are not delivered either, control_plane_url is wrong",
		)
	elif 300 <= answer.status_code < 400:
		yield Check(
			"control_plane",
			FAIL,
			f"a redirect to {printable(key.mask(answer.headers.get('location', '')), 200)}, which is not followed",
			"set control_plane_url to where it leads, if that is the control plane",
		)
	elif answer.status_code in (408, 429) or answer.status_code >= 500:
		yield Check(
			"control_plane",
			FAIL,
			f"the control plane is out of reach: it answers {answer.status_code} {words}",
			"look at the control plane, and at what stands before it; pushes are tried again by themselves",
		)
	else:
		yield Check(
			"control_plane",
			WARN,
			f"an answer that does not name this node: {answer.status_code} {words}",
			"check that control_plane_url is the control plane's base URL",
		)
	yield _clock(answer.headers.get("date"))


def _clock(date: str | None) -> Check:
	import datetime
	import email.utils

	try:
		moment = email.utils.parsedate_to_datetime(date or "")
		# A date without a zone is in UTC, as every date of HTTP, and not in the node's own.
		moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
		skew = time.time() - moment.timestamp()
	except (ValueError, TypeError, OverflowError):
		return Check("clock", SKIP, "the control plane's answer has no date to compare with")
	if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
		return Check(
			"clock", WARN, f"{skew:+.0f} s beside the control plane's", "set the clock by NTP (timedatectl)"
		)
	return Check("clock", PASS, f"{skew:+.0f} s beside the control plane's")


def _lists_nodes(answer: object) -> bool:
	return getattr(answer, "status_code", None) == 200


def _holds_node_id(words: str, node_id: str) -> bool:
	"""Tell whether a JSON answer holds this node_id, wherever in it: the exact shape is not published."""
	try:
		waiting: list[object] = [json.loads(words)]
	except (ValueError, RecursionError):
		return False
	while waiting:
		value = waiting.pop()
		if isinstance(value, dict):
			if value.get("node_id") == node_id:
				return True
			waiting += value.values()
		elif isinstance(value, list):
			waiting += value
	return False
