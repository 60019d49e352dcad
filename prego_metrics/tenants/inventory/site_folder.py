"""What each site is and how much disk it uses: read from its folder alone, without its database.

What is not in the folder is None and not guessed. Which of the bench's apps a site has installed is
such a fact: only its own database knows (see `database`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import BenchError, ConfigurationError
from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.locate import Bench, open_benches
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.agent.config.config import Config
from prego_metrics.tenants.inventory.backups import Backups, read_backups
from prego_metrics.tenants.inventory.disk_usage import disk_usage
from prego_metrics.tenants.inventory.quota import NO_QUOTA, Quota, quota_of

_MAX_CHARACTERS = 140
_MAX_APPS_BYTES = 1 << 16


@dataclass(frozen=True)
class LocatedSite:
	"""A site of the census, the folder it lies in, and its configuration as Frappe would merge it.

	merged holds the site's secrets: it is for reading single keys, and is kept out of the repr.
	"""

	site: Site
	folder: str
	merged: Mapping[str, object]
	bench_apps: tuple[str, ...]
	quota: Quota = NO_QUOTA

	def __repr__(self) -> str:
		return f"<{self.site.name} in {self.site.bench}>"


@dataclass(frozen=True)
class SiteOnDisk:
	"""What one site's folder holds. Sizes are bytes on disk as `du` has them, None where not asked for.

	unreadable counts the entries among the files that could not be looked into: above 0, their sizes are lower
	bounds. So it is with the backups, which have a count of their own.
	"""

	database_type: str
	database_name: str | None
	developer_mode: bool
	bench_apps: tuple[str, ...]
	public_files_bytes: int | None
	private_files_bytes: int | None
	unreadable: int
	backups: Backups

	@property
	def all_unreadable(self) -> int:
		"""Entries that could not be looked into, of files and backups together."""
		return self.unreadable + self.backups.unreadable

	@property
	def files_bytes(self) -> int | None:
		"""Public and private files together, without the backups."""
		if self.public_files_bytes is None or self.private_files_bytes is None:
			return None
		return self.public_files_bytes + self.private_files_bytes


def locate_sites(config: Config, census: Census) -> list[LocatedSite]:
	"""Find the folder of every site that the census saw; one that is gone since is left out.

	Raises BenchError.
	"""
	located: list[LocatedSite] = []
	for bench in open_benches(config.benches):
		bench_name = sanitize(bench.root)
		sites = [site for site in census.sites if site.bench == bench_name]
		located += _of_bench(bench, sites, config.tenant_quota_gb)
	return located


def _of_bench(bench: Bench, sites: list[Site], quota_gb: float) -> Iterator[LocatedSite]:
	try:
		# The census has names fit to show; two folders never share one.
		names = {sanitize(name): name for name in os.listdir(bench.sites)}
		common = read_common_config(bench)
	except OSError as error:
		reason = error.strerror or error
		raise BenchError(coded("bench_unreadable", bench=sanitize(bench.sites), reason=reason)) from None
	except ConfigurationError:
		common = {}
	apps = _bench_apps(bench)
	for site in sites:
		if site.name in names:
			folder = os.path.join(bench.sites, names[site.name])
			own = _site_config(folder)
			yield LocatedSite(site, folder, {**common, **own}, apps, quota_of(own, quota_gb))


def _site_config(folder: str) -> dict[str, object]:
	try:
		return read_site_config(os.path.join(folder, "site_config.json"))
	except (Unreadable, OSError):
		return {}  # the census has said so already


def _bench_apps(bench: Bench) -> tuple[str, ...]:
	try:
		content = read_limited(os.path.join(bench.sites, "apps.txt"), _MAX_APPS_BYTES)
	except (OSError, UnfitFile):
		return ()
	lines = content.decode("utf-8", "surrogateescape").split()
	return tuple(sanitize(line, _MAX_CHARACTERS) for line in lines)


def read_site(located: LocatedSite, *, sizes: bool) -> SiteOnDisk:
	"""Return what a site's folder holds; with `sizes`, its trees are walked. Never raises OSError."""
	kind, name = located.merged.get("db_type"), located.merged.get("db_name")
	folders = [os.path.join(located.folder, kind, "files") for kind in ("public", "private")] if sizes else []
	trees = [disk_usage(folder) for folder in folders]
	public, private = [tree.bytes for tree in trees] or (None, None)
	return SiteOnDisk(
		database_type=sanitize(kind, _MAX_CHARACTERS) if isinstance(kind, str) and kind else "mariadb",
		database_name=sanitize(name, _MAX_CHARACTERS) if isinstance(name, str) else None,
		developer_mode=bool(located.merged.get("developer_mode")),
		bench_apps=located.bench_apps,
		public_files_bytes=public,
		private_files_bytes=private,
		unreadable=sum(tree.unreadable for tree in trees),
		backups=read_backups(located.folder, located.merged.get("backup_path"), sizes=sizes),
	)
