"""Read every site of one bench while sites are made, renamed and dropped.

A site is what Frappe itself takes for one (`frappe.utils.get_sites`): an entry directly in sites/ that is a
real directory, not a symlink, and holds a site_config.json. A listing of a folder that changes is no
snapshot: the kernel may leave out what is renamed meanwhile, or list it twice. So a pass over the folder
stands only if nothing can have changed during it; see `read_sites`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.site_config import Denied, Unreadable, read_site_config
from prego_metrics.agent.collectors.sites import Exclusion, NotASite, Site, judge

MAX_PASSES = 5
# Older kernels stamp a folder's modification time in steps of 4 ms (a jiffy, up to 10 ms): a change right
# after the stamp would not show. What is already 20 ms old cannot be followed by an unseen change.
SETTLED_SECONDS = 0.02
_REREADS = 3
_REREAD_PAUSE_SECONDS = 0.02

Identity = tuple[int, int]


@dataclass
class Pass:
	"""What one pass saw: verdicts by identity, and where the sites lie that count for want of a readable file."""

	sites: dict[Identity, Site]
	doubtful: dict[Identity, str]
	not_sites: list[NotASite]

	def add(self, identity: Identity, site: Site, doubtful_path: str | None) -> None:
		"""Add a sighting of a site, seen before under this name or another: counted once is counted."""
		known = self.sites.get(identity)
		if known and (not site.counted or (known.counted and identity not in self.doubtful)):
			return
		self.sites[identity] = site
		self.doubtful.pop(identity, None)
		if doubtful_path:
			self.doubtful[identity] = doubtful_path


def read_sites(
	bench: Bench, exclude: Exclusion, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Pass:
	"""Return every site of a bench, and what lies beside them, as a pass that stands saw them.

	A pass stands if the folder's modification time was the same before and after it, and already
	SETTLED_SECONDS old when it began. If none of MAX_PASSES stands, the union of all of them does: in it a
	site counts if it was counted under any name, since under constant renames one too high does less harm
	than one too low. Raises OSError.
	"""
	result = _passes_until_one_stands(bench, exclude, clock, sleep)
	_reread(result, bench, exclude, sleep)
	return result


def _passes_until_one_stands(
	bench: Bench, exclude: Exclusion, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Pass:
	union: Pass | None = None
	for number in range(MAX_PASSES):
		if number:
			sleep(SETTLED_SECONDS)
		before = _stamp(bench)
		settled = clock() - before.st_mtime >= SETTLED_SECONDS
		result = _one_pass(bench, exclude)
		if _unchanged(before, _stamp(bench)) and settled:
			return result
		union = _united(union, result) if union else result
	assert union is not None
	return union


def _stamp(bench: Bench) -> os.stat_result:
	status = os.stat(bench.sites)
	if (status.st_dev, status.st_ino) != bench.identity:
		raise OSError(0, coded("folder_replaced"))
	return status


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
	# The time of change too: a program may set the modification time back (rsync does), but not that.
	return (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def _one_pass(bench: Bench, exclude: Exclusion) -> Pass:
	result = Pass({}, {}, [])
	bench_name = sanitize(bench.root)
	with opened_folder(bench.sites) as folder, os.scandir(bench.sites) as entries:
		for entry in entries:
			name = entry.name
			if not entry.is_dir(follow_symlinks=False):
				if entry.is_symlink():
					result.not_sites.append(
						NotASite(sanitize(name), bench_name, "a symlink, which is an alias")
					)
				continue
			try:
				status = entry.stat(follow_symlinks=False)
			except FileNotFoundError:
				continue  # renamed or dropped since it was listed: this pass does not stand
			config: dict[str, object] | str
			try:
				config = read_site_config(f"{name}/site_config.json", folder)
			except (FileNotFoundError, NotADirectoryError):
				result.not_sites.append(NotASite(sanitize(name), bench_name, "no site_config.json"))
				continue
			except Unreadable as error:
				if isinstance(error, Denied) and name == "lost+found" and status.st_uid == 0:
					result.not_sites.append(NotASite(name, bench_name, "the file system's own folder"))
					continue
				config = error.args[0]
			site = judge(name, bench_name, config, exclude)
			doubtful = site.counted and isinstance(config, str)
			path = f"{bench.sites}/{name}/site_config.json" if doubtful else None
			result.add((status.st_dev, status.st_ino), site, path)
	return result


def _united(one: Pass, other: Pass) -> Pass:
	"""Join a later pass to what was seen before; what is no site is what the later pass saw."""
	for identity, site in other.sites.items():
		one.add(identity, site, other.doubtful.get(identity))
	one.not_sites = other.not_sites
	return one


def _reread(result: Pass, bench: Bench, exclude: Exclusion, sleep: Callable[[float], None]) -> None:
	"""Read half-written configurations again for a moment, all of them together: Frappe rewrites in place."""
	for _ in range(_REREADS):
		if not result.doubtful:
			return
		sleep(_REREAD_PAUSE_SECONDS)
		for identity, path in list(result.doubtful.items()):
			try:
				config = read_site_config(path)
			except (Unreadable, FileNotFoundError, NotADirectoryError):
				continue
			name = os.path.basename(os.path.dirname(path))
			result.sites[identity] = judge(name, sanitize(bench.root), config, exclude)
			del result.doubtful[identity]
