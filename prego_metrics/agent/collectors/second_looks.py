"""Look again at what may be a site in a moment: a configuration that is half written, or was taken away just now.

Frappe rewrites in place; editors and deployments rename the old one away before the new one comes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from prego_metrics.agent.base.errors import BenchError, CensusError
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.site_config import Unreadable, is_process_error, read_site_config
from prego_metrics.agent.collectors.sightings import Absent, Pass
from prego_metrics.agent.collectors.sites import Exclusion, NotASite, judge
from prego_metrics.agent.light_typing import NamedTuple

_REREADS = 3
# A second: on a loaded machine, who saves a file may lose the CPU for long between its two steps.
_ABSENT_REREADS = 50
_REREAD_PAUSE_SECONDS = 0.02
_QUICK_LOOKS = 10
# A configuration is absent for a moment only where its folder has just changed.
_MOMENT_SECONDS = 1.0
CONFIG = "site_config.json"


class Listing(NamedTuple):
	"""The sites folder of one bench, open as `folder`, for the pass that began at `now`; shown is the bench's name."""

	bench: Bench
	shown: str
	folder: int
	exclude: Exclusion
	now: float


@contextlib.contextmanager
def errors_of(bench: Bench) -> Iterator[None]:
	"""Turn what the kernel says of a bench, or of something in it, into an error that stops the count."""
	try:
		yield
	except OSError as error:
		reason = error.strerror or error
		if is_process_error(error):
			path = sanitize(os.path.join(bench.sites, error.filename or ""))
			raise CensusError(coded("count_interrupted", path=path, reason=reason)) from None
		raise BenchError(coded("bench_unreadable", bench=sanitize(bench.sites), reason=reason)) from None


def list_absent(result: Pass, listing: Listing, name: str, reason: str) -> None:
	"""List an entry that leads to no site, and keep it for another look if it may come back in a moment."""
	may_come_back = _may_come_back(name, listing)
	if may_come_back is None:
		return  # renamed or dropped since it was listed: this pass does not stand
	listed = NotASite(sanitize(name), listing.shown, reason)
	result.not_sites.append(listed)
	if may_come_back:
		result.absent.append(Absent(listing.bench, name, listed))


def _may_come_back(name: str, listing: Listing) -> bool | None:
	"""Tell whether a configuration that was not there is there by now, or was taken away just now.

	A link that leads nowhere is looked at where its target would be. None if the entry itself is gone.
	"""
	if name == "assets" or name.startswith("."):
		return False  # what Frappe builds into, and what is hidden, change often and are no sites
	try:
		os.stat(f"{name}/{CONFIG}", dir_fd=listing.folder)
	except (FileNotFoundError, NotADirectoryError):
		pass
	except OSError as error:
		if is_process_error(error):
			raise
		return False
	else:
		return True
	path = os.path.join(listing.bench.sites, name)
	is_link = True
	try:
		os.readlink(path)
	except FileNotFoundError:
		return None
	except OSError:
		is_link = False
	target = os.path.realpath(path)
	for place in (target, os.path.dirname(target)) if is_link else (path,):
		try:
			status = os.stat(place)
		except OSError as error:
			if is_process_error(error):
				raise
			continue
		return listing.now - max(status.st_mtime, status.st_ctime) < _MOMENT_SECONDS
	return False


def look_again(result: Pass, exclude: Exclusion, sleep: Callable[[float], None]) -> None:
	"""Look again for a moment, at all of them together, where a configuration was half written or not there.

	Frappe rewrites in place; editors and deployments rename the old one away before the new one comes.
	"""
	for number in range(_ABSENT_REREADS):
		if not (result.absent or (result.doubtful and number < _REREADS)):
			return
		sleep(_REREAD_PAUSE_SECONDS)
		for identity, (bench, name) in list(result.doubtful.items()):
			try:
				with errors_of(bench):
					config = read_site_config(f"{bench.sites}/{name}/{CONFIG}")
			except (Unreadable, BenchError):
				continue
			result.sites[identity] = judge(name, sanitize(bench.root), config, exclude)
			del result.doubtful[identity]
		# In quick succession too: who saves all the time may have the file away at most moments.
		for _ in range(max(1, _QUICK_LOOKS // max(1, len(result.absent)))):
			result.absent = [absent for absent in result.absent if not _came_back(result, absent, exclude)]
	for bench, name, listed in result.absent:
		if not os.path.lexists(f"{bench.sites}/{name}"):
			result.not_sites.remove(listed)  # it was renamed or dropped meanwhile


def _came_back(result: Pass, absent: Absent, exclude: Exclusion) -> bool:
	"""Look once more at a folder without a configuration. If it has one now, it is added to the sites."""
	bench, name = absent.bench, absent.name
	config: dict[str, object] | str
	try:
		with errors_of(bench):
			status = os.stat(f"{bench.sites}/{name}")
			config = read_site_config(f"{bench.sites}/{name}/{CONFIG}")
	except BenchError:
		return False  # still not there
	except Unreadable as error:
		config = error.args[0]
	result.not_sites.remove(absent.listed)
	site = judge(name, sanitize(bench.root), config, exclude)
	doubtful_name = name if site.counted and isinstance(config, str) else None
	result.see((status.st_dev, status.st_ino), site, bench, doubtful_name)
	return True
