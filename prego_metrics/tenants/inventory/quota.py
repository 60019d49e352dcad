"""A tenant's quota of files and database: above it there is a warning, and nothing more.

The node's setting `tenant_quota_gb` applies to every tenant whose own `site_config.json` has no `prego_quota_gb`.
Neither is ever part of a push, and nothing enforces it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.settings import QUOTA

SITE_KEY = "prego_quota_gb"
GB_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Quota:
	"""A tenant's quota in bytes, None without one. own: it is from its own configuration, not the node's.

	refused is the value in that configuration that is not a quota, fit to show: then there is none, since the node's
	quota is not what was meant for this tenant.
	"""

	bytes: int | None = None
	own: bool = False
	refused: str | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True)
class Used:
	"""What counts towards a quota, in bytes; a lower bound where a part of it was not read."""

	bytes: int
	lower_bound: bool


def quota_of(site_config: Mapping[str, object], node_quota_gb: float) -> Quota:
	"""Return the quota that a site's own configuration gives it, else the node's; 0 is none. Never raises."""
	if SITE_KEY not in site_config:
		return Quota(_bytes(node_quota_gb))
	value = site_config[SITE_KEY]
	try:
		return Quota(_bytes(QUOTA.parse(value)), own=True)
	except ValueError:
		return Quota(own=True, refused=_as_json(value))


def _bytes(gigabytes: float) -> int | None:
	return round(gigabytes * GB_BYTES) if gigabytes else None


def _as_json(value: object) -> str:
	if isinstance(value, list | dict):
		return type(value).__name__  # nested deeper, perhaps, than json.dumps can follow
	return sanitize(json.dumps(value, ensure_ascii=False), 40)
