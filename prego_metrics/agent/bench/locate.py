"""A bench on disk: where its sites folder is, and which folders a pattern names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator

from prego_metrics.agent.base.errors import BenchError, NotABench
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.trust import MARKERS, require_trusted
from prego_metrics.agent.light_typing import NamedTuple

# The app's own folder in sites/, which is never a site.
STATE_FOLDER_NAME = ".prego-metrics"


class Bench(NamedTuple):
	"""A folder of sites that Frappe would accept as one.

	sites is absolute and as the operator named it; identity is what the file system calls it, so that two
	names of one bench are seen to be one.
	"""

	sites: str
	identity: tuple[int, int]

	@property
	def root(self) -> str:
		"""The folder that holds sites/."""
		return os.path.dirname(self.sites)


def open_bench(path: str) -> Bench:
	"""Return the bench at `path`, which names the bench or its sites folder.

	A folder is a bench only if its sites folder holds apps.txt or common_site_config.json: an empty mount
	point must be an error and not a bench with zero sites. Raises BenchError.
	"""
	path = path if os.path.isabs(path) else os.path.join(_working_directory(), path)
	path = os.path.normpath(path)
	for sites in (os.path.join(path, "sites"), path):
		try:
			identity = _sites_identity(sites)
		except OSError as error:
			raise _unreadable(path, error.strerror) from None
		except ValueError:
			raise _unreadable(path, coded("file_name_impossible")) from None
		if identity:
			return Bench(sites, identity)
	raise NotABench(coded("not_a_bench", folder=sanitize(path)))


def _unreadable(path: str, reason: str | None) -> BenchError:
	return BenchError(coded("bench_unreadable", bench=sanitize(path), reason=reason))


def find_bench(path: str | None) -> Bench:
	"""Return the bench at `path`, or, without one, the bench around the working directory.

	Raises BenchError, also for one that somebody else could have written: see `trust`.
	"""
	if path == "":
		raise BenchError(coded("bench_name_empty"))
	if path is not None:
		bench = open_bench(path)
		require_trusted(bench.sites)
		return bench
	folder = start = _working_directory()
	while True:
		try:
			bench = open_bench(folder)
		except NotABench:
			pass
		else:
			require_trusted(bench.sites, found=True)
			return bench
		if folder == os.path.dirname(folder):
			raise BenchError(coded("bench_not_found", folder=sanitize(start)))
		folder = os.path.dirname(folder)


def open_benches(paths: Iterable[str]) -> list[Bench]:
	"""Return the benches that absolute paths and patterns name, each once whatever the number of its names.

	A path that is no bench, a pattern that matches nothing and a folder that cannot be listed raise
	BenchError: a smaller number would be a wrong one.
	"""
	benches: dict[tuple[int, int], Bench] = {}
	for path in paths:
		for match in _matches(path):
			bench = open_bench(match)
			benches.setdefault(bench.identity, bench)
	return list(benches.values())


def folders_before_benches(paths: Iterable[str]) -> set[str]:
	"""Return the folders in which patterns look for benches, at any depth. Raises BenchError."""
	return {folder for path in paths if is_pattern(path) for level in _levels(path)[:-1] for folder in level}


def links_before_benches(paths: Iterable[str]) -> set[str]:
	"""Return the links that parts of patterns match, wherever they lead. Raises BenchError."""
	return {
		place
		for path in paths
		if is_pattern(path)
		for folders, part in zip(_levels(path), path.strip("/").split("/"), strict=False)
		for folder in folders
		for place in _places(folder, part)
		if os.path.islink(place)
	}


def is_pattern(path: str) -> bool:
	"""Return whether a path of the setting `benches` is a pattern."""
	return _has_wildcard(path) and not os.path.exists(path)


def is_sites_folder(folder: str) -> bool:
	"""Tell whether a folder itself holds what makes it the sites folder of a bench."""
	try:
		return _sites_identity(folder) is not None
	except OSError:
		return False


def _working_directory() -> str:
	try:
		return os.getcwd()
	except OSError as error:
		raise BenchError(coded("working_directory_gone", reason=error.strerror)) from None


def _sites_identity(sites: str) -> tuple[int, int] | None:
	for marker in MARKERS:
		if _is(stat.S_ISREG, os.path.join(sites, marker)):
			status = os.stat(sites)
			return status.st_dev, status.st_ino
	return None


def _matches(pattern: str) -> list[str]:
	"""Expand a pattern as a shell does, but say so where a folder cannot be looked into.

	The standard library's glob passes over such folders in silence.
	"""
	if not is_pattern(pattern):
		return [pattern]
	matches = _levels(pattern)[-1]
	if not matches:
		raise BenchError(coded("bench_pattern_empty", pattern=sanitize(pattern)))
	return sorted(matches)


def _levels(pattern: str) -> list[list[str]]:
	"""Return the folders that each part of a pattern leads to, the first part's first. Raises BenchError."""
	levels = [["/"]]
	for part in pattern.strip("/").split("/"):
		try:
			levels.append([path for folder in levels[-1] for path in _step(folder, part)])
		except OSError as error:
			reason = f"{sanitize(error.filename or pattern)}: {error.strerror}"
			raise _unreadable(pattern, reason) from None
	return levels


def _step(folder: str, part: str) -> Iterator[str]:
	yield from (place for place in _places(folder, part) if _is(stat.S_ISDIR, place))


def _places(folder: str, part: str) -> Iterator[str]:
	"""Return what a part of a pattern matches in a folder; without a wildcard, also what is not there."""
	if not _has_wildcard(part):
		yield os.path.join(folder, part) if part else folder
	else:
		import fnmatch

		with os.scandir(folder) as entries:
			names = [entry.name for entry in entries]
		for name in names:
			# As in a shell, * does not match what is hidden.
			if name.startswith(".") and not part.startswith("."):
				continue
			if fnmatch.fnmatchcase(name, part):
				yield os.path.join(folder, name)


def _is(kind: Callable[[int], bool], path: str) -> bool:
	"""Tell whether `path`, links followed, is of a kind. Raises OSError where that cannot be known."""
	try:
		return kind(os.stat(path).st_mode)
	except (FileNotFoundError, NotADirectoryError):
		return False


def _has_wildcard(path: str) -> bool:
	return any(sign in path for sign in "*?[")
