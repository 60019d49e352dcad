"""What one pass over the benches of a node saw, each site once whatever the number of its names."""

from __future__ import annotations

from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.sites import NotASite, Site
from prego_metrics.agent.light_typing import NamedTuple

Identity = tuple[int, int]


class Absent(NamedTuple):
	"""A folder whose site_config.json was not there, though it may be again in a moment; listed as no site."""

	bench: Bench
	name: str
	listed: NotASite


class Pass:
	"""What one pass saw.

	Verdicts are by identity (st_dev, st_ino); doubtful says where the configurations lie of the sites that count
	for want of a readable file. aliases are further sightings of a site within this pass. inhabited are the benches
	in which a site was seen. elsewhere has bench and name, as shown, of what is reached by a link or a
	mount, or has its configuration behind one.
	"""

	def __init__(self) -> None:
		self.sites: dict[Identity, Site] = {}
		self.doubtful: dict[Identity, tuple[Bench, str]] = {}
		self.absent: list[Absent] = []
		self.not_sites: list[NotASite] = []
		self.aliases: list[tuple[Identity, Site]] = []
		self.inhabited: set[Identity] = set()
		self.elsewhere: set[tuple[str, str]] = set()

	def see(self, identity: Identity, site: Site, bench: Bench, doubtful_name: str | None) -> None:
		"""Add a sighting; `doubtful_name` is the folder's name where its configuration is to be read again."""
		self.inhabited.add(bench.identity)
		doubtful = (bench, doubtful_name) if doubtful_name is not None else None
		known = self.sites.setdefault(identity, site)
		if known is site:
			if doubtful:
				self.doubtful[identity] = doubtful
			return
		self.add(identity, site, doubtful)
		self.aliases.append((identity, known if self.sites[identity] is site else site))

	def add(self, identity: Identity, site: Site, doubtful: tuple[Bench, str] | None) -> None:
		"""Add a site, seen before under this name or another: counted once is counted."""
		known = self.sites.get(identity)
		if known and (not site.counted or (known.counted and identity not in self.doubtful)):
			return
		self.sites[identity] = site
		self.doubtful.pop(identity, None)
		if doubtful:
			self.doubtful[identity] = doubtful

	def join(self, later: Pass) -> None:
		"""Join a later pass to this one; what is no site, or an alias, is what the later pass saw."""
		for identity, site in later.sites.items():
			self.add(identity, site, later.doubtful.get(identity))
		self.inhabited |= later.inhabited
		self.elsewhere |= later.elsewhere
		self.not_sites, self.aliases, self.absent = later.not_sites, later.aliases, later.absent

	def listed_aliases(self) -> list[NotASite]:
		"""Return the further names of the sites, each with the name of its site."""
		listed = []
		for identity, alias in self.aliases:
			site = self.sites[identity]
			if (site.name, site.bench) == (alias.name, alias.bench):
				continue  # an earlier pass saw the site under this name alone
			where = "" if site.bench == alias.bench else f" in {site.bench}"
			listed.append(NotASite(alias.name, alias.bench, f"an alias of {site.name}{where}", site.name))
		return listed
