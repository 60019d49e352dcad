"""Faults that the doctor must name: the cause, and not what follows from it."""

from __future__ import annotations

import subprocess
import sys

from fault_injectors import (
	advises_not,
	all_of,
	both,
	finds,
	key_file,
	names_not,
	nothing,
	rule,
	setting,
	sites,
	truth,
)
from fault_model import ANSWERED, COUNT, SILENCE, TICK, Fault, Node, doctor


def _read_only_state(node: Node) -> None:
	node.write()
	node.mount("-t", "tmpfs", "-o", "ro", "tmpfs", node.state_folder)


def _read_only_secret(node: Node) -> None:
	"""The key is on a read-only volume, with the mode that the volume gave it."""
	volume = node.folder / "secret"
	volume.mkdir()
	node.mount("-t", "tmpfs", "tmpfs", volume)
	(volume / "key").write_text("a-key-of-a-volume-0123456789")
	(volume / "key").chmod(0o644)
	node.mount("-o", "remount,ro", volume)
	node.environ.clear()
	node.section["api_key_file"] = str(volume / "key")


def _site_on_a_volume(node: Node) -> None:
	(node.sites / "delta.example").mkdir()
	node.mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", node.sites / "delta.example")
	(node.sites / "delta.example" / "site_config.json").write_text("{}")
	node.truth = (4,)


def _manual_due_pushes(node: Node) -> None:
	"""Somebody types `push --if-due` into a terminal, and nothing else has ever pushed."""
	node.write()
	command, environ = node.command(TICK)
	in_terminal = [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))", *command]
	subprocess.run(
		in_terminal, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30
	)
	assert node.counts == [3]


FAULTS = [
	Fault(
		"an exclusion that matches nothing",
		COUNT,
		setting(exclude_sites=["old-name.example"]),
		ANSWERED,
		doctor("tenants"),
		check=finds("tenants", "warn"),
	),
	Fault(
		"pool sites that count as tenants",
		COUNT,
		both(sites("pool-a", "pool-b"), truth(5)),
		ANSWERED,
		doctor("tenants"),
		check=finds("tenants", "warn"),
	),
	Fault(
		"a site's file system that is not watched",
		COUNT,
		both(setting(disk_paths=["/"]), _site_on_a_volume),
		ANSWERED,
		doctor("host"),
		check=finds("host", "warn"),
	),
	Fault(
		"an unreadable configuration is not a missing key",
		SILENCE,
		both(key_file("a-key-in-a-file-0123456789"), rule("open", "*/common_site_config.json", "EIO")),
		ANSWERED,
		doctor("configuration", "api_key"),
		check=all_of(finds("configuration", "fail"), finds("api_key", "skip", "pass", "warn")),
	),
	Fault(
		"a read-only mount is not a full disk",
		SILENCE,
		_read_only_state,
		ANSWERED,
		doctor("state"),
		check=all_of(finds("state", "fail"), advises_not("state", "free the disk")),
	),
	Fault(
		"a read-only secret volume takes no chown",
		SILENCE,
		_read_only_secret,
		ANSWERED,
		doctor("api_key"),
		check=all_of(finds("api_key", "fail"), advises_not("api_key", "chown", "chmod")),
	),
	Fault(
		"no bench command where there is no bench",
		SILENCE,
		nothing,
		ANSWERED,
		doctor("triggers"),
		check=all_of(finds("triggers", "fail"), advises_not("triggers", "bench --site")),
	),
	Fault(
		"a manual push --if-due is no trigger",
		SILENCE,
		_manual_due_pushes,
		ANSWERED,
		doctor("triggers"),
		check=finds("triggers", "fail", "warn"),
	),
	Fault(
		"a bench that cannot be listed",
		COUNT,
		rule("opendir", "*/sites", "EIO"),
		ANSWERED,
		doctor("tenants"),
		check=finds("tenants", "fail"),
		slow=True,
	),
	Fault(
		"every site ends with EMFILE, and the doctor is asked",
		COUNT,
		both(lambda n: (n.sites / "assets").mkdir(), rule("open", "*/site_config.json", "EMFILE")),
		ANSWERED,
		doctor("tenants"),
		check=finds("tenants", "fail"),
	),
	Fault(
		"the file system has no flock, and the doctor is asked",
		SILENCE,
		rule("flock", "*", "ENOLCK"),
		ANSWERED,
		doctor("lock"),
		check=finds("lock", "fail"),
		slow=True,
	),
	Fault(
		"the state's disk refuses writes, and the doctor is asked",
		SILENCE,
		rule("write", "*/.prego-metrics/*", "ENOSPC"),
		ANSWERED,
		doctor("state", "state_disk"),
		check=names_not("Traceback"),
		slow=True,
	),
]
