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
from collections.abc import Callable, Sequence

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.mounts import read_mounts
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import STATE_FOLDER_NAME, Bench
from prego_metrics.agent.bench.site_config import (
	Denied,
	Linked,
	Unreadable,
	is_process_error,
	read_site_config,
)
from prego_metrics.agent.collectors.second_looks import CONFIG, Listing, errors_of, list_absent, look_again
from prego_metrics.agent.collectors.sightings import Pass
from prego_metrics.agent.collectors.sites import Exclusion, NotASite, judge
from prego_metrics.agent.light_typing import NamedTuple

MAX_PASSES = 5
# Older kernels stamp a folder's modification time in steps of 4 ms (a jiffy, up to 10 ms): a change right
# after the stamp would not show. What is already 20 ms old cannot be followed by an unseen change.
SETTLED_SECONDS = 0.02


class _Link(NamedTuple):
	bench: Bench
	name: str


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
	result.elsewhere |= _mounted(benches)
	look_again(result, exclude, sleep)
	return result


def _mounted(benches: Sequence[Bench]) -> set[tuple[str, str]]:
	"""Return bench and name, as shown, of the entries of sites/ at or in which something is mounted."""
	mounted = set()
	for bench in benches:
		above = os.path.realpath(bench.sites) + "/"
		# Without /proc nothing is known of mounts.
		with contextlib.suppress(BenchError, ValueError), errors_of(bench):
			points = [mount.point for mount in read_mounts()]
			names = {point[len(above) :].split("/")[0] for point in points if point.startswith(above)}
			mounted |= {(sanitize(bench.root), sanitize(name)) for name in names}
	return mounted


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
		if settled and all(_unchanged(*pair) for pair in zip(before, after, strict=True)):
			return result
		if union:
			union.join(result)
		else:
			union = result
	assert union is not None
	return union


def _stamp(bench: Bench) -> os.stat_result:
	with errors_of(bench):
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
		with errors_of(bench), opened_folder(bench.sites) as folder:
			_read_folders(result, links, Listing(bench, sanitize(bench.root), folder, exclude, now))
	# Last, so that a name which leads to a folder among the sites is the alias, and not the site.
	for bench in dict.fromkeys(link.bench for link in links):
		names = [link.name for link in links if link.bench is bench]
		with errors_of(bench), opened_folder(bench.sites) as folder:
			_follow_links(result, names, Listing(bench, sanitize(bench.root), folder, exclude, now))
	return result


def _read_folders(result: Pass, links: list[_Link], listing: Listing) -> None:
	with os.scandir(listing.bench.sites) as listed:
		entries = sorted(listed, key=_name)
	for entry in entries:
		name = entry.name
		if name == STATE_FOLDER_NAME:
			result.not_sites.append(NotASite(name, listing.shown, "the state folder of prego_metrics"))
		elif entry.is_dir(follow_symlinks=False):
			try:
				# Not entry.stat, which keeps what it found for as long as the entry.
				status = os.stat(name, dir_fd=listing.folder, follow_symlinks=False)
			except FileNotFoundError:
				continue  # renamed or dropped since it was listed: this pass does not stand
			_look(result, listing, name, status)
		elif entry.is_symlink():
			links.append(_Link(listing.bench, name))


def _name(entry: os.DirEntry[str]) -> str:
	return entry.name


def _follow_links(result: Pass, names: list[str], listing: Listing) -> None:
	for name in names:
		reason = "a symlink to what is no folder"
		try:
			status = os.stat(name, dir_fd=listing.folder)
		except OSError as error:
			if is_process_error(error):
				raise
			_look_at_link(result, listing, name, error)
			continue
		else:
			identity = (status.st_dev, status.st_ino)
			if identity == listing.bench.identity:
				reason = "a symlink to the sites themselves"
			elif stat.S_ISDIR(status.st_mode):
				result.elsewhere.add((listing.shown, sanitize(name)))
				_look(result, listing, name, status)
				continue
		result.not_sites.append(NotASite(sanitize(name), listing.shown, reason))


def _look_at_link(result: Pass, listing: Listing, name: str, error: OSError) -> None:
	"""Look at a link that could not be followed."""
	try:
		status = os.stat(name, dir_fd=listing.folder, follow_symlinks=False)
	except FileNotFoundError:
		return  # renamed or dropped since it was listed: this pass does not stand
	if isinstance(error, PermissionError) and not name.startswith("."):
		# It may lead to a site, which is then only known by the link itself.
		problem = coded("file_unreadable", reason=error.strerror)
		site = judge(name, listing.shown, problem, listing.exclude)
		result.see((status.st_dev, status.st_ino), site, listing.bench, None)
		result.elsewhere.add((listing.shown, site.name))
		return
	list_absent(result, listing, name, "a symlink that leads nowhere")


def _look(result: Pass, listing: Listing, name: str, status: os.stat_result) -> None:
	"""Look at a folder directly in sites/, or where an entry of it leads."""
	config: dict[str, object] | str
	try:
		try:
			config = read_site_config(f"{name}/{CONFIG}", listing.folder, follow=False)
		except Linked:
			result.elsewhere.add((listing.shown, sanitize(name)))
			config = read_site_config(f"{name}/{CONFIG}", listing.folder)
	except (FileNotFoundError, NotADirectoryError):
		list_absent(result, listing, name, "no site_config.json")
		return
	except Unreadable as error:
		if isinstance(error, Denied) and (reason := _no_site_reason(name, status, listing.folder)):
			result.not_sites.append(NotASite(sanitize(name), listing.shown, reason))
			return
		config = error.args[0]
	site = judge(name, listing.shown, config, listing.exclude)
	doubtful_name = name if site.counted and isinstance(config, str) else None
	result.see((status.st_dev, status.st_ino), site, listing.bench, doubtful_name)


def _no_site_reason(name: str, status: os.stat_result, folder: int) -> str | None:
	"""Say why a folder that may not be looked into is taken for no site; None if it is taken for one."""
	if name == "lost+found" and status.st_uid == 0:
		return "the file system's own folder"
	if name.startswith("."):
		try:
			os.stat(f"{name}/{CONFIG}", dir_fd=folder)
		except OSError as error:
			if is_process_error(error):
				raise
			return "a hidden folder in which no site_config.json can be seen"
	return None
