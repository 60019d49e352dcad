"""Which Hetzner server is which node: by a label or by a file. Conflicts are named, never guessed.

The file is a JSON object, `{"nodes": {NODE_ID: SERVER, …}}`, in which SERVER is the server's name, its
number, or `{"server": name or number, "agentless": true}`. With labels, `prego-agentless=true` does the same.
An agentless node never pushes for itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.files import read_limited
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
	"""A node without exactly one server, or, where node_id is None, a server without a node."""

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
	mapping = ServerMapping()
	servers_of: dict[str, list[HetznerServer]] = {}
	for server in servers:
		node_id = server.labels.get(label)
		if node_id:
			servers_of.setdefault(node_id, []).append(server)
		else:
			reason = f"{describe_server(server)} has no label {sanitize(label)}"
			mapping.unmapped.append(Unmapped(None, reason))
	for node_id, labelled in servers_of.items():
		problem = _node_id_problem(node_id)
		if len(labelled) > 1:
			mapping.unmapped.append(Unmapped(node_id, _several_servers(labelled)))
		elif problem:
			reason = f"{describe_server(labelled[0])}: node_id {problem}"
			mapping.unmapped.append(Unmapped(node_id, reason))
		else:
			agentless = labelled[0].labels.get(AGENTLESS_LABEL, "").lower() == "true"
			mapping.nodes.append(MappedNode(node_id, labelled[0], agentless))
	return mapping


def map_by_file(
	servers: list[HetznerServer], entries: Mapping[str, FileEntry], *, complete: bool = True
) -> ServerMapping:
	"""Map the servers that `entries` names. Not `complete`: some servers could not be read."""
	mapping = ServerMapping()
	nodes_of: dict[int, list[MappedNode]] = {}
	for node_id, entry in entries.items():
		matching = [server for server in servers if entry.server in (server.server_id, server.name)]
		if len(matching) == 1:
			node = MappedNode(node_id, matching[0], entry.agentless)
			nodes_of.setdefault(node.server.server_id, []).append(node)
		elif matching:
			mapping.unmapped.append(Unmapped(node_id, _several_servers(matching)))
		else:
			extent = "" if complete else ", as far as the servers could be read"
			reason = (
				f"the mapping names server {sanitize(str(entry.server), 80)}, which does not exist{extent}"
			)
			mapping.unmapped.append(Unmapped(node_id, reason))
	for nodes in nodes_of.values():
		if len(nodes) == 1:
			mapping.nodes += nodes
		else:
			ids = ", ".join(sanitize(node.node_id, 80) for node in nodes)
			reason = (
				f"the mapping gives one server, {describe_server(nodes[0].server)}, to several nodes: {ids}"
			)
			mapping.unmapped += [Unmapped(node.node_id, reason) for node in nodes]
	wanted = {entry.server for entry in entries.values()}
	for server in servers:
		if not wanted & {server.server_id, server.name}:
			mapping.unmapped.append(Unmapped(None, f"{describe_server(server)} is not in the mapping"))
	return mapping


def read_mapping_file(path: str) -> dict[str, FileEntry]:
	"""Return what a mapping file says of each node. Raises PregoMetricsError that names what is wrong."""
	shown_path = sanitize(path)
	try:
		content = json.loads(read_limited(path, MAX_FILE_BYTES), object_pairs_hook=_refuse_duplicates)
		nodes = content["nodes"] if isinstance(content, dict) and set(content) == {"nodes"} else None
		if not isinstance(nodes, dict) or not nodes:
			raise ValueError('must be {"nodes": {"NODE_ID": "server", …}}, with at least one node')
		return {node_id: _entry(node_id, value) for node_id, value in nodes.items()}
	except OSError as error:
		raise PregoMetricsError(f"the mapping {shown_path} cannot be read: {error.strerror}") from None
	except json.JSONDecodeError as error:
		raise PregoMetricsError(
			f"the mapping {shown_path} is not JSON: {error.msg}, line {error.lineno}"
		) from None
	except (UnicodeDecodeError, RecursionError):
		raise PregoMetricsError(f"the mapping {shown_path} is not UTF-8, or nested too deeply") from None
	except ValueError as error:
		raise PregoMetricsError(f"the mapping {shown_path} {error}") from None


def describe_server(server: HetznerServer) -> str:
	"""Return a server's name and number, fit to show."""
	return f"server {sanitize(server.name, 80)} ({server.server_id})"


def _several_servers(servers: list[HetznerServer]) -> str:
	return f"{len(servers)} servers are mapped to it: {', '.join(map(describe_server, servers))}"


def _node_id_problem(node_id: str) -> str | None:
	try:
		NodeId().parse(node_id)
	except ValueError as error:
		return str(error)
	return None


def _entry(node_id: str, value: object) -> FileEntry:
	shown_id = sanitize(node_id, 80)
	problem = _node_id_problem(node_id)
	if problem:
		raise ValueError(f"names node '{shown_id}': node_id {problem}")
	fields = value if isinstance(value, dict) else {"server": value}
	unknown = ", ".join(sanitize(str(name), 80) for name in fields.keys() - {"server", "agentless"})
	if unknown:
		raise ValueError(f"has {unknown} at node '{shown_id}': allowed are server and agentless")
	server, agentless = fields.get("server"), fields.get("agentless", False)
	if isinstance(server, bool) or not isinstance(server, str | int) or server == "":
		raise ValueError(f"must give node '{shown_id}' the name of a server, or its number")
	if not isinstance(agentless, bool):
		raise ValueError(f"must have true or false for agentless at node '{shown_id}'")
	return FileEntry(server, agentless)


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
	content = dict(pairs)
	if len(content) < len(pairs):
		name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
		raise ValueError(f"has '{sanitize(name, 80)}' twice in one object")
	return content
