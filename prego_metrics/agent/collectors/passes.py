"""Read every site of a node's benches while sites are made, renamed and dropped.

A site is a folder that holds a site_config.json, reached by an entry directly in sites/: a real directory, as
Frappe lists it (`frappe.utils.get_sites`), or a symlink or bind mount to one on another volume. It is known by its
identity, not by its name. A listing of a folder that changes is no snapshot: the kernel may leave out what is
renamed meanwhile, or list it twice. So a pass over the folders stands only if nothing can have changed during it;
see `read_sites`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from prego_metrics.agent.base.errors import BenchError, CensusError
from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import STATE_FOLDER_NAME, Bench
from prego_metrics.agent.bench.site_config import (
	Denied,
	Unreadable,
	is_process_error,
	read_site_config,
)
from prego_metrics.agent.collectors.sightings import Absent, Pass
from prego_metrics.agent.collectors.sites import Exclusion, NotASite, judge

MAX_PASSES = 5
# Older kernels stamp a folder's modification time in steps of 4 ms (a jiffy, up to 10 ms): a change right
# after the stamp would not show. What is already 20 ms old cannot be followed by an unseen change.
SETTLED_SECONDS = 0.02
_REREADS = 3
# A second: on a loaded machine, who saves a file may lose the CPU for long between its two steps.
_ABSENT_REREADS = 50
_REREAD_PAUSE_SECONDS = 0.02
_QUICK_LOOKS = 10
# A configuration is absent for a moment only where its folder has just changed.
_MOMENT_SECONDS = 1.0
_CONFIG = "site_config.json"


class _Link(NamedTuple):
	bench: Bench
	name: str


class _Listing(NamedTuple):
	"""The sites folder of one bench, open as `folder`, for the pass that began at `now`; shown is the bench's name."""

	bench: Bench
	shown: str
	folder: int
	exclude: Exclusion
	now: float


def read_sites(
	benches: Sequence[Bench], exclude: Exclusion, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Pass:
	"""Return every site of the benches, and what lies beside them, as a pass that stands saw them.

	A pass goes over all benches, and stands if the modification time of each sites folder was the same before and
	after it, and already SETTLED_SECONDS old when it began. If none of MAX_PASSES stands, the union of all of them
	does: in it a site counts if it was counted under any name, since under constant renames one too high does less
	harm than one too low.

	Raises BenchError, and CensusError for an error that is none of a site's: of the process, or of the file system.
	"""
	result = _passes_until_one_stands(benches, exclude, clock, sleep)
	_reread(result, exclude, sleep)
	return result


def _passes_until_one_stands(
	benches: Sequence[Bench], exclude: Exclusion, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Pass:
	union: Pass | None = None
	for number in range(MAX_PASSES):
		if number:
			sleep(SETTLED_SECONDS)
		before = [_stamp(bench) for bench in benches]
		now = clock()
		settled = all(now - stamp.st_mtime >= SETTLED_SECONDS for stamp in before)
		result = _one_pass(benches, exclude, now)
		after = [_stamp(bench) for bench in benches]
		if settled and all(map(_unchanged, before, after)):
			return result
		if union:
			union.join(result)
		else:
			union = result
	assert union is not None
	return union


@contextlib.contextmanager
def _errors_of(bench: Bench) -> Iterator[None]:
	"""Turn what the kernel says of a bench, or of something in it, into an error that stops the count."""
	try:
		yield
	except OSError as error:
		reason = error.strerror or error
		if is_process_error(error):
			path = sanitize(os.path.join(bench.sites, error.filename or ""))
			raise CensusError(coded("count_interrupted", path=path, reason=reason)) from None
		raise BenchError(coded("bench_unreadable", bench=sanitize(bench.sites), reason=reason)) from None


def _stamp(bench: Bench) -> os.stat_result:
	with _errors_of(bench):
		status = os.stat(bench.sites)
		if (status.st_dev, status.st_ino) != bench.identity:
			raise OSError(0, coded("folder_replaced"))
		return status


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
	# The time of change too: a program may set the modification time back (rsync does), but not that.
	return (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def _one_pass(benches: Sequence[Bench], exclude: Exclusion, now: float) -> Pass:
	result = Pass()
	links: list[_Link] = []
	for bench in benches:
		with _errors_of(bench), opened_folder(bench.sites) as folder:
			_read_folders(result, links, _Listing(bench, sanitize(bench.root), folder, exclude, now))
	# Last, so that a name which leads to a folder among the sites is the alias, and not the site.
	for bench in dict.fromkeys(link.bench for link in links):
		names = [link.name for link in links if link.bench is bench]
		with _errors_of(bench), opened_folder(bench.sites) as folder:
			_follow_links(result, names, _Listing(bench, sanitize(bench.root), folder, exclude, now))
	return result


def _read_folders(result: Pass, links: list[_Link], listing: _Listing) -> None:
	with os.scandir(listing.bench.sites) as found:
		entries = sorted(found, key=_name)
	for entry in entries:
		name = entry.name
		if name == STATE_FOLDER_NAME:
			result.not_sites.append(NotASite(name, listing.shown, "the state folder of prego_metrics"))
		elif entry.is_dir(follow_symlinks=False):
			try:
				status = entry.stat(follow_symlinks=False)
			except FileNotFoundError:
				continue  # renamed or dropped since it was listed: this pass does not stand
			_look(result, listing, name, status)
		elif entry.is_symlink():
			links.append(_Link(listing.bench, name))


def _name(entry: os.DirEntry[str]) -> str:
	return entry.name


def _follow_links(result: Pass, names: list[str], listing: _Listing) -> None:
	for name in names:
		reason = "a symlink to what is no folder"
		try:
			status = os.stat(name, dir_fd=listing.folder)
		except OSError as error:
			if is_process_error(error):
				raise
			reason = "a symlink that leads nowhere"
		else:
			identity = (status.st_dev, status.st_ino)
			if identity == listing.bench.identity:
				reason = "a symlink to the sites themselves"
			elif stat.S_ISDIR(status.st_mode):
				_look(result, listing, name, status)
				continue
		result.not_sites.append(NotASite(sanitize(name), listing.shown, reason))


def _look(result: Pass, listing: _Listing, name: str, status: os.stat_result) -> None:
	"""Look at a folder directly in sites/, or where an entry of it leads."""
	config: dict[str, object] | str
	try:
		config = read_site_config(f"{name}/{_CONFIG}", listing.folder)
	except (FileNotFoundError, NotADirectoryError):
		listed = NotASite(sanitize(name), listing.shown, "no site_config.json")
		result.not_sites.append(listed)
		if _may_come_back(name, listing):
			result.absent.append(Absent(listing.bench, name, listed))
		return
	except Unreadable as error:
		if isinstance(error, Denied) and (reason := _no_site_reason(name, status, listing.folder)):
			result.not_sites.append(NotASite(sanitize(name), listing.shown, reason))
			return
		config = error.args[0]
	site = judge(name, listing.shown, config, listing.exclude)
	doubtful_name = name if site.counted and isinstance(config, str) else None
	result.see((status.st_dev, status.st_ino), site, listing.bench, doubtful_name)


def _may_come_back(name: str, listing: _Listing) -> bool:
	"""Tell whether a configuration that was not there is there by now, or was taken away just now."""
	if name == "assets" or name.startswith("."):
		return False  # what Frappe builds into, and what is hidden, change often and are no sites
	try:
		os.stat(f"{name}/{_CONFIG}", dir_fd=listing.folder)
	except (FileNotFoundError, NotADirectoryError):
		pass
	except OSError as error:
		if is_process_error(error):
			raise
		return False
	else:
		return True
	try:
		status = os.stat(name, dir_fd=listing.folder)
	except (FileNotFoundError, NotADirectoryError):
		return False
	return listing.now - max(status.st_mtime, status.st_ctime) < _MOMENT_SECONDS


def _no_site_reason(name: str, status: os.stat_result, folder: int) -> str | None:
	"""Say why a folder that may not be looked into is taken for no site; None if it is taken for one."""
	if name == "lost+found" and status.st_uid == 0:
		return "the file system's own folder"
	if name.startswith("."):
		try:
			os.stat(f"{name}/{_CONFIG}", dir_fd=folder)
		except OSError as error:
			if is_process_error(error):
				raise
			return "a hidden folder in which no site_config.json can be seen"
	return None


def _reread(result: Pass, exclude: Exclusion, sleep: Callable[[float], None]) -> None:
	"""Look again for a moment, at all of them together, where a configuration was half written or not there.

	Frappe rewrites in place; editors and deployments rename the old one away before the new one comes.
	"""
	for number in range(_ABSENT_REREADS):
		if not (result.absent or (result.doubtful and number < _REREADS)):
			return
		sleep(_REREAD_PAUSE_SECONDS)
		for identity, (bench, name) in list(result.doubtful.items()):
			try:
				with _errors_of(bench):
					config = read_site_config(f"{bench.sites}/{name}/{_CONFIG}")
			except (Unreadable, BenchError):
				continue
			result.sites[identity] = judge(name, sanitize(bench.root), config, exclude)
			del result.doubtful[identity]
		# In quick succession too: who saves all the time may have the file away at most moments.
		for _ in range(max(1, _QUICK_LOOKS // max(1, len(result.absent)))):
			result.absent = [absent for absent in result.absent if not _came_back(result, absent, exclude)]


def _came_back(result: Pass, absent: Absent, exclude: Exclusion) -> bool:
	"""Look once more at a folder without a configuration. If it has one now, it is added to the sites."""
	bench, name = absent.bench, absent.name
	config: dict[str, object] | str
	try:
		with _errors_of(bench):
			status = os.stat(f"{bench.sites}/{name}")
			config = read_site_config(f"{bench.sites}/{name}/{_CONFIG}")
	except BenchError:
		return False  # still not there
	except Unreadable as error:
		config = error.args[0]
	result.not_sites.remove(absent.listed)
	site = judge(name, sanitize(bench.root), config, exclude)
	doubtful_name = name if site.counted and isinstance(config, str) else None
	result.see((status.st_dev, status.st_ino), site, bench, doubtful_name)
	return True
