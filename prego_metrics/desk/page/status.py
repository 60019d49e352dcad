"""The answer of the HTTP method `status`, which the page "Prego Node" shows: the state, the host, the settings."""

from __future__ import annotations

import os
import time
from typing import Any

import frappe

from prego_metrics.agent.base.formatting import duration, iso_utc
from prego_metrics.agent.base.messages import Message, coded, message, translated
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import frappe_version
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state import schedule
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.status import judge_status
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.desk.adapters.dormancy import ended_dormancy, skipped_seconds
from prego_metrics.desk.manual_push import why_no_push

# A sample may take a second, and a dead mount costs a thread: too much for every refresh of the page.
_HOST_CACHE_KEY = "prego_metrics_host"
_HOST_CACHE_SECONDS = 60


def node_page(config: Config) -> dict[str, Any]:
	"""Return everything that the page shows, sanitized and in the user's language; times in UTC."""
	folder = StateFolder(config.bench.sites)
	state, warnings = folder.read()
	now = time.time()
	pushed = as_pushed(config, folder, state)
	status = judge_status(state, pushed, now, folder=folder)
	page = status.as_dict()
	if status.last and isinstance(status.last.error, Message):
		page["last"]["error"] = translated(status.last.error, frappe._)
	no_push_reason = why_no_push(config)
	return {
		**page,
		"sentence": translated(status.sentence, frappe._),
		"headline": translated(status.headline, frappe._),
		"reasons": [translated(reason, frappe._) for reason in status.reasons],
		"who": sanitize(status.last.who, 140) if status.last and status.last.who else None,
		"failing_since": None if state.failing_since is None else iso_utc(state.failing_since),
		"node_id": sanitize(pushed.node_id),
		"at": iso_utc(now),
		"next_push_at": _next_push(pushed, state, now),
		"next_snapshot_at": _next_snapshot(config, state, now),
		"can_push": no_push_reason is None,
		"why_no_push": None if no_push_reason is None else translated(no_push_reason, frappe._),
		"drivers": [
			{
				"driver": tick.trigger,
				"at": iso_utc(tick.at),
				"outcome": sanitize(tick.outcome, 40),
				"push_interval": tick.push_interval,
				"node_id": sanitize(tick.node_id, 255),
				"is_repeated": tick.is_repeated,
			}
			for tick in folder.ticks()
		],
		"host": _host(config, state),
		"settings": _settings(config),
		"warnings": [
			translated(sentence, frappe._)
			for sentence in (
				*(problem.message for problem in config.problems),
				*config.warnings,
				*warnings,
				*_dormancy(config, folder, now),
			)
		],
	}


def _dormancy(config: Config, folder: StateFolder, now: float) -> list[Message]:
	"""Return that Frappe skipped, or still skips, this site's jobs for want of logins: who reads it has just logged in."""
	site = sanitize(frappe.local.site)
	skipped = skipped_seconds()
	if skipped is not None:
		kept = coded("verdict_kept", site=site, time=duration(skipped))
		return [message("{reason}. To end that: bench --site {site} clear-cache", reason=kept, site=site)]
	version = frappe_version(config.bench)
	quiet = ended_dormancy() if version and version.goes_dormant else None
	if quiet is None:
		return []
	began, until = quiet
	last = next(
		(push.at for push in folder.history_newest_first() if push.trigger == "frappe" and push.at < until),
		None,
	)
	if last is None or until - last <= schedule.fresh_seconds(config.push_interval):
		return []
	return [
		message(
			"nobody logged in to {site} from {began} to {ended}, so Frappe skipped its jobs, and its scheduler pushed "
			"nothing from {last} on. Give the node a second trigger: a timer or cron",
			site=site,
			began=iso_utc(began),
			ended=iso_utc(until),
			last=iso_utc(last),
		)
	]


def _next_push(config: Config, state: State, now: float) -> str:
	seconds = schedule.seconds_until_due(now, state.pace, config.push_interval, config.node_id)
	return iso_utc(now + max(0.0, seconds))


def _next_snapshot(config: Config, state: State, now: float) -> str | None:
	if not config.snapshot_interval:
		return None
	seconds = schedule.seconds_until_snapshot(now, state.last_snapshot_at, config.snapshot_interval)
	return iso_utc(now + max(0.0, seconds))


def _host(config: Config, state: State) -> dict[str, Any]:
	"""Return the host's metrics, sampled at most once a minute; None for those that cannot be read."""
	# The cached warnings are in the language of the user who asked first.
	cache_key = f"{_HOST_CACHE_KEY}:{frappe.local.lang}"
	cached = frappe.cache.get_value(cache_key)
	if cached:
		return cached
	from prego_metrics.agent.collectors.host import sample_host

	at = time.time()
	host = sample_host(state.cpu, config.disk_paths, config.memory_source)
	sampled = {
		"at": iso_utc(at),
		"cpu_pct": host.cpu_pct,
		"memory_pct": host.memory_pct,
		"disk_pct": host.disk_pct,
		"disks": [{"path": sanitize(path), "disk_pct": pct} for path, pct in host.disks.items()],
		"warnings": [translated(warning, frappe._) for warning in host.warnings],
	}
	frappe.cache.set_value(cache_key, sampled, expires_in_sec=_HOST_CACHE_SECONDS)
	return sampled


def _settings(config: Config) -> dict[str, Any]:
	from prego_metrics.agent.config.display import settings_as_dict

	settings = settings_as_dict(config, os.environ)
	return {
		"settings": [
			{"name": name, "value": _setting_as_text(entry["value"]), "source": sanitize(entry["source"])}
			for name, entry in settings["settings"].items()
		],
		"api_key": settings["api_key"],
	}


def _setting_as_text(value: Any) -> str:
	if isinstance(value, list):
		return ", ".join(sanitize(str(entry)) for entry in value)
	if isinstance(value, bool):
		return "true" if value else "false"
	return "" if value is None else sanitize(str(value))
