"""How many requests and jobs each site had in the last day, and the seconds they took, by Frappe's own monitor.

Where `monitor` is set in the configuration, Frappe keeps a line for each request and job that ended. The site's
own scheduler appends them to the bench's `logs/monitor.json.log`, every four minutes by default. The seconds are
wall time in a worker, waiting for the database included: nobody outside a shared worker knows the CPU's.

The log is hostile input: any app of the bench can write it. It is read from its end, within bounds.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import BinaryIO, NamedTuple

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench, open_benches
from prego_metrics.agent.config.config import Config
from prego_metrics.tenants.inventory.site_folder import LocatedSite

LOG_NAME = "monitor.json.log"
WINDOW_SECONDS = 86400.0
# Of one bench's log, the newest part; a line of Frappe's has about 300 bytes.
MAX_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 16
# A line is written when its request or job has ended: one that ends later than now, by more than this, lies.
_SLACK_SECONDS = 60.0
_MAX_REMEMBERED = 20_000
_PROGRESS_BYTES = 1 << 20
_STAMP = b'"timestamp":"'
_MICROSECONDS = 1_000_000

Key = tuple[str, str]


@dataclass
class Work:
	"""Requests and jobs that ended, and the wall seconds that they spent in workers."""

	requests: int = 0
	request_seconds: float = 0.0
	jobs: int = 0
	job_seconds: float = 0.0

	@property
	def seconds(self) -> float:
		return self.request_seconds + self.job_seconds

	def add(self, entry: Entry) -> None:
		if entry.is_job:
			self.jobs += 1
			self.job_seconds += entry.seconds
		else:
			self.requests += 1
			self.request_seconds += entry.seconds


class Entry(NamedTuple):
	"""A line of the log: when the request or job began, in Unix seconds, and the seconds it took."""

	site: str
	is_job: bool
	began_at: float
	seconds: float


@dataclass
class MonitorLog:
	"""What was read of one bench's log; first_at and last_at are of its entries within the window.

	monitored counts the sites whose configuration has the monitor on. cut: the log is longer than is read, and
	its older part was left out. error says why it could not be read.
	"""

	bench: str
	path: str
	monitored: int
	first_at: float | None = None
	last_at: float | None = None
	not_understood: int = 0
	cut: bool = False
	error: str | None = None

	def saw(self, began_at: float) -> None:
		self.first_at = began_at if self.first_at is None else min(self.first_at, began_at)
		self.last_at = began_at if self.last_at is None else max(self.last_at, began_at)


@dataclass(frozen=True)
class Activity:
	"""What began after `since` and had ended by `until`, by bench and site; a site without a line is in none.

	other is the sum of sites that are not there any more.
	"""

	since: float
	until: float
	logs: list[MonitorLog] = field(default_factory=list)
	by_site: dict[Key, Work] = field(default_factory=dict)
	other: Work = field(default_factory=Work)

	@cached_property
	def total(self) -> Work:
		"""The sum of all, once everything is read."""
		works = [*self.by_site.values(), self.other]
		return Work(
			sum(work.requests for work in works),
			sum(work.request_seconds for work in works),
			sum(work.jobs for work in works),
			sum(work.job_seconds for work in works),
		)


def read_activity(
	config: Config,
	sites: Sequence[LocatedSite],
	*,
	now: float,
	progress: Callable[[int], None] = lambda read_bytes: None,
) -> Activity:
	"""Read the monitor's log of each bench. Raises BenchError; a log that cannot be read says so in `logs`.

	`progress` is told how many bytes were read since it was last called.
	"""
	found = Activity(now - WINDOW_SECONDS, now)
	for bench in open_benches(config.benches):
		shown = sanitize(bench.root)
		here = [located for located in sites if located.site.bench == shown]
		log = MonitorLog(shown, log_path(bench), sum(bool(located.merged.get("monitor")) for located in here))
		found.logs.append(log)
		_read_log(log, found, _keys(bench, here), progress)
	return found


def log_path(bench: Bench) -> str:
	"""Return where Frappe writes a bench's monitor."""
	return os.path.join(bench.root, "logs", LOG_NAME)


def log_bytes(config: Config) -> int:
	"""Return about how many bytes `read_activity` will read, for a progress bar. Raises BenchError."""
	sizes = []
	for bench in open_benches(config.benches):
		with contextlib.suppress(OSError):
			sizes.append(min(os.stat(log_path(bench)).st_size, MAX_BYTES))
	return sum(sizes)


def _keys(bench: Bench, here: Sequence[LocatedSite]) -> Mapping[str, Key]:
	"""Return the site that each name in a log means: its folder's, or that of a symlink to it (an alias)."""
	keys = {os.path.basename(located.folder): (located.site.bench, located.site.name) for located in here}
	with contextlib.suppress(OSError), os.scandir(bench.sites) as entries:
		for entry in entries:
			if entry.is_symlink():
				meant = os.path.realpath(entry.path)
				if (
					os.path.dirname(meant) == os.path.realpath(bench.sites)
					and os.path.basename(meant) in keys
				):
					keys[entry.name] = keys[os.path.basename(meant)]
	return keys


def _read_log(
	log: MonitorLog, found: Activity, keys: Mapping[str, Key], progress: Callable[[int], None]
) -> None:
	last_lines: dict[int, int] = {}
	oldest = datetime.fromtimestamp(found.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S").encode()
	try:
		with contextlib.ExitStack() as opened:
			for line in _lines(log, found.since, opened, progress):
				if _is_older(line, oldest):
					continue
				try:
					entry = parse_line(line, found.since, found.until)
				except ValueError:
					log.not_understood += 1
					continue
				if entry is None or _is_repeated(line, entry.site, last_lines):
					continue
				log.saw(entry.began_at)
				key = keys.get(entry.site)
				(found.other if key is None else found.by_site.setdefault(key, Work())).add(entry)
	except OSError as error:
		log.error = error.strerror or str(error)


def _is_repeated(line: bytes, site: str, last_lines: dict[int, int]) -> bool:
	# Frappe leaves the last line that it wrote in Redis, and writes it again with the site's next ones. Hashes
	# only: a hostile log may name any number of sites, and at length.
	named, told = hash(site), hash(line)
	if last_lines.get(named) == told:
		return True
	if named in last_lines or len(last_lines) < _MAX_REMEMBERED:
		last_lines[named] = told
	return False


def _is_older(line: bytes, oldest: bytes) -> bool:
	# Most lines of a long log are old. Frappe writes UTC, whose texts compare as the times do.
	at = line.find(_STAMP) + len(_STAMP)
	return at >= len(_STAMP) and b"20" <= line[at : at + len(oldest)] < oldest


def parse_line(line: bytes, since: float, until: float) -> Entry | None:
	"""Return what a line tells, None where it began before `since`. Raises ValueError for what Frappe does not write."""
	try:
		content = json.loads(line.decode())
		site, kind = content["site"], content["transaction_type"]
		began, duration = datetime.fromisoformat(content["timestamp"]), content["duration"]
	except (KeyError, TypeError, RecursionError):
		raise ValueError("it is no line of the monitor's") from None
	if not isinstance(site, str) or kind not in ("request", "job") or type(duration) is not int:
		raise ValueError("it is no line of the monitor's")
	began_at = (began if began.tzinfo else began.replace(tzinfo=timezone.utc)).timestamp()
	if not 0 <= duration <= (until + _SLACK_SECONDS - began_at) * _MICROSECONDS:
		raise ValueError("it ends in the future")
	return Entry(site, kind == "job", began_at, duration / _MICROSECONDS) if began_at >= since else None


def _lines(
	log: MonitorLog, since: float, opened: contextlib.ExitStack, progress: Callable[[int], None]
) -> Iterator[bytes]:
	"""Give the lines of the newest MAX_BYTES, those of the file before the last rotation first."""
	files = []
	left = MAX_BYTES
	seen: set[tuple[int, int]] = set()
	for path in (log.path, f"{log.path}.1"):
		try:
			file = opened.enter_context(_open(path))
		except FileNotFoundError:
			continue
		status = os.fstat(file.fileno())
		# Renamed between the two: one file by both names. And what was last written before says nothing.
		if (status.st_dev, status.st_ino) in seen or status.st_mtime < since:
			continue
		seen.add((status.st_dev, status.st_ino))
		taken = min(left, status.st_size)
		left -= taken
		log.cut = log.cut or taken < status.st_size
		files.append((file, status.st_size - taken, taken))
	for file, start, taken in reversed(files):
		yield from _lines_of(file, start, taken, log, progress)


def _open(path: str) -> BinaryIO:
	# O_NONBLOCK: a FIFO of that name must not hold up whoever looks.
	descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
	if not stat.S_ISREG(os.fstat(descriptor).st_mode):
		os.close(descriptor)
		raise OSError(0, "it is not a regular file")
	return open(descriptor, "rb", buffering=1 << 18)


def _lines_of(
	file: BinaryIO, start: int, size: int, log: MonitorLog, progress: Callable[[int], None]
) -> Iterator[bytes]:
	"""Give the whole lines of `size` bytes from `start` on; one that is too long counts as not understood."""
	file.seek(start)
	within = start > 0  # the middle of a line, whose rest is skipped
	told = 0
	while size > 0 and (line := file.readline(min(MAX_LINE_BYTES, size))):
		size -= len(line)
		told += len(line)
		if told >= _PROGRESS_BYTES:
			progress(told)
			told = 0
		whole = line.endswith(b"\n")
		if not within and whole and len(line) > 1:
			yield line
		elif not within and len(line) == MAX_LINE_BYTES:
			log.not_understood += 1
		within = not whole
	progress(told)
