"""How much disk a tree uses, counted as `du` does: blocks and not lengths, a hard link once."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

_BLOCK_BYTES = 512  # st_blocks counts in these, whatever the file system's own block is (stat(2))


@dataclass(frozen=True)
class DiskUsage:
	"""Bytes on disk, and how many entries could not be read: above 0, the bytes are a lower bound."""

	bytes: int = 0
	unreadable: int = 0


def disk_usage(path: str) -> DiskUsage:
	"""Walk `path` and return the bytes that `du -s --block-size=1` prints; an absent tree uses none.

	Folders count too, sparse files by what they hold, and symlinks are never followed. Never raises OSError: what
	vanishes during the walk is left out, and what cannot be read counts as unreadable. So do a symlink in place of the
	tree itself, since what it leads to may be large and lie anywhere, and folders whose path is too long for the kernel.
	"""
	try:
		top = os.lstat(path)
	except FileNotFoundError:
		return DiskUsage()
	except OSError:
		return DiskUsage(unreadable=1)
	if not stat.S_ISDIR(top.st_mode):
		return DiskUsage(top.st_blocks * _BLOCK_BYTES, int(stat.S_ISLNK(top.st_mode)))
	blocks, unreadable, folders = top.st_blocks, 0, [path]
	links: set[tuple[int, int]] = set()
	while folders:
		folder = folders.pop()
		try:
			# By descriptor: a symlink that takes the folder's place is refused, and names in it resolve faster.
			descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
		except OSError as error:
			unreadable += not isinstance(error, FileNotFoundError)
			continue
		try:
			with os.scandir(descriptor) as entries:
				for entry in entries:
					try:
						status = entry.stat(follow_symlinks=False)
					except OSError as error:
						unreadable += not isinstance(error, FileNotFoundError)
						continue
					if entry.is_dir(follow_symlinks=False):
						folders.append(f"{folder}/{entry.name}")
					elif status.st_nlink > 1:
						identity = (status.st_dev, status.st_ino)
						if identity in links:
							continue
						links.add(identity)
					blocks += status.st_blocks
		except OSError:
			unreadable += 1
		finally:
			os.close(descriptor)
	return DiskUsage(blocks * _BLOCK_BYTES, unreadable)
