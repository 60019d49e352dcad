"""What is known of this server when its settings are made: which one it is, for its hosting provider and for its bench."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property

from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.instance import ask_metadata, instance_on_disk, is_at_hetzner
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.light_typing import Any
from prego_metrics.agent.setup.registration import NodesRow, region_of_zone

API_URL = "https://api.hetzner.cloud"
API_SECONDS = 10.0
TOKEN_VARIABLE = "HCLOUD_TOKEN"
LABEL = "prego-node-id"
TICK_SECONDS_ALLOWED = (5, 3600)
_METADATA = ("instance-id", "hostname", "region", "public-ipv4")


class Onboarding:
	"""Finds out, once and only when it is asked for, what can be known; nothing here raises or writes."""

	def __init__(
		self,
		bench: Bench,
		config: Config,
		environ: Mapping[str, str],
		*,
		online: bool,
		region: str | None = None,
		host: str | None = None,
	) -> None:
		self.bench = bench
		self.config = config
		self.environ = environ
		self._online = online
		self._region = region
		self._host = host

	@cached_property
	def metadata(self) -> Mapping[str, str]:
		"""What Hetzner's metadata service says of this server; empty anywhere else."""
		return ask_metadata(*_METADATA) if self._online and is_at_hetzner() else {}

	@cached_property
	def instance_id(self) -> str | None:
		return self.metadata.get("instance-id") or instance_on_disk()

	@cached_property
	def server(self) -> Mapping[str, Any]:
		"""What Hetzner's API says of this server, if there is a token and a number to ask for."""
		token, instance = self.environ.get(TOKEN_VARIABLE), self.instance_id
		if not (self._online and token and instance and instance.isdigit()):
			return {}
		from prego_metrics.agent.http.answers import content_of
		from prego_metrics.agent.http.client import Answer, Client

		answer = Client(API_URL, Secret(token, TOKEN_VARIABLE)).get(f"/v1/servers/{instance}", API_SECONDS)
		if not isinstance(answer, Answer) or answer.status_code != 200:
			return {}
		content = content_of(answer.body)
		server = content.get("server") if isinstance(content, dict) else None
		return server if isinstance(server, dict) else {}

	def with_instance(self, changes: Mapping[str, Any]) -> dict[str, Any]:
		"""Return `changes` with this server's id beside a node_id that is set: a clone has another one."""
		changes = dict(changes)
		if "node_id" in changes and "instance_id" not in changes and self.instance_id:
			changes["instance_id"] = self.instance_id
		return changes

	def row(self, config: Config) -> NodesRow:
		"""Return the row that `nodes` needs: what was given, else what Hetzner says."""
		region = self._region or region_of_zone(self.metadata.get("region", ""))
		return NodesRow(config.node_id, region, self._host or self.metadata.get("public-ipv4"))

	def notes(self, config: Config, changes: Mapping[str, Any]) -> list[str]:
		"""Return what an operator should know about what was written."""
		notes = []
		old_site = self.config.site
		has_moved = old_site and config.site and old_site != config.site
		if has_moved and os.path.isdir(os.path.join(self.bench.sites, str(old_site))):
			old_site = sanitize(str(old_site))
			notes.append(
				f"the push log stays on {old_site}, where its System Managers can still read it. To delete it: bench --site "
				f"{old_site} uninstall-app prego_metrics"
			)
		if "node_id" in changes:
			notes += self._other_name(config.node_id)
		return notes

	def _other_name(self, node_id: str) -> list[str]:
		"""Return a note if Hetzner knows this server by another name than `node_id`."""
		labels = self.server.get("labels")
		label = labels.get(LABEL) if isinstance(labels, dict) else None
		name = label or self.server.get("name") or self.metadata.get("hostname")
		if not name or name == node_id:
			return []
		source = f"label {LABEL} of this server" if label else "name of this server"
		return [
			f"Hetzner's {source} is {sanitize(str(name), 80)}, but node_id is {sanitize(node_id, 80)}: check that this is "
			"the right node"
		]
