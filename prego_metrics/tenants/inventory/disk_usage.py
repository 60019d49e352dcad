"""How much disk a tree takes, counted as `du` does: blocks and not lengths, a hard link once."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

_BLOCK_BYTES = 512  # st_blocks counts in these, whatever the file system's own block is (stat(2))


@dataclass(frozen=True)
class DiskUsage:
	"""Of one tree: bytes on disk, entries that are no folders, and what could not be read.

	With unreadable above 0 the bytes are a lower bound.
	"""

	bytes: int = 0
	files: int = 0
	unreadable: int = 0

	def __add__(self, other: DiskUsage) -> DiskUsage:
		return DiskUsage(
			self.bytes + other.bytes, self.files + other.files, self.unreadable + other.unreadable
		)


def disk_usage(path: str) -> DiskUsage:
	"""Walk `path` once and return what it takes on disk; an absent one takes nothing.

	The same number as `du -s --block-size=1`: folders themselves included, sparse files by what they
	really hold, symlinks never followed. Memory grows with the depth of the tree, the widest folder and
	the number of hard links, not with the number of files. Never raises OSError: what cannot be read, or
	vanishes while it is read, is counted in `unreadable` or left out. So is a symlink in place of the tree
	itself: what it leads to may be large, and lie anywhere.
	"""
	try:
		descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
	except FileNotFoundError:
		return DiskUsage()
	except OSError:
		return _not_a_folder(path)
	try:
		walk = _Walk()
		walk.folder(descriptor, os.fstat(descriptor).st_blocks)
	finally:
		os.close(descriptor)
	return DiskUsage(walk.blocks * _BLOCK_BYTES, walk.files, walk.unreadable)


def _not_a_folder(path: str) -> DiskUsage:
	try:
		found = os.lstat(path)
	except FileNotFoundError:
		return DiskUsage()
	except OSError:
		return DiskUsage(unreadable=1)
	return DiskUsage(found.st_blocks * _BLOCK_BYTES, 1, int(stat.S_ISLNK(found.st_mode)))


class _Walk:
	def __init__(self) -> None:
		self.blocks = 0
		self.files = 0
		self.unreadable = 0
		self._linked: set[tuple[int, int]] = set()

	def folder(self, descriptor: int, own_blocks: int) -> None:
		"""Add an open folder and all below it. Names are looked up in it: short, and safe from renames."""
		waiting = [(descriptor, self._entries(descriptor, own_blocks))]
		try:
			while waiting:
				opened, below = waiting[-1]
				if not below:
					waiting.pop()
					if opened != descriptor:
						os.close(opened)
					continue
				name, blocks = below.pop()
				try:
					child = os.open(
						name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened
					)
				except FileNotFoundError:
					continue
				except OSError:
					self.blocks += blocks
					self.unreadable += 1
					continue
				waiting.append((child, self._entries(child, blocks)))
		finally:
			for opened, _ in waiting:
				if opened != descriptor:
					os.close(opened)

	def _entries(self, descriptor: int, own_blocks: int) -> list[tuple[str, int]]:
		"""Add a folder's own blocks and its files; return the folders in it, each with its own blocks."""
		# In local names: this loop runs once for every file of the node.
		blocks, files, folders = own_blocks, 0, []
		try:
			with os.scandir(descriptor) as entries:
				for entry in entries:
					try:
						found = entry.stat(follow_symlinks=False)
					except FileNotFoundError:
						continue
					except OSError:
						self.unreadable += 1
						continue
					if entry.is_dir(follow_symlinks=False):
						folders.append((entry.name, found.st_blocks))
						continue
					if found.st_nlink > 1:
						identity = (found.st_dev, found.st_ino)
						if identity in self._linked:
							continue
						self._linked.add(identity)
					blocks += found.st_blocks
					files += 1
		except OSError:
			self.unreadable += 1
		self.blocks += blocks
		self.files += files
		return folders
