"""The systemd units that push for this bench, as far as their files show; no process is started to ask systemd."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.base.messages import Message, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.setup.systemd_units import (
	enabled_timer,
	installed_services,
	is_enabled,
	may_write,
	watched_folders,
)
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding, found


def units(node: Examination) -> Finding:
	"""The timer and the path unit are installed and enabled, watch every bench, and may write the metrics."""
	texts = installed_services(node.bench)
	services = [unit for unit in texts if not unit.stem.endswith("-change")]
	if not services:
		return found(SKIP, "no systemd unit pushes for this bench")
	try:
		folders = {os.path.realpath(bench.sites) for bench in open_benches(node.config.benches)}
	except BenchError:
		folders = set()  # the check of the tenants says so
	faults = []
	for service in services:
		for unit in (service.with_suffix(".timer"), service.with_suffix(".path")):
			name = sanitize(str(unit))
			if not os.path.lexists(unit):
				faults.append(message("{unit} is not installed", unit=name))
			elif not is_enabled(unit):
				faults.append(message("{unit} is not enabled", unit=name))
			elif unit.suffix == ".path":
				watched = {os.path.realpath(folder) for folder in watched_folders(unit)}
				faults += [
					message("{unit} does not watch {folder}", unit=name, folder=sanitize(folder))
					for folder in sorted(folders - watched)
				]
	faults += _that_cannot_write_metrics(node, texts)
	if faults:
		return found(
			WARN,
			joined(faults),
			"render the units again with `prego-metrics systemd`, and run the commands it prints",
		)
	return found(
		PASS,
		"{units}: timer and path unit are enabled, {count} sites folders watched",
		units=", ".join(sanitize(str(service.with_suffix(""))) for service in services),
		count=len(folders),
	)


def _that_cannot_write_metrics(node: Examination, texts: Mapping[Path, str]) -> list[Message]:
	"""Name the services that were made before metrics_textfile was set. A hardened one has a file of its own."""
	file = node.config.metrics_textfile
	if not file or node.config.hardened:
		return []
	return [
		message("{unit} cannot write {file}", unit=sanitize(str(unit)), file=sanitize(file))
		for unit, text in texts.items()
		if "PREGO_METRICS_HARDENED=1" not in text and not may_write(text, os.path.dirname(file))
	]


def timer_awaited(node: Examination) -> Finding | None:
	"""Return that a timer is enabled, which has yet to run for the first time, or to be started."""
	timer = enabled_timer(node.bench)
	if timer is None:
		return None
	return found(
		FAIL,
		"no trigger has run yet; {timer} is enabled and runs within two minutes of its start",
		"run the doctor again in 120 s; if it still fails, run: sudo systemctl start {timer}",
		timer=timer,
	)
