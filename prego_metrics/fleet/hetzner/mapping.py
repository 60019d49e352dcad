"""Which Hetzner server is which node: by a label, by name, or by a file. Conflicts are named, never guessed.

The file is a JSON object, `{"nodes": {NODE_ID: SERVER, …}}`, in which SERVER is the server's name, its
number, or `{"server": name or number, "agentless": true}`. With labels, `prego-agentless=true` says the
same of a server. An agentless node is one that never pushes for itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.kinds import NodeId
from prego_metrics.fleet.hetzner.servers import HetznerServer

NODE_LABEL = "prego-node-id"
AGENTLESS_LABEL = "prego-agentless"
MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class MappedNode:
	"""A node and the one server that it is."""

	node_id: str
	server: HetznerServer
	agentless: bool = False


@dataclass(frozen=True)
class Unmapped:
	"""What has no other side, or too many: a node by its node_id, or a server where node_id is None."""

	node_id: str | None
	reason: str


@dataclass
class ServerMapping:
	"""What could be mapped, and what could not."""

	nodes: list[MappedNode] = field(default_factory=list)
	unmapped: list[Unmapped] = field(default_factory=list)


@dataclass(frozen=True)
class FileEntry:
	"""What a mapping file says of a node."""

	server: str | int
	agentless: bool = False


def map_by_label(servers: list[HetznerServer], label: str = NODE_LABEL) -> ServerMapping:
	"""Map each server to the node_id in its label."""
	return _map_by(servers, lambda server: server.labels.get(label), f"no label {sanitize(label)}")


def map_by_name(servers: list[HetznerServer]) -> ServerMapping:
	"""Map each server to the node of the same name."""
	return _map_by(servers, lambda server: server.name, "no name")


def map_by_file(
	servers: list[HetznerServer], entries: Mapping[str, FileEntry], *, complete: bool = True
) -> ServerMapping:
	"""Map the servers that `entries` names. Not `complete`: some servers could not be read."""
	mapping = ServerMapping()
	nodes_of: dict[int, list[MappedNode]] = {}
	for node_id, entry in entries.items():
		found = [server for server in servers if entry.server in (server.server_id, server.name)]
		if len(found) == 1:
			nodes_of.setdefault(found[0].server_id, []).append(MappedNode(node_id, found[0], entry.agentless))
		elif found:
			mapping.unmapped.append(Unmapped(node_id, _several(found)))
		else:
			known = "" if complete else ", as far as the servers could be read"
			mapping.unmapped.append(
				Unmapped(
					node_id, f"the mapping names server {_named(entry.server)}, which there is not{known}"
				)
			)
	for nodes in nodes_of.values():
		if len(nodes) == 1:
			mapping.nodes += nodes
		else:
			ids = ", ".join(sanitize(node.node_id, 80) for node in nodes)
			reason = f"the mapping gives one server, {describe(nodes[0].server)}, to several nodes: {ids}"
			mapping.unmapped += [Unmapped(node.node_id, reason) for node in nodes]
	wanted = {entry.server for entry in entries.values()}
	for server in servers:
		if not wanted & {server.server_id, server.name}:
			mapping.unmapped.append(Unmapped(None, f"{describe(server)} is not in the mapping"))
	return mapping


def read_mapping_file(path: str) -> dict[str, FileEntry]:
	"""Return what a mapping file says of each node. Raises PregoMetricsError that names what is wrong."""
	shown = sanitize(path)
	try:
		with open(path, "rb") as file:
			raw = file.read(MAX_FILE_BYTES + 1)
		if len(raw) > MAX_FILE_BYTES:
			raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
		content = json.loads(raw, object_pairs_hook=_without_doubles)
		nodes = content["nodes"] if isinstance(content, dict) and set(content) == {"nodes"} else None
		if not isinstance(nodes, dict) or not nodes:
			raise ValueError('must be {"nodes": {"NODE_ID": "server", …}}, with at least one node')
		return {node_id: _entry(node_id, value) for node_id, value in nodes.items()}
	except OSError as error:
		raise PregoMetricsError(f"the mapping {shown} cannot be read: {error.strerror}") from None
	except json.JSONDecodeError as error:
		raise PregoMetricsError(
			f"the mapping {shown} is not JSON: {error.msg}, line {error.lineno}"
		) from None
	except UnicodeDecodeError:
		raise PregoMetricsError(f"the mapping {shown} is not UTF-8") from None
	except RecursionError:
		raise PregoMetricsError(f"the mapping {shown} is nested too deeply") from None
	except ValueError as error:
		raise PregoMetricsError(f"the mapping {shown} {error}") from None


def describe(server: HetznerServer) -> str:
	"""Return a server's name and number, fit to show."""
	return f"server {sanitize(server.name, 80)} ({server.server_id})"


def _map_by(
	servers: list[HetznerServer], node_id_of: Callable[[HetznerServer], str | None], missing: str
) -> ServerMapping:
	mapping = ServerMapping()
	servers_of: dict[str, list[HetznerServer]] = {}
	for server in servers:
		node_id = node_id_of(server)
		if not node_id:
			mapping.unmapped.append(Unmapped(None, f"{describe(server)} has {missing}"))
			continue
		servers_of.setdefault(node_id, []).append(server)
	for node_id, found in servers_of.items():
		if len(found) > 1:
			mapping.unmapped.append(Unmapped(node_id, _several(found)))
		elif trouble := _refused(node_id):
			mapping.unmapped.append(Unmapped(node_id, f"{describe(found[0])}: node_id {trouble}"))
		else:
			agentless = found[0].labels.get(AGENTLESS_LABEL, "").lower() == "true"
			mapping.nodes.append(MappedNode(node_id, found[0], agentless))
	return mapping


def _several(servers: list[HetznerServer]) -> str:
	return f"{len(servers)} servers are mapped to it: {', '.join(map(describe, servers))}"


def _refused(node_id: str) -> str | None:
	try:
		NodeId().parse(node_id)
	except ValueError as error:
		return str(error)
	return None


def _named(server: str | int) -> str:
	return sanitize(str(server), 80)


def _entry(node_id: str, value: object) -> FileEntry:
	shown = sanitize(node_id, 80)
	if trouble := _refused(node_id):
		raise ValueError(f"names node '{shown}': node_id {trouble}")
	fields = value if isinstance(value, dict) else {"server": value}
	unknown = ", ".join(sanitize(str(name), 80) for name in fields.keys() - {"server", "agentless"})
	if unknown:
		raise ValueError(f"has {unknown} at node '{shown}': allowed are server and agentless")
	server, agentless = fields.get("server"), fields.get("agentless", False)
	if isinstance(server, bool) or not isinstance(server, str | int) or server == "":
		raise ValueError(f"must give node '{shown}' the name of a server, or its number")
	if not isinstance(agentless, bool):
		raise ValueError(f"must say true or false for agentless at node '{shown}'")
	return FileEntry(server, agentless)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
	names = [name for name, _ in pairs]
	for name in names:
		if names.count(name) > 1:
			raise ValueError(f"has '{sanitize(name, 80)}' twice in one object")
	return dict(pairs)
