"""Nodes whose push would succeed, and what spoils each: where there is no count or no valid setting."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watched_control_plane import KEY


@dataclass
class Node:
	"""A node whose push would succeed, for a situation to spoil."""

	bench: Path
	section: dict[str, Any]
	environ: dict[str, str] = field(default_factory=lambda: {"INTERNAL_API_KEY": KEY})
	named: Path | None = None

	@property
	def sites(self) -> Path:
		return self.bench / "sites"

	@property
	def common(self) -> Path:
		return self.sites / "common_site_config.json"

	def write(self) -> None:
		if self.common.is_file() and self.section:
			content = json.loads(self.common.read_text())
			self.common.write_text(json.dumps({**content, "prego_metrics": self.section}))


Spoil = Callable[[Node], object]


def set_to(**values: Any) -> Spoil:
	return lambda node: node.section.update(values)


def without(*names: str) -> Spoil:
	def spoil(node: Node) -> None:
		for name in names:
			del node.section[name]

	return spoil


def variable(name: str, value: str) -> Spoil:
	return lambda node: node.environ.update({name: value})


def common_holds(content: str | bytes) -> Spoil:
	def spoil(node: Node) -> None:
		node.write()
		node.common.write_bytes(content.encode() if isinstance(content, str) else content)
		node.section = {}

	return spoil


def replace_common(make: Callable[[Path], object]) -> Spoil:
	def spoil(node: Node) -> None:
		node.common.unlink()
		make(node.common)

	return spoil


def key_in_a_file(content: bytes, mode: int = 0o600, name: str = "key") -> Spoil:
	def spoil(node: Node) -> None:
		del node.environ["INTERNAL_API_KEY"]
		path = node.bench / name
		path.write_bytes(content)
		path.chmod(mode)
		node.section["api_key_file"] = str(path)

	return spoil


def key_in_no_file(make: Callable[[Path], object]) -> Spoil:
	def spoil(node: Node) -> None:
		del node.environ["INTERNAL_API_KEY"]
		make(node.bench / "key")
		node.section["api_key_file"] = str(node.bench / "key")

	return spoil


def all_of(*spoils: Spoil) -> Spoil:
	return lambda node: [spoil(node) for spoil in spoils]


def name_as_bench(name: str) -> Spoil:
	def spoil(node: Node) -> None:
		node.named = node.bench.parent / name

	return spoil


def no_sites(node: Node) -> None:
	for site in node.sites.glob("*.example"):
		shutil.rmtree(site)


def lost_mount(node: Node) -> None:
	shutil.rmtree(node.sites)
	node.sites.mkdir()


def second_bench_is_empty(node: Node) -> None:
	(node.bench.parent / "other" / "sites").mkdir(parents=True)
	(node.bench.parent / "other" / "sites" / "apps.txt").write_text("")
	node.section["benches"] = [".", "../other"]


# What is said: each text must stand in the error.
SITUATIONS: list[tuple[str, Spoil, tuple[str, ...]]] = [
	("no such bench", name_as_bench("missing"), ("missing is not a bench",)),
	(
		"the bench is a file",
		lambda n: (n.bench.parent / "f").write_text("") or name_as_bench("f")(n),
		("/f is not a bench",),
	),
	(
		"the folder is no bench",
		lambda n: (n.bench.parent / "d").mkdir() or name_as_bench("d")(n),
		("/d is not a bench",),
	),
	("sites is an empty mount point", lost_mount, ("is not a bench", "apps.txt")),
	("sites is gone", lambda n: shutil.rmtree(n.sites), ("is not a bench",)),
	(
		"sites is a link to itself",
		lambda n: (shutil.rmtree(n.sites), n.sites.symlink_to("sites")),
		("cannot be read",),
	),
	("no site at all", no_sites, ("holds no site at all", "allow_empty")),
	("one of two benches holds no site", second_bench_is_empty, ("/other/sites holds no site at all",)),
	("one of two benches is not there", set_to(benches=[".", "../gone"]), ("gone is not a bench",)),
	("benches match nothing", set_to(benches=["../none-*"]), ("pattern", "none-*", "matches no folder")),
	("benches match a folder that is none", set_to(benches=["../*/sites/*.example"]), ("is not a bench",)),
	("benches is empty", set_to(benches=[]), ("benches = []", "at least one path")),
	("benches is a text", set_to(benches="/srv/*"), ("benches = ", "must be a list")),
	("benches has two stars", set_to(benches=["/srv/**"]), ("benches = ", "**")),
	(
		"benches holds half a character",
		set_to(benches=["/srv/\ud800"]),
		("benches = ",),
	),
	(
		"nothing is configured",
		lambda n: n.section.clear(),
		("node_id is not set", "control_plane_url is not set"),
	),
	("no node_id", without("node_id"), ("node_id is not set", "PREGO_METRICS_NODE_ID")),
	("node_id is empty", set_to(node_id=""), ('node_id = ""',)),
	("node_id is a number", set_to(node_id=7), ("node_id = 7", "must be a string")),
	("node_id is a dot", set_to(node_id="."), ('node_id = "."',)),
	("node_id has a line end", set_to(node_id="node-1\n"), ("node_id = ", "control characters")),
	("no control_plane_url", without("control_plane_url"), ("control_plane_url is not set",)),
	(
		"http to another machine",
		set_to(control_plane_url="http://cp.example"),
		("control_plane_url = ", "base URL"),
	),
	(
		"userinfo in the URL",
		lambda n: n.section.update(control_plane_url=n.section["control_plane_url"].replace("//", "//u:pw@")),
		("control_plane_url = ", "base URL"),
	),
	(
		"a query in the URL",
		lambda n: n.section.update(control_plane_url=n.section["control_plane_url"] + "?a"),
		("control_plane_url = ", "base URL"),
	),
	(
		"the endpoint as the URL",
		lambda n: n.section.update(
			control_plane_url=n.section["control_plane_url"] + "/internal/server-metrics"
		),
		("base URL",),
	),
	("push_interval is too short", set_to(push_interval=1), ("push_interval = 1", "from 5 to 86400")),
	("push_interval is a text", set_to(push_interval="60"), ('push_interval = "60"',)),
	("push_interval is no number", set_to(push_interval=float("nan")), ("push_interval = NaN",)),
	("timeout is null", set_to(timeout=None), ("timeout = null",)),
	("exclude_sites is a text", set_to(exclude_sites="pool-*"), ("exclude_sites = ", "must be a list")),
	("allow_empty is a text", set_to(allow_empty="false"), ("allow_empty = ", "true or false")),
	(
		"an unknown setting",
		set_to(exclude_site=["pool-*"]),
		("exclude_site in ", "did you mean exclude_sites?"),
	),
	("the key in the configuration", set_to(api_key=KEY), ("api_key in ", "is refused")),
	(
		"the key beside the section",
		lambda n: n.common.write_text(json.dumps({"INTERNAL_API_KEY": KEY})),
		("INTERNAL_API_KEY in ", "is refused"),
	),
	(
		"the key as a setting's variable",
		variable("PREGO_METRICS_API_KEY", KEY),
		("PREGO_METRICS_API_KEY in the environment is refused",),
	),
	(
		"an unknown variable",
		variable("PREGO_METRICS_NODEID", "x"),
		("PREGO_METRICS_NODEID", "did you mean node_id?"),
	),
	(
		"a wrong variable",
		variable("PREGO_METRICS_TIMEOUT", "1e3"),
		('timeout = "1e3" (PREGO_METRICS_TIMEOUT)',),
	),
	(
		"a list that is no JSON",
		variable("PREGO_METRICS_EXCLUDE_SITES", "pool-*"),
		("PREGO_METRICS_EXCLUDE_SITES",),
	),
	(
		"half a hardened mode",
		variable("PREGO_METRICS_HARDENED", "yes"),
		('PREGO_METRICS_HARDENED = "yes"', "must be 1 or 0"),
	),
	(
		"hardened, and the URL only in the file",
		variable("PREGO_METRICS_HARDENED", "1"),
		("in the hardened mode it comes from PREGO_METRICS_CONTROL_PLANE_URL alone",),
	),
	(
		"two heartbeats",
		set_to(heartbeat_url="https://hc.example/x", heartbeat_url_file="/etc/x"),
		("are both set",),
	),
	("an empty configuration", common_holds(""), ("common_site_config.json is not valid JSON",)),
	(
		"a half-written configuration",
		common_holds('{"prego_metrics": {"node_id": "no'),
		("common_site_config.json is not valid JSON",),
	),
	(
		"a configuration that is no UTF-8",
		common_holds(b'{"a": "\xff"}'),
		("common_site_config.json cannot be parsed",),
	),
	("a configuration that is no object", common_holds("[]"), ("does not hold a JSON object",)),
	(
		"a section that is no object",
		common_holds('{"prego_metrics": []}'),
		("holds prego_metrics, which is not a JSON object",),
	),
	("a configuration nested too deeply", common_holds("[" * 100_000), ("cannot be parsed",)),
	("the configuration is a folder", replace_common(lambda path: path.mkdir()), ("not a regular file",)),
	("the configuration is a pipe", replace_common(os.mkfifo), ("not a regular file",)),
	(
		"the configuration leads nowhere",
		replace_common(lambda path: path.symlink_to("gone")),
		("a link that leads nowhere",),
	),
	("no key", lambda n: n.environ.clear(), ("there is no key", "INTERNAL_API_KEY")),
	("an empty key", variable("INTERNAL_API_KEY", ""), ("there is no key",)),
	(
		"a key with a space",
		variable("INTERNAL_API_KEY", KEY + " "),
		("the key from INTERNAL_API_KEY", "printable ASCII"),
	),
	("a key with a line end", variable("INTERNAL_API_KEY", KEY + "\n"), ("the key from INTERNAL_API_KEY",)),
	("a key that is not ASCII", variable("INTERNAL_API_KEY", "열쇠"), ("the key from INTERNAL_API_KEY",)),
	("a key file of a relative path", set_to(api_key_file="key"), ("api_key_file = … (", "absolute path")),
	("no key file", key_in_no_file(lambda path: None), ("api_key_file: ", "No such file")),
	("a key file that all can read", key_in_a_file(KEY.encode(), 0o644), ("has mode 0644", "chmod 600")),
	(
		"a key file under sites",
		key_in_a_file(KEY.encode(), name="sites/acme.example/key"),
		("lies under ", "outside sites/"),
	),
	("an empty key file", key_in_a_file(b"\n"), ("is empty",)),
	("a key file written on Windows", key_in_a_file(KEY.encode() + b"\r\n"), ("printable ASCII",)),
	("a huge key file", key_in_a_file(b"k" * 5000), ("larger than 4096 bytes",)),
	("the key file is a folder", key_in_no_file(lambda path: path.mkdir()), ("is not a regular file",)),
	("the key file is a pipe", key_in_no_file(os.mkfifo), ("is not a regular file",)),
	(
		"the credentials hold no good key",
		all_of(
			lambda n: n.environ.clear(),
			lambda n: (n.bench / "internal_api_key").write_text(""),
			lambda n: n.environ.update(CREDENTIALS_DIRECTORY=str(n.bench)),
		),
		("$CREDENTIALS_DIRECTORY/internal_api_key is empty",),
	),
]
