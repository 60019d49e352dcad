"""How much memory the processes of this process's memory cgroup use of what they may use (cgroups(7), v1 and v2).

It is working set / limit, as `docker stats` and the kubelet have it. The working set is the usage less the file pages
that are inactive and can be given back; swap is not part of it. All three are of the cgroup with the smallest limit on
the path from this process's own one up to the topmost that is mounted here; of several with that limit, of the
outermost. A limit that is not below the host's memory is none.

| | v2 | v1 |
|---|---|---|
| limit | memory.max | memory.limit_in_bytes |
| usage | memory.current | memory.usage_in_bytes |
| inactive file pages, those of the cgroups below included | inactive_file in memory.stat | total_inactive_file in memory.stat |
"""

from __future__ import annotations

import os

from prego_metrics.agent.base.mounts import read_mounts
from prego_metrics.agent.light_typing import NamedTuple

_OWN_CGROUPS = "/proc/self/cgroup"


class CgroupMemory(NamedTuple):
	"""The smallest limit in bytes, and the working set under it."""

	limit: int
	working_set: int


class _Files(NamedTuple):
	"""The names of a cgroup's files, and of the field of memory.stat."""

	limit: str
	usage: str
	inactive: str


_V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Files("memory.max", "memory.current", "inactive_file")


def read_cgroup_memory(host_bytes: int) -> CgroupMemory | None:
	"""Return the smallest limit below the host's memory with its working set, None if there is no such limit.

	Raises OSError, ValueError or LookupError where that cannot be known.
	"""
	files, folders = _cgroups()
	limit, limited = host_bytes, None
	for folder in folders:
		own = _limit(os.path.join(folder, files.limit))
		if own is not None and own < limit:
			limit, limited = own, folder
	if limited is None:
		return None
	usage = int(_read(os.path.join(limited, files.usage)))
	statistics = dict(line.split() for line in _read(os.path.join(limited, "memory.stat")).splitlines())
	return CgroupMemory(limit, max(0, usage - int(statistics[files.inactive])))


def _limit(path: str) -> int | None:
	try:
		limit = _read(path).strip()
	except FileNotFoundError:
		return None  # the topmost cgroup of v2 has no limit, nor has one without the memory controller
	return None if limit == "max" else int(limit)


def _cgroups() -> tuple[_Files, list[str]]:
	"""Return the folders of this process's memory cgroup and of those above it, the outermost first."""
	own: dict[str, str] = {}
	for line in _read(_OWN_CGROUPS).splitlines():
		_, controllers, path = line.split(":", 2)
		own.update(dict.fromkeys(controllers.split(","), path))
	# A controller that v1 has is not in v2.
	files, path, kind = (_V1, own["memory"], "cgroup") if "memory" in own else (_V2, own[""], "cgroup2")
	for mount in read_mounts():
		if mount.kind != kind or (files is _V1 and "memory" not in mount.options):
			continue
		root = mount.root.rstrip("/")
		if (path + "/").startswith(root + "/"):
			parts = [part for part in path[len(root) :].split("/") if part]
			folders = [os.path.join(mount.point, *parts[:depth]) for depth in range(len(parts) + 1)]
			os.stat(folders[-1])  # a path of another namespace is not here
			return files, folders
	raise LookupError


def _read(path: str) -> str:
	with open(path, encoding="utf-8", errors="surrogateescape") as file:
		return file.read(1 << 20)
