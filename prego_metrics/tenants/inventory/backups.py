"""A site's backups on disk, recognized by the names that Frappe gives them.

`20260824_093000-acme_example-database.sql.gz` begins with the site's local time and the site's name, the same
for all files of one backup: the database, `-files` and `-private-files` (both only if they were asked for),
and the configuration. `-enc` marks an encrypted file, `-partial` a database without all of its tables.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace

from prego_metrics.agent.base.messages import message
from prego_metrics.tenants.inventory.disk_usage import DiskUsage, disk_usage

DEFAULT_FOLDER = "private/backups"
_BLOCK_BYTES = 512
_NAME = re.compile(
	r"(?P<stamp>\d{8}_\d{6})-(?P<slug>.+?)(?P<partial>-partial)?-(?P<part>database|private-files|files)"
	r"(?P<encrypted>-enc)?\.(?:sql\.gz|sql|tar|tgz)"
)


@dataclass(frozen=True)
class Backups:
	"""The backups of one site.

	bytes is their size on disk, None if it was not asked for; with unreadable above 0 it is a lower bound. newest_at
	is the Unix time at which the newest database was written, None without any; newest_complete says whether it is
	whole and has both kinds of files, newest_encrypted whether it is encrypted. error says why the folder could not be
	read, and then nothing else is known.
	"""

	count: int = 0
	bytes: int | None = None
	newest_at: float | None = None
	newest_complete: bool | None = None
	newest_encrypted: bool | None = None
	error: str | None = None
	unreadable: int = 0


def read_backups(site_folder: str, folder: object = None, *, sizes: bool = False) -> Backups:
	"""Return the backups of the site in `site_folder`. Never raises OSError.

	`folder` is `backup_path` of its configuration: relative to the site, or absolute, or a symlink: one that
	lies elsewhere is perhaps shared by several sites, of which only this one's are counted.
	"""
	named = os.path.join(site_folder, folder if isinstance(folder, str) and folder else DEFAULT_FOLDER)
	slug = os.path.basename(site_folder).replace(".", "_")
	# The files of each backup, by what they hold.
	backups: dict[tuple[str, str], dict[str, tuple[re.Match[str], float]]] = {}
	blocks = 0
	try:
		path = os.path.realpath(named)
		# A site that was renamed keeps its older backups, under its older name.
		own = path.startswith(os.path.realpath(site_folder) + os.sep)
		with os.scandir(path) as entries:
			for entry in entries:
				match = _NAME.fullmatch(entry.name)
				if match is None or not (own or match["slug"] == slug):
					continue
				try:
					status = entry.stat(follow_symlinks=False)
				except FileNotFoundError:
					continue  # Frappe deletes the older ones
				if stat.S_ISREG(status.st_mode):
					blocks += status.st_blocks
					if status.st_size:  # what a full disk leaves of a dump is not a backup
						files = backups.setdefault((match["stamp"], match["slug"]), {})
						files[match["part"]] = match, status.st_mtime
	except FileNotFoundError:
		if os.path.islink(named):
			return Backups(error=message("it is a broken link"))
		return Backups(bytes=0 if sizes else None)
	except (OSError, ValueError) as error:
		reason = (error.strerror if isinstance(error, OSError) else None) or "no folder has such a name"
		return Backups(error=reason)
	usage = None
	if sizes:
		usage = disk_usage(path) if own else DiskUsage(blocks * _BLOCK_BYTES)
	known = Backups(bytes=usage.bytes if usage else None, unreadable=usage.unreadable if usage else 0)
	# The age is the file's: the time in its name is the site's own, in whatever zone that is.
	databases = [(*files["database"], files.keys()) for files in backups.values() if "database" in files]
	if not databases:
		return known
	match, newest_at, parts = max(databases, key=lambda database: database[1])
	return replace(
		known,
		count=len(databases),
		newest_at=newest_at,
		newest_complete=match["partial"] is None and {"files", "private-files"} <= parts,
		newest_encrypted=match["encrypted"] is not None,
	)
