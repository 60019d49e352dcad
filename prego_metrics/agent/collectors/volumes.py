"""The file systems that tenants fill, as far as `disk_paths` does not watch them."""

from __future__ import annotations

import glob
import os
import re

from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.config.config import Config

_MARIADB_FILES = ("/etc/my.cnf", "/etc/my.cnf.d/*.cnf", "/etc/mysql/my.cnf", "/etc/mysql/*.d/*.cnf")
_MARIADB_FOLDER = "/var/lib/mysql"
_DATA_FOLDER = re.compile(r"^\s*datadir\s*=\s*[\"']?(/[^\"'#\n]*?)[\"']?\s*(?:#.*)?$", re.MULTILINE)
_MAX_BYTES = 1 << 20


def unwatched_volumes(config: Config, census: Census) -> list[str]:
	"""Return the mount points of file systems that hold a site or MariaDB's data and are not among disk_paths."""
	watched = {device for path in config.disk_paths if (device := _device(path)) is not None}
	unwatched: dict[int, str] = {}
	for folder in (*census.volumes, *mariadb_folders()):
		device = _device(folder)
		if device is not None and device not in watched:
			unwatched.setdefault(device, mount_point(folder))
	return sorted(unwatched.values())


def mariadb_folders() -> list[str]:
	"""Return where a MariaDB of this machine keeps its data, as its configuration files say."""
	folders = [_MARIADB_FOLDER]
	for pattern in _MARIADB_FILES:
		for path in glob.glob(pattern):
			try:
				folders += _DATA_FOLDER.findall(read_limited(path, _MAX_BYTES).decode("utf-8", "replace"))
			except (OSError, UnfitFile):
				continue
	return folders


def mount_point(path: str) -> str:
	"""Return the topmost folder above `path` that lies on the same file system."""
	path = os.path.realpath(path)
	device = _device(path)
	while path != os.path.dirname(path) and _device(os.path.dirname(path)) == device:
		path = os.path.dirname(path)
	return path


def _device(path: str) -> int | None:
	try:
		return os.stat(path).st_dev
	except (OSError, ValueError):
		return None
