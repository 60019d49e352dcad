"""A check for each way in which a push can fail: what was seen, and what to do. Sends no metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from prego_metrics.agent.bench import Bench
from prego_metrics.agent.checks import FAIL, PASS, WARN, Check, Examination
from prego_metrics.agent.common_config import config_file
from prego_metrics.agent.config import DEFAULT_SOURCE, Config, load_config
from prego_metrics.agent.control_plane_checks import check_control_plane
from prego_metrics.agent.due import fresh_seconds
from prego_metrics.agent.errors import ConfigurationError, LockUnsupported, NotSent
from prego_metrics.agent.lock import PushLock
from prego_metrics.agent.printable import printable
from prego_metrics.agent.state import Tick
from prego_metrics.agent.state_folder import StateFolder
from prego_metrics.agent.status import FRESH, judge_status
from prego_metrics.agent.tenants import count_tenants, operator_site_note
from prego_metrics.agent.wording import Wording, joined, wording

_LOCK_WAIT_SECONDS = 5.0


def examine(bench: Bench, environ: Mapping[str, str], *, online: bool = True) -> Iterator[Check]:
	"""Yield the checks one after the other, as they are made. Foreseen conditions never raise."""
	folder = StateFolder(bench.sites)
	state, warnings = folder.read()
	seen = Examination(bench, load_config(bench, environ), state, tuple(warnings), folder, environ)
	for check in _OFFLINE:
		yield check(seen)
	yield from check_control_plane(seen, online=online)


def _configuration(seen: Examination) -> Check:
	config = seen.config
	if config.problems:
		return Check(
			"configuration",
			FAIL,
			"\n".join(problem.text for problem in config.problems),
			wording(
				"mend it with `prego-metrics configure`, or in {file}",
				file=printable(config_file(seen.bench)),
			),
		)
	if config.warnings:
		return Check(
			"configuration", WARN, "\n".join(config.warnings), wording("change it, unless it is meant so")
		)
	changed = [name for name, source in config.sources.items() if source != DEFAULT_SOURCE]
	return Check("configuration", PASS, wording("valid; set: {settings}", settings=", ".join(changed)))


def _api_key(seen: Examination) -> Check:
	from prego_metrics.agent.api_key import load_api_key

	try:
		key, warnings = load_api_key(seen.config, seen.environ)
	except ConfigurationError as error:
		return Check(
			"api_key", FAIL, str(error), wording("give the key to the user that runs the push, as said")
		)
	found = wording("set, from {source}", source=key.source)
	if warnings:
		return Check("api_key", WARN, joined([found, *warnings], ". "), wording("remove the empty one"))
	return Check("api_key", PASS, found)


def _tenants(seen: Examination) -> Check:
	try:
		census = count_tenants(seen.config)
	except NotSent as error:
		return Check("tenants", FAIL, str(error), wording("nothing is sent until the bench can be counted"))
	text = wording("{count} tenants of {sites} sites", count=census.tenant_count, sites=len(census.sites))
	if census.warnings:
		return Check("tenants", WARN, joined([text, *census.warnings], "\n"), wording("look at those sites"))
	if not census.tenant_count:
		return Check(
			"tenants",
			WARN,
			wording("{count}: all are excluded", count=text),
			wording("see `prego-metrics tenants` for the reasons"),
		)
	note = operator_site_note(seen.config, census)
	if note:
		return Check("tenants", WARN, joined([text, note[0]], ". "), note[1])
	return Check("tenants", PASS, text)


def _host(seen: Examination) -> Check:
	from prego_metrics.agent.host import sample_host

	host = sample_host(seen.state.cpu, seen.config.disk_paths)
	text = wording(
		"cpu {cpu}, memory {memory}, disk {disk}",
		cpu=_percent(host.cpu_pct),
		memory=_percent(host.memory_pct),
		disk=_percent(host.disk_pct),
	)
	if host.warnings:
		seen_too = joined(host.warnings)
		return Check("host", WARN, joined([text, seen_too], ". "), wording("the push goes out without it"))
	return Check("host", PASS, text)


def _percent(figure: float | None) -> Wording:
	return wording("unknown") if figure is None else wording("{percent} %", percent=figure)


def _lock(seen: Examination) -> Check:
	with PushLock(seen.bench.sites) as lock:
		try:
			got = lock.acquire(_LOCK_WAIT_SECONDS)
		except LockUnsupported as error:
			action = wording("no scheduled push is sent until sites/ can be locked")
			return Check("lock", FAIL, str(error), action)
		except OSError as error:
			found = f"{printable(seen.bench.sites)}: {error.strerror}"
			return Check("lock", FAIL, found, wording("make it readable"))
	if not got:
		return Check(
			"lock",
			WARN,
			wording("held for more than {seconds} s", seconds=f"{_LOCK_WAIT_SECONDS:g}"),
			wording("a push is running: look again"),
		)
	return Check("lock", PASS, wording("sites/ can be locked"))


def _state(seen: Examination) -> Check:
	trouble = seen.folder.unwritable()
	if trouble:
		return Check(
			"state",
			FAIL,
			trouble,
			wording("free the disk, or give the folder to the user that runs the push"),
		)
	if seen.state_warnings:
		action = wording("nothing to do: a new state is begun")
		return Check("state", WARN, " ".join(seen.state_warnings), action)
	return Check(
		"state", PASS, wording("{folder} is readable and writable", folder=printable(seen.folder.path))
	)


def _drivers(seen: Examination) -> Check:
	now = time.time()
	ticks = seen.folder.ticks()
	start = wording(
		"enable the scheduler of a site that has the app (`bench --site SITE enable-scheduler`), or a timer "
		"or cron that runs `prego-metrics push --if-due` every minute"
	)
	if not ticks:
		return Check("drivers", FAIL, wording("no driver has ever ticked"), start)
	limit = fresh_seconds(seen.config.push_interval)
	alive = [tick for tick in ticks if 0 <= now - tick.at <= limit]
	text = joined(_told(now, tick) for tick in ticks)
	if not alive:
		return Check("drivers", FAIL, wording("every driver has stopped: {ticks}", ticks=text), start)
	stopped = [tick.driver for tick in ticks if tick not in alive]
	if stopped:
		return Check(
			"drivers",
			WARN,
			wording("stopped: {drivers} ({ticks})", drivers=", ".join(stopped), ticks=text),
			wording(
				"start it again, or remove its file tick-DRIVER.json in {folder} if it is gone for good",
				folder=printable(seen.folder.path),
			),
		)
	differing = [tick for tick in alive if _differs(tick, seen.config)]
	if differing:
		return Check(
			"drivers",
			WARN,
			joined(
				wording(
					"{driver} pushes as {node} every {interval} s",
					driver=tick.driver,
					node=printable(tick.node_id) or wording("nobody"),
					interval=f"{tick.push_interval:g}",
				)
				for tick in differing
			),
			wording(
				"give every driver the same settings: look for PREGO_METRICS_ variables in its environment"
			),
		)
	return Check("drivers", PASS, text)


def _differs(tick: Tick, config: Config) -> bool:
	return tick.node_id != config.node_id or tick.push_interval != config.push_interval


def _told(now: float, tick: Tick) -> Wording:
	return wording(
		"{driver} {seconds} s ago, {outcome}",
		driver=tick.driver,
		seconds=f"{now - tick.at:.0f}",
		outcome=printable(tick.outcome, 40),
	)


def _last_push(seen: Examination) -> Check:
	status = judge_status(seen.state, seen.config, time.time())
	if status.verdict == FRESH:
		return Check("last_push", PASS, status.sentence)
	if status.last is None:
		return Check("last_push", WARN, status.sentence, wording("push once: prego-metrics push"))
	return Check(
		"last_push",
		FAIL,
		status.sentence,
		wording("mend what the other checks name, then: prego-metrics push"),
	)


_OFFLINE: tuple[Callable[[Examination], Check], ...] = (
	_configuration,
	_api_key,
	_tenants,
	_host,
	_lock,
	_state,
	_drivers,
	_last_push,
)
