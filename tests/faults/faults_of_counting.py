"""Faults of the count: what lies in sites/, how it is read, and who changes it meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from fault_injectors import (
	HANG,
	acme,
	acme_is,
	as_user,
	both,
	counted,
	names,
	rule,
	setting,
	sites,
	truth,
)
from fault_model import (
	COUNT,
	DELIVERED,
	DELIVERED_OR_NOT_SENT,
	DRY_RUN,
	FAILED_OR_NOT_SENT,
	LOUD,
	NOT_SENT,
	NOT_SENT_UNRECORDED,
	PUSH,
	SILENCE,
	SITES,
	SUCCESS,
	TENANTS,
	TICK,
	Fault,
	Inject,
	Node,
	Run,
)

CONFIG = "*/site_config.json"
ACME = "*/acme.example/site_config.json"


def _volume(node: Node, *names: str) -> list[Path]:
	"""Sites on a volume elsewhere."""
	return [node.site(name, node.folder / "volume") for name in names]


def _link(name: str, target: str) -> Inject:
	return lambda node: (node.sites / name).symlink_to(target)


def _linked_site(*links: str) -> Inject:
	def inject(node: Node) -> None:
		(site,) = _volume(node, "delta.example")
		for link in links:
			(node.sites / link).symlink_to(site)
		node.truth = (4,)

	return inject


def _chain_of_links(node: Node) -> None:
	(site,) = _volume(node, "delta.example")
	(node.folder / "middle").symlink_to(site)
	(node.sites / "delta.example").symlink_to(node.folder / "middle")
	node.truth = (4,)


def _all_sites_are_links(node: Node) -> None:
	(node.folder / "volume").mkdir()
	for name in SITES:
		shutil.move(node.sites / name, node.folder / "volume" / name)
		(node.sites / name).symlink_to(node.folder / "volume" / name)


def _bind(source: str, target: str, *, new: bool) -> Inject:
	def inject(node: Node) -> None:
		if new:
			_volume(node, source)
		origin = (node.folder / "volume" if new else node.sites) / source
		(node.sites / target).mkdir()
		node.mount("--bind", origin, node.sites / target)
		node.truth = (3 + new,)

	return inject


def _site_on_a_volume(node: Node) -> None:
	(node.sites / "delta.example").mkdir()
	node.mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", node.sites / "delta.example")
	(node.sites / "delta.example" / "site_config.json").write_text("{}")
	node.truth = (4,)


def _unmounted(node: Node) -> None:
	"""A volume with a site goes away after a push counted it."""
	_linked_site("delta.example")(node)
	node.deliver_once()
	(node.folder / "volume").rename(node.folder / "unmounted")


def _link_removed(node: Node) -> None:
	_unmounted(node)
	(node.sites / "delta.example").unlink()
	node.truth = (3, 4)


def _unmounted_in_sites(node: Node) -> None:
	_site_on_a_volume(node)
	node.deliver_once()
	# The empty folder below is not to be had while the test's own mount is there.
	node.mount("-t", "tmpfs", "tmpfs", node.sites / "delta.example")


def _ended_as_lost(node: Node, run: Run) -> None:
	assert node.counts == [4]
	assert node.state()["last"]["error_code"] == "sites_lost"
	assert f"{node.sites}/delta.example" in run.printed


def _lost_mount(node: Node) -> None:
	for name in SITES:
		shutil.rmtree(node.sites / name)


def _lists_alias(node: Node, run: Run) -> None:
	"""Both names are listed, one as a tenant and the other as its alias."""
	counted(3)(node, run)
	told = json.loads(run.out)
	reasons = {
		entry.get("name") or entry["site"]: entry["reason"] for entry in told["sites"] + told["not_sites"]
	}
	one, other = "acme.example", "www.acme.example"
	assert {one, other} <= reasons.keys(), reasons
	assert one in reasons[other].replace(other, "") or other in reasons[one], reasons


def _editor_truncates(node: Node) -> None:
	"""A process writes one site_config.json in place, in two halves, again and again."""
	node.spawn(
		"import sys, time\n"
		"path = sys.argv[1]; print(flush=True)\n"
		"while True:\n"
		"	with open(path, 'w') as file:\n"
		"		file.write('{\"db_name\": '); file.flush(); time.sleep(0.003); file.write('\"x\"}')\n"
		"	time.sleep(0.001)",
		node.sites / "acme.example" / "site_config.json",
	)


def _pool_renames(node: Node) -> None:
	"""A process assigns a pool site to a tenant and takes it back, again and again."""
	node.section["exclude_sites"] = ["pool-*"]
	node.site("pool-sgp-001")
	node.truth = (3, 4)
	node.spawn(
		"import os, sys\n"
		"os.chdir(sys.argv[1]); print(flush=True)\n"
		"while True:\n"
		"	os.rename('pool-sgp-001', 'delta.example'); os.rename('delta.example', 'pool-sgp-001')",
		node.sites,
	)


def _renames_beside(node: Node) -> None:
	"""A process renames a tenant to and fro: the count is the same whatever its name."""
	node.spawn(
		"import os, sys\n"
		"os.chdir(sys.argv[1]); print(flush=True)\n"
		"while True:\n"
		"	os.rename('acme.example', 'zeta.example'); os.rename('zeta.example', 'acme.example')",
		node.sites,
	)


def _moves(first: str, second: str) -> Inject:
	"""While the second bench is listed, a site moves from one bench to the other."""

	def inject(node: Node) -> None:
		other = node.other_bench("delta.example", "echo.example")
		node.truth = (5,)
		folders = {"first": node.sites, "second": other}
		name = "acme.example" if first == "first" else "delta.example"
		node.rules.append(f"opendir|{other}|1-1|hang:0.6")
		mark = node.folder / "listing"
		node.environ["FAULT_MARK"] = str(mark)
		node.write()

		def move() -> None:
			give_up_at = time.monotonic() + 8
			while not mark.exists() and time.monotonic() < give_up_at:
				time.sleep(0.01)
			os.rename(folders[first] / name, folders[second] / name)

		node.after(0, move)

	return inject


def _no_entry_to_our_folder(node: Node) -> None:
	"""Two users' benches on one node: each one's state folder is closed to the other."""
	other = node.other_bench("delta.example", "echo.example")
	(other / ".prego-metrics").mkdir(mode=0o700)
	node.truth = (5,)
	node.write()
	for path in (node.bench, *node.bench.rglob("*")):
		os.chown(path, 65534, 65534)


def _unreadable_listing(node: Node) -> None:
	other = node.other_bench("delta.example")
	other.chmod(0o711)
	node.write()
	for path in (node.bench, *node.bench.rglob("*")):
		os.chown(path, 65534, 65534)


def _same_bench_twice(node: Node) -> None:
	(node.folder / "again").symlink_to(node.bench)
	node.section["benches"] = [str(node.bench), str(node.folder / "again"), str(node.bench / "sites")]


def _second_bench(*names: str) -> Inject:
	return lambda node: node.other_bench(*names)


def _hostile_names(node: Node) -> None:
	for name in (b"new\nline", b"\x1b[31mred", b"half \xff", "한글.example".encode(), b"-rf", b"a" * 255):
		os.mkdir(os.fsencode(node.sites) + b"/" + name)
		Path(os.fsdecode(os.fsencode(node.sites) + b"/" + name + b"/site_config.json")).write_text("{}")
	node.truth = (9,)


_LINKS = [
	Fault(
		"a site that is a symlink to a volume",
		COUNT,
		_linked_site("delta.example"),
		DELIVERED,
	),
	Fault(
		"two symlinks to one site on a volume",
		COUNT,
		_linked_site("delta.example", "www.delta.example"),
		DELIVERED,
	),
	Fault(
		"a symlink to a symlink to a site on a volume",
		COUNT,
		_chain_of_links,
		DELIVERED,
		slow=True,
	),
	Fault("all sites are symlinks to a volume", COUNT, _all_sites_are_links, DELIVERED),
	Fault("a symlink to a site that counts", COUNT, _link("www.acme.example", "acme.example"), DELIVERED),
	Fault("a symlink that leads nowhere", COUNT, _link("delta.example", "gone"), DELIVERED, slow=True),
	Fault("a symlink whose volume is unmounted", COUNT, _unmounted, LOUD, check=_ended_as_lost),
	Fault("a mount point whose volume is unmounted", COUNT, _unmounted_in_sites, LOUD, check=_ended_as_lost),
	Fault(
		"a symlink whose volume is unmounted, and that is removed then",
		COUNT,
		_link_removed,
		DELIVERED,
		slow=True,
	),
	Fault("a symlink to itself", COUNT, _link("delta.example", "delta.example"), DELIVERED, slow=True),
	Fault("a symlink to a folder without a site", COUNT, _link("assets", "/usr/share"), DELIVERED, slow=True),
	Fault("a symlink to a file", COUNT, _link("delta.example", "apps.txt"), DELIVERED, slow=True),
	Fault("a symlink to sites itself", COUNT, _link("delta.example", "."), DELIVERED, slow=True),
	Fault(
		"a bind mount of a site that counts",
		COUNT,
		_bind("acme.example", "delta.example", new=False),
		DELIVERED,
	),
	Fault(
		"a bind mount of a site elsewhere",
		COUNT,
		_bind("delta.example", "delta.example", new=True),
		DELIVERED,
		slow=True,
	),
	Fault("a site on a file system of its own", COUNT, _site_on_a_volume, DELIVERED),
	Fault(
		"tenants lists a symlink as an alias of its site",
		COUNT,
		_link("www.acme.example", "acme.example"),
		SUCCESS,
		TENANTS,
		check=_lists_alias,
	),
	Fault(
		"tenants lists a bind mount as an alias of its site",
		COUNT,
		_bind("acme.example", "www.acme.example", new=False),
		SUCCESS,
		TENANTS,
		check=_lists_alias,
	),
]


# A site that cannot be read occupies the node.
_CONTENTS = [
	*(
		Fault(
			f"a site_config.json {name}",
			COUNT,
			acme(content),
			DELIVERED,
			check=names("acme.example"),
			slow=name != "that is half written",
		)
		for name, content in (
			("that is empty", b""),
			("that is half written", b'{"db_name": "_01'),
			("that is no object", b"[]"),
			("that is no UTF-8", b'{"a": "\xff"}'),
			("nested too deeply", b"[" * 100_000),
			("of two megabytes", b" " * (2 << 20)),
			("with a prego_tenant of nonsense", b'{"prego_tenant": "no"}'),
		)
	),
	Fault("a site_config.json that is a pipe", COUNT, acme_is(os.mkfifo), DELIVERED),
	Fault("a site_config.json that is a folder", COUNT, acme_is(Path.mkdir), DELIVERED, slow=True),
	Fault(
		"a site_config.json that is /dev/zero",
		COUNT,
		acme_is(lambda path: path.symlink_to("/dev/zero")),
		DELIVERED,
		slow=True,
	),
	Fault(
		"a site_config.json that may not be read",
		COUNT,
		rule("open", ACME, "EACCES"),
		DELIVERED,
		check=names("acme.example"),
		slow=True,
	),
	Fault("a prego_tenant of 0", COUNT, both(acme(b'{"prego_tenant": 0}'), truth(2)), DELIVERED, slow=True),
	Fault("names that are hostile", COUNT, _hostile_names, DELIVERED),
	Fault(
		"folders that are no sites",
		COUNT,
		lambda n: [(n.sites / name).mkdir() for name in ("assets", ".git", "lost+found")],
		DELIVERED,
		slow=True,
	),
	Fault(
		"our own state folder, closed",
		COUNT,
		lambda n: (n.write(), n.state_folder.chmod(0o700)),
		DELIVERED,
		slow=True,
	),
	Fault(
		"another user's state folder",
		COUNT,
		both(_no_entry_to_our_folder, as_user(65534)),
		DELIVERED,
	),
	Fault(
		"a lost+found that may not be entered",
		COUNT,
		both(lambda n: (n.sites / "lost+found").mkdir(), rule("open", "*/lost+found/*", "EACCES")),
		DELIVERED,
		slow=True,
	),
]

# Errors of the process or of the file system are not facts about sites.
_ERRORS = [
	*(
		Fault(
			f"every site_config.json ends with {name}",
			COUNT,
			both(lambda n: (n.sites / "assets").mkdir(), rule("open", CONFIG, name)),
			NOT_SENT,
			slow=name != "EMFILE",
		)
		for name in ("EMFILE", "ENFILE", "ENOMEM", "ESTALE", "EIO")
	),
	Fault(
		"no site_config.json may be read",
		COUNT,
		both(lambda n: (n.sites / "assets").mkdir(), rule("open", CONFIG, "EACCES")),
		NOT_SENT,
	),
	Fault("one site_config.json ends with EIO", COUNT, rule("open", ACME, "EIO"), NOT_SENT),
	Fault(
		"one site_config.json ends with ESTALE",
		COUNT,
		rule("open", ACME, "ESTALE"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a read of one site_config.json ends with EIO",
		COUNT,
		rule("read", ACME, "EIO"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a read of one site_config.json ends with EIO once",
		COUNT,
		rule("read", ACME, "EIO", "1-1"),
		DELIVERED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"descriptors run out within a census",
		COUNT,
		rule("open", CONFIG, "EMFILE", "2-0"),
		NOT_SENT,
	),
	*(
		Fault(
			f"the listing of sites/ cannot begin: {name}",
			COUNT,
			rule("opendir", "*/sites", name),
			NOT_SENT,
			slow=True,
		)
		for name in ("EIO", "ESTALE", "EACCES", "EMFILE", "ENOMEM")
	),
	Fault(
		"the listing of sites/ breaks off with EIO", COUNT, rule("readdir", "*/sites", "EIO", "4-0"), NOT_SENT
	),
	Fault(
		"the listing of sites/ breaks off with ESTALE",
		COUNT,
		rule("readdir", "*/sites", "ESTALE", "2-0"),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"sites/ cannot be looked at: EIO",
		COUNT,
		rule("stat", "*/sites", "EIO"),
		NOT_SENT_UNRECORDED,
		slow=True,
	),
	Fault(
		"apps.txt cannot be looked at: ESTALE",
		COUNT,
		rule("stat", "*/sites/apps.txt", "ESTALE"),
		NOT_SENT_UNRECORDED,
		slow=True,
	),
	Fault(
		"a file system that hangs on one site",
		SILENCE,
		rule("open", ACME, HANG),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"a file system that hangs on the listing",
		SILENCE,
		rule("opendir", "*/sites", HANG),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"a file system that hangs on statvfs",
		SILENCE,
		rule("statvfs", "/", HANG),
		DELIVERED,
		check=names("disk_pct"),
		slow=True,
	),
	*(
		Fault(
			f"a file system that hangs on the way to the bench{whom}",
			SILENCE,
			rule("stat", "/", HANG),
			NOT_SENT_UNRECORDED,
			act,
			check=names("the bench"),
			slow=True,
		)
		for whom, act in (
			("", PUSH),
			(", and a timer pushes", TICK),
			(", and a dry run is asked for", DRY_RUN),
		)
	),
	Fault(
		"a file system that hangs on one site, and a dry run is asked for",
		SILENCE,
		rule("open", ACME, HANG),
		NOT_SENT_UNRECORDED,
		DRY_RUN,
		check=names("sites"),
		slow=True,
	),
	Fault(
		"a state that hangs, and a dry run is asked for",
		SILENCE,
		rule("open", "*/.prego-metrics", HANG),
		NOT_SENT_UNRECORDED,
		DRY_RUN,
		check=names(".prego-metrics"),
		slow=True,
	),
	Fault(
		"a census as long as the deadline",
		SILENCE,
		rule("open", ACME, "hang:3.9"),
		FAILED_OR_NOT_SENT,
		check=names("sites"),
		slow=True,
	),
]

# What is absent for a moment, or changes while it is read.
_RACES = [
	Fault(
		"a site_config.json that is absent once",
		COUNT,
		rule("open", ACME, "ENOENT", "1-1"),
		DELIVERED,
	),
	Fault(
		"a site_config.json that is absent twice",
		COUNT,
		rule("open", ACME, "ENOENT", "1-2"),
		DELIVERED,
		slow=True,
	),
	Fault(
		"a site_config.json that cannot be opened once: EIO",
		COUNT,
		rule("open", ACME, "EIO", "1-1"),
		DELIVERED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"an editor that writes a site_config.json in place", COUNT, _editor_truncates, DELIVERED, slow=True
	),
	Fault("a pool site that is assigned and taken back", COUNT, _pool_renames, DELIVERED),
	Fault("a tenant that is renamed to and fro", COUNT, _renames_beside, DELIVERED, slow=True),
	Fault(
		"a site moves from the first bench to the second",
		COUNT,
		_moves("first", "second"),
		DELIVERED,
	),
	Fault(
		"a site moves from the second bench to the first",
		COUNT,
		_moves("second", "first"),
		DELIVERED,
	),
]

_BENCHES = [
	Fault("two benches", COUNT, both(_second_bench("delta.example"), truth(4)), DELIVERED),
	Fault(
		"two benches with sites of one name",
		COUNT,
		both(_second_bench(*SITES), truth(6)),
		DELIVERED,
		slow=True,
	),
	Fault("one bench by three names", COUNT, _same_bench_twice, DELIVERED, slow=True),
	Fault("a second bench that is gone", COUNT, setting(benches=[".", "../gone"]), NOT_SENT),
	Fault("a second bench without a site", COUNT, _second_bench(), NOT_SENT, slow=True),
	Fault(
		"a second bench that may not be listed",
		COUNT,
		both(_unreadable_listing, as_user(65534)),
		NOT_SENT,
		slow=True,
	),
	Fault(
		"a pattern of benches that matches nothing",
		COUNT,
		setting(benches=["../none-*"]),
		NOT_SENT,
		slow=True,
	),
	Fault("no site at all", COUNT, _lost_mount, NOT_SENT),
	Fault(
		"no site at all, and tenants is asked",
		COUNT,
		_lost_mount,
		NOT_SENT_UNRECORDED,
		TENANTS,
		check=counted(None),
		slow=True,
	),
	Fault(
		"an empty mount in place of sites/",
		COUNT,
		lambda n: (n.write(), n.mount("-t", "tmpfs", "tmpfs", n.sites)),
		NOT_SENT_UNRECORDED,
	),
	Fault(
		"pool sites that are excluded",
		COUNT,
		both(sites("pool-a", "pool-b"), setting(exclude_sites=["pool-*"])),
		DELIVERED,
		slow=True,
	),
	Fault(
		"an exclusion written as a text",
		COUNT,
		both(sites("pool-a"), setting(exclude_sites="pool-*")),
		NOT_SENT,
		slow=True,
	),
]

FAULTS = [*_LINKS, *_CONTENTS, *_ERRORS, *_RACES, *_BENCHES]
