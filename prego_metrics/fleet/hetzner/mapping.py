"""Which Hetzner server is which node: by a label or by a file. Conflicts are named, never guessed.

The file is a JSON object, `{"nodes": {NODE_ID: SERVER, …}}`, in which SERVER is the server's name, its
number, or `{"server": name or number, "agentless": true}`. With labels, `prego-agentless=true` does the same.
An agentless node never pushes for itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.files import read_limited
from prego_metrics.agent.base.messages import coded, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.kinds import NodeId
from prego_metrics.fleet.hetzner.api import HetznerServer

NODE_LABEL = "prego-node-id"
AGENTLESS_LABEL = "prego-agentless"
MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class MappedNode:
	"""A node and the one server that it is."""

	node_id: str
	server: HetznerServer
	agentless: bool = False


class FileEntry(NamedTuple):
	"""What a mapping file says of a node."""

	server: str | int
	agentless: bool = False


# The nodes with exactly one server; and each other node, or server without a node (None), with the reason.
ServerMapping = tuple[list[MappedNode], list[tuple[str | None, str]]]


def map_by_label(servers: list[HetznerServer], label: str = NODE_LABEL) -> ServerMapping:
	"""Map each server to the node_id in its label."""
	candidates = [
		MappedNode(node_id, server, server.labels.get(AGENTLESS_LABEL, "").lower() == "true")
		for server in servers
		if (node_id := server.labels.get(label))
	]
	return _mapping(candidates, servers, f"has no label {sanitize(label)}")


def map_by_file(servers: list[HetznerServer], entries: Mapping[str, FileEntry]) -> ServerMapping:
	"""Map the servers that `entries` names."""
	candidates = [
		MappedNode(node_id, server, entry.agentless)
		for node_id, entry in entries.items()
		for server in servers
		if entry.server in (server.server_id, server.name)
	]
	nodes, unmapped = _mapping(candidates, servers, "is not in the mapping")
	for node_id in entries.keys() - {node.node_id for node in candidates}:
		name = sanitize(str(entries[node_id].server), 80)
		unmapped.append((node_id, f"the mapping names server {name}, which was not found"))
	return nodes, unmapped


def _mapping(candidates: list[MappedNode], servers: list[HetznerServer], without_node: str) -> ServerMapping:
	"""Return the candidates that exclude no other; `without_node` says what is wrong with a server in none of them."""
	servers_of: dict[str, list[HetznerServer]] = defaultdict(list)
	nodes_of: dict[int, list[str]] = defaultdict(list)
	for node in candidates:
		servers_of[node.node_id].append(node.server)
		nodes_of[node.server.server_id].append(node.node_id)
	unmapped: list[tuple[str | None, str]] = [
		(None, f"{describe_server(server)} {without_node}")
		for server in servers
		if server.server_id not in nodes_of
	]
	reasons: dict[str, str] = {}
	for node_id, (server, *others) in servers_of.items():
		problem, nodes = _node_id_problem(node_id), nodes_of[server.server_id]
		if others:
			names = ", ".join(describe_server(each) for each in (server, *others))
			reasons[node_id] = f"{len(others) + 1} servers are mapped to it: {names}"
		elif problem:
			reasons[node_id] = f"{describe_server(server)}: node_id {problem}"
		elif len(nodes) > 1:
			names = ", ".join(sanitize(name, 80) for name in nodes)
			reasons[node_id] = (
				f"the mapping gives one server, {describe_server(server)}, to several nodes: {names}"
			)
	return [node for node in candidates if node.node_id not in reasons], [*unmapped, *reasons.items()]


def read_mapping_file(path: str) -> dict[str, FileEntry]:
	"""Return what a mapping file says of each node. Raises PregoMetricsError that names what is wrong."""
	try:
		content = json.loads(read_limited(path, MAX_FILE_BYTES), object_pairs_hook=_refuse_duplicates)
		nodes = content["nodes"] if isinstance(content, dict) and set(content) == {"nodes"} else None
		if not isinstance(nodes, dict) or not nodes:
			raise ValueError('must be {"nodes": {"NODE_ID": "server", …}}, with at least one node')
		return {node_id: _entry(node_id, value) for node_id, value in nodes.items()}
	except OSError as error:
		problem: str = coded("file_unreadable", reason=error.strerror)
	except json.JSONDecodeError as error:
		problem = coded("file_not_json", line=error.lineno, column=error.colno)
	except (UnicodeDecodeError, RecursionError):
		problem = coded("file_not_parsable")
	except ValueError as error:
		problem = message_of(error)
	raise PregoMetricsError(coded("mapping_invalid", file=sanitize(path), problem=problem))


def describe_server(server: HetznerServer) -> str:
	"""Return a server's name and number, fit to show."""
	return f"server {sanitize(server.name, 80)} ({server.server_id})"


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
	content: dict[str, object] = {}
	for name, value in pairs:
		if name in content:
			raise ValueError(f"has '{sanitize(name, 80)}' twice in one object")
		content[name] = value
	return content
