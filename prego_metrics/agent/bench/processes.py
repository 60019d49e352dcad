"""The processes of a bench's Frappe, as this machine shows them: when the scheduler started, how all are restarted."""

from __future__ import annotations

import os
import shlex

from prego_metrics.agent.base.kernel import flock_holder, is_locked, process_started_at
from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench


def is_scheduler_running(bench: Bench) -> bool | None:
	"""Tell whether a process holds the lock of Frappe's scheduler; None where that cannot be seen.

	From filelock 3.20.4 on, the lock file is deleted when the scheduler ends. Where it is missing, the scheduler is
	known to be stopped only if its Frappe makes such a file, and its processes are run from this folder: a container
	beside the scheduler's has neither the file nor anything that runs processes.
	"""
	lock = _scheduler_lock(bench)
	try:
		os.stat(lock)
	except FileNotFoundError:
		return False if _makes_lock(bench) and _runs_here(bench) else None
	except OSError:
		return None
	return is_locked(lock)


def scheduler_started_at(bench: Bench) -> float | None:
	"""Return since when the process runs that Frappe's scheduler is in; None where none is seen from here."""
	holder = flock_holder(_scheduler_lock(bench))
	return process_started_at(holder.pid) if holder else None


def app_added_at(bench: Bench) -> float | None:
	"""Return when an app was last added to the bench, or removed: `bench` writes apps.txt then."""
	try:
		return os.stat(os.path.join(bench.sites, "apps.txt")).st_mtime
	except OSError:
		return None


def _scheduler_lock(bench: Bench) -> str:
	return os.path.join(bench.root, "config", "scheduler_process")


def _makes_lock(bench: Bench) -> bool:
	"""Tell whether the bench's Frappe locks a file while its scheduler runs, as it does since March 2024."""
	try:
		with open(
			os.path.join(bench.root, "apps/frappe/frappe/utils/scheduler.py"), encoding="utf-8"
		) as file:
			return "scheduler_process" in file.read(1 << 20)
	except (OSError, ValueError):
		return False


def _runs_here(bench: Bench) -> bool:
	"""Tell whether supervisor, systemd or `bench start` runs the bench's processes from this folder."""
	runners = ("config/supervisor.conf", "config/systemd", "Procfile")
	return any(os.path.exists(os.path.join(bench.root, runner)) for runner in runners)


def how_to_restart(bench: Bench) -> Message:
	"""Return how the web server, the scheduler and the workers of this bench are restarted, as a part of a sentence.

	`bench restart` succeeds and does nothing without supervisor. `bench restart --systemd` does nothing either where
	restart_systemd_on_update is false, and `bench setup systemd` itself sets it to false.
	"""
	config = os.path.join(bench.root, "config")
	if os.path.exists(os.path.join(config, "supervisor.conf")):
		return message("`bench restart`")
	if os.path.isdir(os.path.join(config, "systemd")):
		name = shlex.quote(sanitize(os.path.basename(bench.root)))
		return message("`sudo systemctl restart {name}-web.target {name}-workers.target`", name=name)
	if os.path.exists(os.path.join(bench.root, "Procfile")):
		# Every bench has this file, one that the operator's own services run too.
		return message(
			"end `bench start` with Ctrl-C and start it again, or restart the services that run the bench"
		)
	return message("its web server, scheduler and workers, in their containers or services")
