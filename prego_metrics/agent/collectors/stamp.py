"""What a tenant count is made of, as a stamp that costs nearly nothing: while it is the same, so is the count.

Sites are made, renamed and dropped in the folders of sites, which changes their times. What changes within a site's
own folder does not: there the next regular push sees it.
"""

from __future__ import annotations

import os
import time
import zlib

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.light_typing import NamedTuple

# `bench new-site` makes a site's folder first and its site_config.json later. For so long after a change, a count may
# be one of half the change; at least one run of a trigger follows later than that.
SETTLING_SECONDS = 60.0


class Stamp(NamedTuple):
	"""The stamp itself, and whether the last change to a folder was long enough ago for a count to be final."""

	text: str
	settled: bool


def take_stamp(config: Config) -> Stamp | None:
	"""Return the stamp of the counted benches and of the settings that matter; None if a bench cannot be read."""
	changed_at = 0.0
	parts: list[object] = [config.exclude_sites, config.allow_empty]
	try:
		for bench in open_benches(config.benches):
			status = os.stat(bench.sites)
			# The time of change cannot be set back, as rsync does with that of modification.
			parts.append((*bench.identity, status.st_mtime_ns, status.st_ctime_ns))
			changed_at = max(changed_at, status.st_ctime)
	except (BenchError, OSError):
		return None
	return Stamp(
		f"{zlib.crc32(repr(parts).encode('utf-8', 'replace')):08x}",
		not 0 <= time.time() - changed_at < SETTLING_SECONDS,
	)
