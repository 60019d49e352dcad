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


# The code of the error, and names that must stand in its sentence.
SITUATIONS: list[tuple[str, Spoil, str, tuple[str, ...]]] = [
	("no such bench", name_as_bench("missing"), "not_a_bench", ("/missing",)),
	(
		"the bench is a file",
		lambda n: (n.bench.parent / "f").write_text("") or name_as_bench("f")(n),
		"not_a_bench",
		("/f",),
	),
	(
		"the folder is no bench",
		lambda n: (n.bench.parent / "d").mkdir() or name_as_bench("d")(n),
		"not_a_bench",
		("/d",),
	),
	("sites is an empty mount point", lost_mount, "not_a_bench", ("apps.txt",)),
	("sites is gone", lambda n: shutil.rmtree(n.sites), "not_a_bench", ()),
	(
		"sites is a link to itself",
		lambda n: (shutil.rmtree(n.sites), n.sites.symlink_to("sites")),
		"bench_unreadable",
		(),
	),
	("no site at all", no_sites, "no_site", ("allow_empty",)),
	("one of two benches holds no site", second_bench_is_empty, "no_site", ("/other/sites",)),
	("one of two benches is not there", set_to(benches=[".", "../gone"]), "not_a_bench", ("/gone",)),
	("benches match nothing", set_to(benches=["../none-*"]), "bench_pattern_empty", ("none-*",)),
	("benches match a folder that is none", set_to(benches=["../*/sites/*.example"]), "not_a_bench", ()),
	("benches is empty", set_to(benches=[]), "setting_invalid", ("benches = []",)),
	("benches is a text", set_to(benches="/srv/*"), "setting_invalid", ("benches = ",)),
	("benches has two stars", set_to(benches=["/srv/**"]), "setting_invalid", ("benches = ", "**")),
	("benches holds half a character", set_to(benches=["/srv/\ud800"]), "setting_invalid", ("benches = ",)),
	(
		"nothing is configured",
		lambda n: n.section.clear(),
		"settings_invalid",
		("node_id", "control_plane_url"),
	),
	("no node_id", without("node_id"), "setting_missing", ("node_id", "PREGO_METRICS_NODE_ID")),
	("node_id is empty", set_to(node_id=""), "setting_invalid", ('node_id = ""',)),
	("node_id is a number", set_to(node_id=7), "setting_invalid", ("node_id = 7",)),
	("node_id is a dot", set_to(node_id="."), "setting_invalid", ('node_id = "."',)),
	("node_id has a line end", set_to(node_id="node-1\n"), "setting_invalid", ("node_id = ",)),
	("no control_plane_url", without("control_plane_url"), "setting_missing", ("control_plane_url",)),
	(
		"http to another machine",
		set_to(control_plane_url="http://cp.example"),
		"setting_invalid",
		("control_plane_url = ",),
	),
	(
		"userinfo in the URL",
		lambda n: n.section.update(control_plane_url=n.section["control_plane_url"].replace("//", "//u:pw@")),
		"setting_invalid",
		("control_plane_url = ",),
	),
	(
		"a query in the URL",
		lambda n: n.section.update(control_plane_url=n.section["control_plane_url"] + "?a"),
		"setting_invalid",
		("control_plane_url = ",),
	),
	(
		"the endpoint as the URL",
		lambda n: n.section.update(
			control_plane_url=n.section["control_plane_url"] + "/internal/server-metrics"
		),
		"setting_invalid",
		("control_plane_url = ",),
	),
	("exclude_sites is a text", set_to(exclude_sites="pool-*"), "setting_invalid", ("exclude_sites = ",)),
	("allow_empty is a text", set_to(allow_empty="false"), "setting_invalid", ("allow_empty = ",)),
	(
		"an unknown setting",
		set_to(exclude_site=["pool-*"]),
		"setting_unknown",
		("exclude_site ", "exclude_sites?"),
	),
	("disk_paths is a text", set_to(disk_paths="/"), "setting_invalid", ("disk_paths = ",)),
	("memory_source is another", set_to(memory_source="vm"), "setting_invalid", ("memory_source = ",)),
	("instance_id is a number", set_to(instance_id=5), "setting_invalid", ("instance_id = ",)),
	("the key in the configuration", set_to(api_key=KEY), "key_misplaced", ("api_key",)),
	(
		"the key beside the section",
		lambda n: n.common.write_text(json.dumps({"INTERNAL_API_KEY": KEY})),
		"key_misplaced",
		("INTERNAL_API_KEY in ",),
	),
	(
		"the key as a setting's variable",
		variable("PREGO_METRICS_API_KEY", KEY),
		"key_misplaced",
		("PREGO_METRICS_API_KEY",),
	),
	(
		"an unknown variable",
		variable("PREGO_METRICS_NODEID", "x"),
		"setting_unknown",
		("PREGO_METRICS_NODEID", "node_id?"),
	),
	(
		"a list that is no JSON",
		variable("PREGO_METRICS_EXCLUDE_SITES", "pool-*"),
		"setting_invalid",
		("PREGO_METRICS_EXCLUDE_SITES",),
	),
	(
		"half a hardened mode",
		variable("PREGO_METRICS_HARDENED", "yes"),
		"setting_invalid",
		('PREGO_METRICS_HARDENED = "yes"',),
	),
	(
		"hardened, and the URL only in the file",
		all_of(variable("PREGO_METRICS_HARDENED", "1"), variable("PREGO_METRICS_NODE_ID", "node-1")),
		"setting_missing_hardened",
		("PREGO_METRICS_CONTROL_PLANE_URL",),
	),
	("an empty configuration", common_holds(""), "settings_unreadable", ("JSON",)),
	(
		"a half-written configuration",
		common_holds('{"prego_metrics": {"node_id": "no'),
		"settings_unreadable",
		("JSON",),
	),
	("a configuration that is no UTF-8", common_holds(b'{"a": "\xff"}'), "settings_unreadable", ()),
	("a configuration that is no object", common_holds("[]"), "settings_unreadable", ()),
	(
		"a section that is no object",
		common_holds('{"prego_metrics": []}'),
		"settings_unreadable",
		("prego_metrics",),
	),
	("a configuration nested too deeply", common_holds("[" * 100_000), "settings_unreadable", ()),
	("the configuration is a folder", replace_common(lambda path: path.mkdir()), "settings_unreadable", ()),
	("the configuration is a pipe", replace_common(os.mkfifo), "settings_unreadable", ()),
	(
		"the configuration leads nowhere",
		replace_common(lambda path: path.symlink_to("gone")),
		"settings_unreadable",
		("link",),
	),
	("no key", lambda n: n.environ.clear(), "key_missing", ("INTERNAL_API_KEY",)),
	("an empty key", variable("INTERNAL_API_KEY", ""), "key_missing", ()),
	("a key with a space", variable("INTERNAL_API_KEY", KEY + " "), "key_invalid", ("INTERNAL_API_KEY",)),
	("a key with a line end", variable("INTERNAL_API_KEY", KEY + "\n"), "key_invalid", ("INTERNAL_API_KEY",)),
	("a key that is not ASCII", variable("INTERNAL_API_KEY", "열쇠"), "key_invalid", ("INTERNAL_API_KEY",)),
	("a key file of a relative path", set_to(api_key_file="key"), "setting_invalid", ("api_key_file = …",)),
	("no key file", key_in_no_file(lambda path: None), "key_unreadable", ("api_key_file: ",)),
	("a key file that all can read", key_in_a_file(KEY.encode(), 0o644), "key_unreadable", ("chmod 600",)),
	(
		"a key file under sites",
		key_in_a_file(KEY.encode(), name="sites/acme.example/key"),
		"key_unreadable",
		("outside sites/",),
	),
	("an empty key file", key_in_a_file(b"\n"), "key_invalid", ("api_key_file",)),
	("a key file written on Windows", key_in_a_file(KEY.encode() + b"\r\n"), "key_invalid", ()),
	("a huge key file", key_in_a_file(b"k" * 5000), "key_unreadable", ("4096",)),
	("the key file is a folder", key_in_no_file(lambda path: path.mkdir()), "key_unreadable", ()),
	("the key file is a pipe", key_in_no_file(os.mkfifo), "key_unreadable", ()),
	(
		"the credentials hold no good key",
		all_of(
			lambda n: n.environ.clear(),
			lambda n: (n.bench / "internal_api_key").write_text(""),
			lambda n: n.environ.update(CREDENTIALS_DIRECTORY=str(n.bench)),
		),
		"key_invalid",
		("$CREDENTIALS_DIRECTORY/internal_api_key",),
	),
]

# A setting that a push can do without is wrong, or is no setting of this version.
WARNED: list[tuple[str, Spoil, str, tuple[str, ...]]] = [
	("push_interval is too short", set_to(push_interval=1), "setting_invalid", ("push_interval = 1",)),
	("push_interval is a text", set_to(push_interval="60"), "setting_invalid", ('push_interval = "60"',)),
	("push_interval is no number", set_to(push_interval=float("nan")), "setting_invalid", ("= NaN",)),
	("timeout is null", set_to(timeout=None), "setting_invalid", ("timeout = null",)),
	(
		"a wrong variable",
		variable("PREGO_METRICS_TIMEOUT", "1e3"),
		"setting_invalid",
		('timeout = "1e3" (PREGO_METRICS_TIMEOUT)',),
	),
	(
		"two heartbeats",
		set_to(heartbeat_url="https://hc.example/x", heartbeat_url_file="/etc/x"),
		"settings_conflict",
		("heartbeat_url", "heartbeat_url_file"),
	),
	("heartbeat_url is a number", set_to(heartbeat_url=5), "setting_invalid", ("heartbeat_url = …",)),
	("disk_alert_pct is a text", set_to(disk_alert_pct="90"), "setting_invalid", ("disk_alert_pct = ",)),
	("a setting of another version", set_to(gpu_watch="cgroup"), "setting_unknown", ("gpu_watch",)),
	(
		"a variable of another version",
		variable("PREGO_METRICS_GPU_WATCH", "cgroup"),
		"setting_unknown",
		("PREGO_METRICS_GPU_WATCH",),
	),
]
