"""Faults of settings, files and paths: what is written there, and by whom."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fault_injectors import (
	HANG,
	as_user,
	both,
	common,
	from_environment,
	key_file,
	names,
	nothing,
	rule,
	setting,
	sites,
	variable,
)
from fault_model import (
	COMPLAINT,
	COUNT,
	DELIVERED,
	FAILED_OR_NOT_SENT,
	KEY_SAFE,
	LOUD,
	NOT_SENT,
	NOT_SENT_UNRECORDED,
	SILENCE,
	TICK,
	Check,
	Expect,
	Fault,
	Inject,
	Node,
	Run,
	doctor,
)
from hostile_server import answer
from pushing import KEY

STRANGER_UID = 65534
SECRET = "a-file-of-root-only-8d1f"
URL_SECRET = "t0ken-in-a-URL"
COMMON = "*/common_site_config.json"


def _planted(link: bool = False, sticky: bool = True) -> Inject:
	"""A local user plants a bench in a shared temporary folder, whose configuration aims a file of root's at a server of theirs."""

	def inject(node: Node) -> None:
		node.needs_root()
		node.written = True
		stranger = node.stranger(answer(200, b'{"ok": true}'))
		secret = node.folder / "root-only"
		secret.write_text(SECRET)
		secret.chmod(0o600)
		node.secrets.append(SECRET)
		shared = node.folder / "tmp"
		shared.mkdir()
		planted = shared
		if link:
			planted = node.folder / "theirs"
			planted.mkdir()
			(shared / "sites").symlink_to(planted)
			os.chown(shared / "sites", STRANGER_UID, STRANGER_UID, follow_symlinks=False)
		shared.chmod(0o1777 if sticky else 0o777)
		section = {
			"node_id": "node-1",
			"control_plane_url": stranger.url,
			"api_key_file": str(secret),
			"spread": 0,
		}
		(planted / "apps.txt").write_text("frappe\n")
		(planted / "common_site_config.json").write_text(json.dumps({"prego_metrics": section}))
		site = node.site("planted.example", planted)
		for path in (
			planted / "apps.txt",
			planted / "common_site_config.json",
			site,
			site / "site_config.json",
		):
			os.chown(path, STRANGER_UID, STRANGER_UID)
		if link:
			os.chown(planted, 0, 0)
		(shared / "work").mkdir()
		node.cwd = shared / "work"
		del node.environ["INTERNAL_API_KEY"]

	return inject


def _strangers_saw_nothing(node: Node, run: Run) -> None:
	assert not node.strangers[0].requests


def _mode(path: str, mode: int) -> Inject:
	"""What belongs to the bench may be written by everybody; root pushes."""
	return lambda node: (node.needs_root(), node.write(), (node.bench / path).chmod(mode))


def _owner(path: str) -> Inject:
	"""One file of root's bench belongs to a local user."""
	return lambda node: (
		node.needs_root(),
		node.write(),
		os.chown(node.bench / path, STRANGER_UID, STRANGER_UID),
	)


def _owned_by_all(node: Node) -> None:
	"""The whole bench belongs to another user, as on every server."""
	node.needs_root()
	node.write()
	for path in (node.bench, *node.bench.rglob("*")):
		os.chown(path, STRANGER_UID, STRANGER_UID)


def _absent_common(node: Node) -> None:
	"""common_site_config.json goes away after a push; URL, node_id and key are in the environment."""
	from_environment(node)
	node.site("pool-a")
	node.section["exclude_sites"] = ["pool-*"]
	node.section.pop("control_plane_url", None)
	node.common.write_text(json.dumps({"prego_metrics": node.section}))
	node.written = True
	assert node.run(("push",)).code == 0
	node.common.unlink()


def _absent_for_a_moment(calls: str) -> Inject:
	return both(sites("pool-a"), setting(exclude_sites=["pool-*"]), rule("open", COMMON, "ENOENT", calls))


def _absent_in_hardened_mode(calls: str) -> Inject:
	def inject(node: Node) -> None:
		from_environment(node)
		node.section.pop("control_plane_url", None)
		_absent_for_a_moment(calls)(node)

	return inject


def _written_twice(node: Node) -> None:
	"""Two prego_metrics blocks in one file."""
	node.site("pool-a")
	first = json.dumps({**node.section, "control_plane_url": node.server.url, "exclude_sites": ["pool-*"]})
	second = json.dumps({**node.section, "control_plane_url": node.server.url})
	node.common.write_text(f'{{"prego_metrics": {first}, "prego_metrics": {second}}}')
	node.written = True


def _setting_written_twice(node: Node) -> None:
	node.site("pool-a")
	inner = json.dumps({**node.section, "control_plane_url": node.server.url, "exclude_sites": ["pool-*"]})
	node.common.write_text(f'{{"prego_metrics": {inner[:-1]}, "exclude_sites": []}}}}')
	node.written = True


def _state_fell(number: int) -> Check:
	def check(node: Node, run: Run) -> None:
		assert number not in node.counts, node.counts

	return check


def _url_with(text: str) -> Inject:
	return lambda node: (
		node.secrets.append(URL_SECRET),
		node.section.update(control_plane_url=text.format(secret=URL_SECRET, port=node.server.port)),
	)


def _heartbeat(path: str = "/ping/{secret}") -> Inject:
	"""The heartbeat's URL holds a secret; its server is the control plane's own, and answers it with an error."""

	def inject(node: Node) -> None:
		node.secrets.append(URL_SECRET)
		# The first GET reads the node's row back, the next one is the heartbeat.
		node.gets[1:] = [answer(500, b"no " + URL_SECRET.encode())]
		node.section["heartbeat_url"] = node.server.url + path.format(secret=URL_SECRET)

	return inject


def _dead_heartbeat(node: Node) -> None:
	node.secrets.append(URL_SECRET)
	node.section["heartbeat_url"] = f"http://127.0.0.1:9/ping/{URL_SECRET}"


def _cloud_instance(node: Node) -> None:
	"""cloud-init says that this server is another instance."""
	node.mount("-t", "tmpfs", "tmpfs", "/run")
	Path("/run/cloud-init").mkdir()
	Path("/run/cloud-init/.instance-id").write_text("i-clone")


def _no_passwd_entry(node: Node) -> None:
	node.needs_root()
	node.write()
	for path in (node.bench, *node.bench.rglob("*")):
		os.chown(path, 60999, 60999)


_TRUST = [
	Fault(
		"a bench planted in a shared temporary folder",
		KEY_SAFE,
		_planted(),
		NOT_SENT_UNRECORDED,
		check=_strangers_saw_nothing,
	),
	Fault(
		"a bench planted in a shared folder, and a timer pushes",
		KEY_SAFE,
		_planted(),
		NOT_SENT_UNRECORDED,
		TICK,
		check=_strangers_saw_nothing,
		slow=True,
	),
	Fault(
		"a bench planted in a folder without a sticky bit",
		KEY_SAFE,
		_planted(sticky=False),
		NOT_SENT_UNRECORDED,
		check=_strangers_saw_nothing,
		slow=True,
	),
	Fault(
		"a bench planted by a symlink called sites",
		KEY_SAFE,
		_planted(link=True),
		NOT_SENT_UNRECORDED,
		check=_strangers_saw_nothing,
	),
	Fault("root pushes, and everybody can write sites/", KEY_SAFE, _mode("sites", 0o777), LOUD),
	Fault(
		"root pushes, and everybody can write the configuration",
		KEY_SAFE,
		_mode("sites/common_site_config.json", 0o666),
		LOUD,
		slow=True,
	),
	Fault(
		"root pushes, and everybody can write the bench",
		KEY_SAFE,
		_mode("", 0o777),
		LOUD,
		slow=True,
	),
	Fault(
		"root pushes, and the configuration is a local user's",
		KEY_SAFE,
		both(key_file(SECRET), _owner("sites/common_site_config.json")),
		LOUD,
	),
	Fault("root pushes for a bench of another user", KEY_SAFE, _owned_by_all, DELIVERED),
	Fault("root pushes for a user without a name", KEY_SAFE, _no_passwd_entry, DELIVERED, slow=True),
	Fault("a user without a name pushes", KEY_SAFE, both(_no_passwd_entry, as_user(60999)), DELIVERED),
]

_KEYS = [
	Fault("a key file that all can read", KEY_SAFE, key_file(KEY, 0o644), NOT_SENT),
	Fault(
		"a key file under sites/",
		KEY_SAFE,
		key_file(KEY, 0o600, "sites/acme.example/key"),
		NOT_SENT,
		slow=True,
	),
	Fault("a key file that is empty", KEY_SAFE, key_file("\n"), NOT_SENT, slow=True),
	Fault("a key file written on Windows", KEY_SAFE, key_file(KEY + "\r\n"), NOT_SENT, slow=True),
	Fault("a key file with two lines", KEY_SAFE, key_file(KEY + "\n" + KEY + "\n"), NOT_SENT, slow=True),
	Fault(
		"a key file that cannot be read: EIO",
		KEY_SAFE,
		both(key_file(KEY), rule("open", "*/key", "EIO")),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a key file on a disk that hangs",
		SILENCE,
		both(key_file(KEY), rule("open", "*/key", HANG)),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"a key file that is a pipe",
		KEY_SAFE,
		lambda n: (
			n.environ.clear(),
			os.mkfifo(n.bench / "key", 0o600),
			n.section.update(api_key_file=str(n.bench / "key")),
		),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"the key in place of its file's path",
		KEY_SAFE,
		both(variable(INTERNAL_API_KEY=""), setting(api_key_file=KEY)),
		NOT_SENT,
		slow=True,
	),
	Fault("the key in the settings", KEY_SAFE, setting(api_key=KEY), NOT_SENT, slow=True),
	Fault(
		"the key in the URL",
		KEY_SAFE,
		lambda n: n.section.update(control_plane_url=f"{n.server.url}/?key={KEY}"),
		NOT_SENT,
	),
	Fault(
		"the key as a setting's variable", KEY_SAFE, variable(PREGO_METRICS_TOKEN=KEY), NOT_SENT, slow=True
	),
	Fault("a key with a line end", KEY_SAFE, variable(INTERNAL_API_KEY=KEY + "\n"), NOT_SENT),
	Fault(
		"a key with letters beyond ASCII", KEY_SAFE, variable(INTERNAL_API_KEY=KEY + "é"), NOT_SENT, slow=True
	),
	Fault("no key", SILENCE, lambda n: n.environ.clear(), NOT_SENT, slow=True),
	Fault("no key, and a timer pushes", SILENCE, lambda n: n.environ.clear(), NOT_SENT, TICK),
	Fault(
		"a key that is unexpanded",
		KEY_SAFE,
		variable(INTERNAL_API_KEY="${INTERNAL_API_KEY}"),
		NOT_SENT,
	),
	Fault(
		"a secret in the URL's query",
		KEY_SAFE,
		_url_with("http://127.0.0.1:{port}/?token={secret}"),
		NOT_SENT,
	),
	Fault(
		"a password in the URL",
		KEY_SAFE,
		_url_with("http://u:{secret}@127.0.0.1:{port}"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a password in a URL without a scheme",
		KEY_SAFE,
		_url_with("u:{secret}@127.0.0.1:{port}"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a secret in the URL's query, and the doctor is asked",
		KEY_SAFE,
		_url_with("http://127.0.0.1:{port}/?token={secret}"),
		COMPLAINT,
		doctor("configuration"),
	),
	Fault(
		"a secret in the URL's fragment",
		KEY_SAFE,
		_url_with("http://127.0.0.1:{port}/#{secret}"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a secret in the URL, by a variable",
		KEY_SAFE,
		lambda n: (
			n.secrets.append(URL_SECRET),
			n.environ.update(PREGO_METRICS_CONTROL_PLANE_URL=f"{n.server.url}?token={URL_SECRET}"),
		),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a heartbeat that fails, with a secret URL",
		KEY_SAFE,
		_heartbeat(),
		DELIVERED,
		check=names("heartbeat"),
	),
	Fault(
		"a heartbeat that is down, with a secret URL",
		KEY_SAFE,
		_dead_heartbeat,
		DELIVERED,
		check=names("heartbeat"),
		slow=True,
	),
	Fault(
		"a heartbeat URL that is none",
		KEY_SAFE,
		lambda n: (n.secrets.append(URL_SECRET), n.section.update(heartbeat_url=f"ftp://x/{URL_SECRET}")),
		DELIVERED,
		check=names("heartbeat_url"),
	),
	Fault(
		"systemd units for a key file that is absent",
		SILENCE,
		nothing,
		COMPLAINT,
		("systemd", "--key-file", "/gone/key"),
	),
]

# The configuration is absent, half written, written twice or not expanded.
_FILES = [
	Fault(
		"the configuration goes away, hardened mode",
		COUNT,
		_absent_common,
		Expect("not sent, after one that was", (2,), ("not_sent",)),
		check=_state_fell(4),
	),
	Fault(
		"the configuration is absent once, hardened mode",
		COUNT,
		_absent_in_hardened_mode("1-1"),
		DELIVERED,
	),
	Fault(
		"the configuration is absent twice, hardened mode",
		COUNT,
		_absent_in_hardened_mode("1-2"),
		DELIVERED,
		slow=True,
	),
	Fault(
		"the configuration is absent once",
		SILENCE,
		_absent_for_a_moment("1-1"),
		DELIVERED,
		slow=True,
	),
	Fault("the configuration goes away", SILENCE, lambda n: (n.deliver_once(), n.common.unlink()), LOUD),
	Fault("two prego_metrics blocks", COUNT, _written_twice, LOUD),
	Fault("a setting that is written twice", COUNT, _setting_written_twice, LOUD),
	Fault(
		"a node_id that is unexpanded",
		COUNT,
		setting(node_id="${NODE_ID}"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a node_id that is unexpanded, by a variable",
		COUNT,
		variable(PREGO_METRICS_NODE_ID="${NODE_ID}"),
		NOT_SENT,
	),
	Fault(
		"a URL that is unexpanded",
		SILENCE,
		setting(control_plane_url="${CONTROL_PLANE_URL}"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"an exclusion that is unexpanded",
		COUNT,
		setting(exclude_sites=["${POOL_PATTERN}"]),
		NOT_SENT,
		slow=True,
	),
	*(
		Fault(
			f"a configuration {name}", COUNT, common(content), NOT_SENT, slow=name != "that is half written"
		)
		for name, content in (
			("that is empty", ""),
			("that is half written", '{"prego_metrics": {"node_id": "no'),
			("that is a list", "[]"),
			("that is no UTF-8", b'{"a": "\xff"}'),
			("nested too deeply", "[" * 100_000),
			("with a section that is a list", '{"prego_metrics": []}'),
		)
	),
	Fault("a configuration that cannot be read: EIO", COUNT, rule("open", COMMON, "EIO"), LOUD),
	Fault(
		"a configuration that cannot be read: EMFILE", COUNT, rule("open", COMMON, "EMFILE"), LOUD, slow=True
	),
	Fault(
		"a configuration that cannot be read, hardened mode",
		COUNT,
		both(from_environment, rule("open", COMMON, "EIO")),
		LOUD,
		slow=True,
	),
	Fault(
		"a configuration on a disk that hangs",
		SILENCE,
		rule("open", COMMON, HANG),
		LOUD,
		slow=True,
	),
	Fault(
		"a configuration that is a pipe",
		COUNT,
		lambda n: (n.write(), n.common.unlink(), os.mkfifo(n.common)),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a configuration that leads nowhere",
		COUNT,
		lambda n: (n.write(), n.common.unlink(), n.common.symlink_to("gone")),
		NOT_SENT,
		slow=True,
	),
]

# Wrong settings stop what they affect, and nothing else.
_SETTINGS = [
	Fault(
		"exclude_site in place of exclude_sites",
		COUNT,
		both(sites("pool-a"), setting(exclude_site=["pool-*"])),
		NOT_SENT,
	),
	Fault("bench in place of benches", COUNT, setting(benchs=["../*"]), NOT_SENT, slow=True),
	Fault(
		"a setting of a newer version",
		SILENCE,
		setting(quantum_mode=True),
		DELIVERED,
		check=names("quantum_mode"),
	),
	Fault(
		"a variable of a newer version",
		SILENCE,
		variable(PREGO_METRICS_QUANTUM="1"),
		DELIVERED,
		check=names("QUANTUM"),
	),
	Fault(
		"a wrong tenant_series",
		SILENCE,
		setting(tenant_series="many"),
		DELIVERED,
		check=names("tenant_series"),
	),
	Fault(
		"a wrong tenant_quota_gb",
		SILENCE,
		setting(tenant_quota_gb=-1),
		DELIVERED,
		check=names("tenant_quota_gb"),
		slow=True,
	),
	Fault(
		"a wrong disk_alert_pct",
		SILENCE,
		setting(disk_alert_pct=900),
		DELIVERED,
		check=names("disk_alert_pct"),
		slow=True,
	),
	Fault(
		"a wrong site",
		SILENCE,
		setting(site="a/b"),
		DELIVERED,
		check=names("site"),
		slow=True,
	),
	Fault("a wrong node_id", SILENCE, setting(node_id=7), NOT_SENT, slow=True),
	Fault("a wrong allow_empty", COUNT, setting(allow_empty="no"), NOT_SENT),
	Fault(
		"http to another machine",
		KEY_SAFE,
		setting(control_plane_url="http://plane.example"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"the clone of another server",
		COUNT,
		both(setting(instance_id="i-original"), _cloud_instance),
		NOT_SENT,
	),
]

FAULTS = [*_TRUST, *_KEYS, *_FILES, *_SETTINGS]
