"""Random trees of sites, and what they hold by the words of docs/counting.md, read by other code than ours."""

from __future__ import annotations

import fnmatch
import json
import os
import random
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

CONFIG = "site_config.json"
NAMES = (
	*("a.example", "b.example", "c.example", "d", "pool-1", "pool-2", "ops.example", "x y", "é.example"),
	*("assets", "lost+found", ".hidden", ".git", "apps", "new\nline", ".prego-metrics", CONFIG),
)
CONFIGS = (
	*("{}", "{}", "{}", '{"maintenance_mode": 1}', '{"prego_tenant": 1}', '{"prego_tenant": "x"}'),
	*('{"prego_tenant": 0}', '{"prego_tenant": false}', "{", "[]", ""),
)
EXCLUSIONS = ((), (), ("pool-*",), ("ops.example", "pool-1"), ("*",), ("[ab].*",))


class Tree:
	"""One or two benches with random entries in sites/, and volumes elsewhere; with `mount`, mounts too."""

	def __init__(self, folder: Path, seed: int, mount: Callable[..., None] | None) -> None:
		self.random = random.Random(seed)
		self.folder = folder
		self.benches = [folder / f"bench{number}" for number in range(self.random.choice((1, 1, 2)))]
		self.exclude = self.random.choice(EXCLUSIONS)
		self._mount = mount
		self._mounted: list[Path] = []
		self._volumes = [folder / f"volume{number}" for number in range(self.random.randint(1, 3))]
		for bench in self.benches:
			(bench / "sites").mkdir(parents=True)
			(bench / "sites/apps.txt").write_text("frappe\n")
		for volume in self._volumes:
			volume.mkdir()
			if mount and self.random.random() < 0.4:
				self._mount_at(volume, "-t", "tmpfs", "tmpfs")
			for name in self.random.sample(("s1", "s2", "s3", "empty"), self.random.randint(1, 4)):
				self._site(volume / name, bare=name == "empty")
		kinds = [self._site, self._site, self._link, self._link, self._relative, self._chain, self._loop]
		kinds += [self._itself, self._closed, self._folder, self._file]
		kinds += [self._bind, self._tmpfs] if mount else []
		for bench in self.benches:
			for name in self.random.sample(NAMES, self.random.randint(1, 9)):
				self.random.choice(kinds)(bench / "sites" / name)

	def lose_volumes(self) -> None:
		"""Let some of the volumes go away; every entry of sites/ stays."""
		for place in self.random.sample(self._mounted, len(self._mounted)):
			if self.random.random() < 0.5:
				# One that something is mounted in, or from, is busy.
				if subprocess.run(["umount", place], stderr=subprocess.DEVNULL).returncode == 0:
					self._mounted.remove(place)
		for volume in self._volumes:
			if (
				not any(place.is_relative_to(volume) for place in self._mounted)
				and self.random.random() < 0.4
			):
				volume.rename(f"{volume}-unmounted")

	def unmount(self) -> None:
		for place in reversed(self._mounted):
			subprocess.run(["umount", "-l", place], check=True)

	def _mount_at(self, place: Path, *how: object) -> None:
		assert self._mount
		self._mount(*how, place)
		self._mounted.append(place)

	def _anything(self) -> Path:
		folders = [*self._volumes, *(bench / "sites" for bench in self.benches)]
		inside = [path for folder in folders for path in sorted(folder.iterdir())]
		return self.random.choice([*folders, *inside, self.folder / "gone", Path("/usr/share")])

	def _site(self, path: Path, *, bare: bool = False) -> None:
		path.mkdir()
		chance = self.random.random()
		if bare or chance > 0.97:
			return
		if chance < 0.85:
			(path / CONFIG).write_text(self.random.choice(CONFIGS))
			(path / CONFIG).chmod(self.random.choice((0, *[0o644] * 11)))
		elif chance < 0.89:
			(path / CONFIG).mkdir()
		elif chance < 0.93:
			(path / CONFIG).symlink_to(self.random.choice(("nowhere", CONFIG, "real")))
			(path / "real").write_text("{}")
		else:
			os.mkfifo(path / CONFIG)
		path.chmod(self.random.choice((0, 0o711, *[0o755] * 20)))

	def _folder(self, path: Path) -> None:
		path.mkdir()

	def _file(self, path: Path) -> None:
		path.touch()

	def _link(self, path: Path) -> None:
		path.symlink_to(self._anything())

	def _relative(self, path: Path) -> None:
		path.symlink_to(os.path.relpath(self._anything(), path.parent))

	def _chain(self, path: Path) -> None:
		middle = self.folder / f"middle-{self.random.random()}"
		middle.symlink_to(self._anything())
		path.symlink_to(middle)

	def _loop(self, path: Path) -> None:
		other = self.folder / f"middle-{self.random.random()}"
		other.symlink_to(path)
		path.symlink_to(other)

	def _itself(self, path: Path) -> None:
		path.symlink_to(self.random.choice((".", "..", path.name)))

	def _closed(self, path: Path) -> None:
		"""A link to a site behind a folder that only its owner may enter."""
		closed = self.folder / f"closed-{self.random.random()}"
		closed.mkdir()
		self._site(closed / "site")
		closed.chmod(0o700)
		path.symlink_to(closed / "site")

	def _bind(self, path: Path) -> None:
		source = Path(os.path.realpath(self._anything()))
		if source.is_dir() and not path.is_relative_to(source):
			path.mkdir()
			self._mount_at(path, "--bind", source)

	def _tmpfs(self, path: Path) -> None:
		path.mkdir()
		self._mount_at(path, "-t", "tmpfs", "tmpfs")
		if self.random.random() < 0.9:
			(path / CONFIG).write_text(self.random.choice(CONFIGS))


def truth(benches: list[Path], exclude: tuple[str, ...]) -> int | str:
	"""Return the count for whoever asks, or the code of the error that there is instead."""
	tenants: dict[object, bool] = {}
	is_any_readable, is_any_empty = False, False
	for bench in benches:
		found = False
		for path in (bench / "sites").iterdir():
			seen = _seen(path)
			if seen is None:
				continue
			found = True
			identity, config = seen
			is_any_readable |= config is not None
			is_excluded = any(fnmatch.fnmatchcase(path.name, pattern) for pattern in exclude)
			says = (config or {}).get("prego_tenant", True)
			is_tenant = not is_excluded and (isinstance(says, str) or bool(says))
			tenants[identity] = tenants.get(identity, False) or is_tenant
		is_any_empty |= not found
	if is_any_empty:
		return "no_site"
	return sum(tenants.values()) if is_any_readable else "no_config_readable"


def _seen(path: Path) -> tuple[object, dict[str, object] | None] | None:
	"""Return the identity of a site and what it is configured to, None in its place if unreadable; None if no site."""
	is_hidden = path.name.startswith(".")
	if path.name == ".prego-metrics":
		return None
	try:
		status, home = path.stat(), path.parent.stat()
	except PermissionError:
		link = path.lstat()
		return None if is_hidden else ((link.st_dev, link.st_ino), None)
	except OSError:
		return None
	if not stat.S_ISDIR(status.st_mode) or os.path.samestat(status, home):
		return None
	identity = (status.st_dev, status.st_ino)
	is_the_file_systems = path.name == "lost+found" and status.st_uid == 0
	try:
		is_file = stat.S_ISREG((path / CONFIG).stat().st_mode)
		config = json.loads((path / CONFIG).read_text()) if is_file else None
	except PermissionError:
		may_enter = os.access(path, os.X_OK)
		return None if is_the_file_systems or (is_hidden and not may_enter) else (identity, None)
	except OSError:
		return None
	except ValueError:
		config = None
	return identity, config if isinstance(config, dict) else None
