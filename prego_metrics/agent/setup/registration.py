"""The row that the control plane's `nodes` needs for this node, as SQL for an operator to run."""

from __future__ import annotations

from dataclasses import dataclass

from prego_metrics.agent.base.sanitize import sanitize

REGIONS = ("sg", "us", "eu")
# Hetzner's network zones, by their beginning.
_ZONES = {"ap-southeast": "sg", "us-": "us", "eu-": "eu"}


@dataclass(frozen=True)
class NodesRow:
	"""A row of `nodes`: region is one of REGIONS, host is what SSH uses; None where that is not known."""

	node_id: str
	region: str | None
	host: str | None

	@property
	def complete(self) -> bool:
		return self.region is not None and self.host is not None

	@property
	def sql(self) -> str:
		"""The statement, for SQLite and so for D1; REGION and HOST, unquoted and so refused, stand for what is not known."""
		region = "REGION" if self.region is None else sql_text(self.region)
		host = "HOST" if self.host is None else sql_text(self.host)
		return (
			f"INSERT INTO nodes (node_id, region, host) VALUES ({sql_text(self.node_id)}, {region}, {host});"
		)


def sql_text(text: str) -> str:
	"""Return an expression that SQLite evaluates to exactly `text`, and that is safe to show and to paste.

	Text that a terminal would obey instead of show is written by its bytes.
	"""
	if sanitize(text) == text:
		return "'" + text.replace("'", "''") + "'"
	return f"CAST(X'{text.encode().hex()}' AS TEXT)"


def region_of_zone(zone: str) -> str | None:
	"""Return the platform's region for one of Hetzner's network zones, None for one that is not known."""
	for beginning, region in _ZONES.items():
		if zone.startswith(beginning):
			return region
	return None
