"""Whom a bench is believed from: who owns, and who else can write, its folders, its marker files and its configuration.

Whoever can write one of them decides where the key is sent. What is judged, on the way that the name takes through
links: every folder above sites/, sites/ itself, and the files that make it a bench.

- The owner must be root, the caller or, for a bench that was named, the bench's owner (that of sites/). One that was
  found above the working directory must be root's or the caller's, who with sudo is the user that called it.
- Nobody else may write it. A sticky bit (/tmp) protects what others own above sites/; in sites/ it does not keep
  anybody from adding a file.
- Its group may write where that is the own group of one of these owners (frappe:frappe 0775), root's, or one that has
  no name here (a volume's, in a container): who is added to the own group is trusted with the key. Where the owner
  is hidden (systemd's PrivateUsers=), the own group is that of this process, if a user has its name and number.

An owner that is not mapped into this user namespace looks like root outside of it, and may own what is above.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Collection

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.base.kernel import OVERFLOW_ID, is_unmapped, lacks_ids
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize

MARKERS = ("apps.txt", "common_site_config.json")
_MOST_LINKS = 40


def require_trusted(sites: str, *, found: bool = False) -> None:
	"""Raise BenchError if somebody else could have written the bench whose sites folder is at the absolute path.

	found says that nobody named it: it lies above the working directory.
	"""
	try:
		_Judgement(sites, found).judge()
	except OSError as error:
		reason = error.strerror
		raise BenchError(coded("bench_unreadable", bench=sanitize(sites), reason=reason)) from None


class _Judgement:
	"""The judgement of one bench, made once."""

	def __init__(self, sites: str, found: bool) -> None:
		self._sites = sites
		self._found = found
		self._owner = os.stat(sites).st_uid
		callers = [os.geteuid()]
		sudo_uid = os.environ.get("SUDO_UID", "")
		if callers == [0] and found and sudo_uid.isdecimal():
			callers.append(int(sudo_uid))
		self._owners = {0, *callers} if found else {0, *callers, self._owner}
		self._owners_above = self._owners | ({OVERFLOW_ID} if lacks_ids("uid") else set())

	def judge(self) -> None:
		"""Raise BenchError for what is not to be believed; OSError."""
		sites = self._follow(self._sites)
		self._judge_entry(sites)
		for marker in MARKERS:
			path = os.path.join(sites, marker)
			try:
				real = self._follow(marker, sites) if os.path.islink(path) else path
				if stat.S_ISREG(os.lstat(real).st_mode):
					self._judge_entry(real)
			except OSError as error:
				# Nothing is read through such a name, and whether it must be there is not the question here.
				if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
					raise

	def _follow(self, path: str, folder: str = "/") -> str:
		"""Return `path` without links; every folder on its way is judged, but the last one and what it holds."""
		parts = [part for part in reversed(path.split("/")) if part]
		links = 0
		while parts:
			part = parts.pop()
			if part in (".", ".."):
				folder = os.path.dirname(folder) if part == ".." else folder
				continue
			self._judge_folder(folder)
			entry = os.path.join(folder, part)
			status = os.lstat(entry)
			if not stat.S_ISLNK(status.st_mode):
				folder = entry
				continue
			links += 1
			if links > _MOST_LINKS:
				raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
			if os.lstat(folder).st_mode & stat.S_ISVTX and status.st_uid not in self._owners_above:
				raise self._refused(entry, status, self._owner_problem(status, self._owners_above))
			target = os.readlink(entry)
			folder = "/" if target.startswith("/") else folder
			parts += [name for name in reversed(target.split("/")) if name]
		return folder

	def _judge_folder(self, path: str) -> None:
		"""Judge a folder on the way: what lies in it must not be replaced by others."""
		status = os.lstat(path)
		if status.st_uid not in self._owners_above:
			raise self._refused(path, status, self._owner_problem(status, self._owners_above))
		if not status.st_mode & stat.S_ISVTX:
			self._judge_mode(path, status)

	def _judge_entry(self, path: str) -> None:
		"""Judge sites/ or a file in it."""
		status = os.lstat(path)
		if status.st_uid not in self._owners:
			raise self._refused(path, status, self._owner_problem(status, self._owners))
		self._judge_mode(path, status)

	def _judge_mode(self, path: str, status: os.stat_result) -> None:
		if status.st_mode & stat.S_IWOTH:
			raise self._refused(path, status, coded("trust_others", remedy=_remedy(path, "o-w")))
		if status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid, self._owners | {self._owner}):
			problem = coded(
				"trust_group",
				group=_group(status.st_gid),
				allowed=_users(self._owners),
				remedy=_remedy(path, "g-w"),
			)
			raise self._refused(path, status, problem)

	def _owner_problem(self, status: os.stat_result, allowed: Collection[int]) -> Message:
		if is_unmapped(status.st_uid):
			return coded("trust_unmapped")
		return coded("trust_found" if self._found else "trust_owner", allowed=_users(allowed))

	def _refused(self, path: str, status: os.stat_result, problem: Message) -> BenchError:
		return BenchError(
			coded(
				"bench_untrusted",
				path=sanitize(path),
				owner=_user(status.st_uid),
				mode=f"{stat.S_IMODE(status.st_mode):04o}",
				problem=problem,
			)
		)


def _is_own_group(gid: int, owners: Collection[int]) -> bool:
	"""Tell whether a group is one that nobody but these users is in, unless an operator put them there."""
	if gid == OVERFLOW_ID and lacks_ids("gid"):
		return True
	import grp

	try:
		name = grp.getgrgid(gid).gr_name
	except KeyError:
		return True
	for uid in owners:
		try:
			user = pwd.getpwuid(uid)
		except KeyError:
			continue
		if user.pw_gid == gid and (user.pw_name == name or uid == gid):
			return True
	if gid != os.getegid() or not any(is_unmapped(uid) for uid in owners):
		return False
	try:
		return pwd.getpwnam(name).pw_gid == gid
	except KeyError:
		return False


def _remedy(path: str, change: str) -> Message:
	if os.statvfs(path).f_flag & os.ST_RDONLY:
		return coded("remedy_mount")
	return coded("remedy_chmod", change=change, path=sanitize(path))


def _users(uids: Collection[int]) -> str:
	return ", ".join(_user(uid) for uid in sorted(uids))


def _user(uid: int) -> str:
	try:
		return sanitize(pwd.getpwuid(uid).pw_name)
	except KeyError:
		return f"uid {uid}"


def _group(gid: int) -> str:
	import grp

	try:
		return sanitize(grp.getgrgid(gid).gr_name)
	except KeyError:
		return f"gid {gid}"
