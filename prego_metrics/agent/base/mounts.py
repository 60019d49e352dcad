"""The mounts that this process sees (proc(5), mountinfo)."""

from __future__ import annotations

import re

from prego_metrics.agent.light_typing import NamedTuple

MOUNTS_FILE = "/proc/self/mountinfo"
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
	"""One mount. device is MAJOR:MINOR, root the folder of its file system that is mounted at point."""

	device: str
	root: str
	point: str
	kind: str
	options: tuple[str, ...]


def read_mounts() -> list[Mount]:
	"""Return the mounts, the newest last. Raises OSError, and ValueError for what is not the kernel's."""
	with open(MOUNTS_FILE, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
		return [_mount(line) for line in file]


def _mount(line: str) -> Mount:
	mount, _, file_system = line.rstrip("\n").partition(" - ")
	_, _, device, root, point, *_ = mount.split(" ")
	kind, _, options = file_system.split(" ", 2)
	return Mount(device, _unescaped(root), _unescaped(point), kind, tuple(options.split(",")))


def _unescaped(path: str) -> str:
	"""Return a path as it is: the kernel writes spaces, line ends and backslashes as octal escapes."""
	return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path
