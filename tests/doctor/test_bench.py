"""The doctor on the count, the disk, the lock and the state."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import GOOD, URL, Write, examined, judge, remember

from prego_metrics.agent.base import mounts
from prego_metrics.agent.collectors import host
from prego_metrics.doctor import bench as bench_checks

# --- tenants and host --------------------------------------------------------------------------------


def test_an_empty_bench_is_a_failure(
	environ: dict[str, str], make_bench: Callable[..., Path], tmp_path: Path
) -> None:
	check = judge(make_bench(tmp_path / "empty-bench"), environ, "tenants")
	assert check.state == "fail" and "has no sites" in check.seen


def test_a_bench_that_cannot_be_read_is_a_failure(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, benches=[str(bench), "/no/such/bench"])
	assert judge(bench, environ, "tenants").state == "fail"


def test_all_sites_excluded_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=["*"])
	check = judge(bench, environ, "tenants")
	assert (check.state, check.seen) == ("warn", "0 tenants of 3 sites: all are excluded")


def test_a_site_that_cannot_be_judged_is_a_warning_that_names_it(
	bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half\x1b[31m.example") / "site_config.json").write_text("{")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert check.seen.startswith("4 tenants of 4 sites\nsite half\\x1b[31m.example: counted although")


def test_the_operators_own_site_that_is_counted_is_said_with_how_to_exclude_it(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert "the operator site acme.example is counted as a tenant" in check.seen
	assert "prego-metrics configure --exclude-sites acme.example" in check.action
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example", exclude_sites=["acme.*"])
	assert judge(bench, environ, "tenants").state == "pass"


def test_pool_sites_that_are_counted_are_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path], make_site: Callable[..., Path]
) -> None:
	for number in range(7):
		make_site(bench, f"pool-{number}")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert "7 pool sites are counted as tenants (pool-0, pool-1, pool-2, pool-3, pool-4 …)" in check.seen
	assert "--exclude-sites 'pool-*'" in check.action
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=["pool-*"])
	assert judge(bench, environ, "tenants").state == "pass"


def test_an_exclusion_that_matches_nothing_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=["acme.*", "renamed.example"])
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert check.seen.endswith("of exclude_sites: renamed.example")


def test_a_figure_of_the_host_that_cannot_be_read_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, disk_paths=["/no/such/disk"])
	check = judge(bench, environ, "host")
	assert check.state == "warn"
	assert "disk unknown" in check.seen and "/no/such/disk" in check.seen


@pytest.mark.parametrize(
	("source", "limit", "seen"),
	[
		("host", 2 << 30, "memory 25.0 %, disk"),
		(
			"host",
			2 << 30,
			"Against this process's cgroup limit of 2.1 GB it is 75.0 %",
		),
		("cgroup", 2 << 30, "memory 75.0 %, disk"),
		("cgroup", 2 << 30, "cgroup limit of 2.1 GB (memory_source). The host's memory: 25.0 %"),
		("cgroup", None, "memory is the host's, because this process's cgroup has no lower limit"),
	],
)
def test_the_memory_figure_that_is_sent_is_named_and_the_other_too(
	bench: Path,
	environ: dict[str, str],
	settings: Callable[..., Path],
	monkeypatch: pytest.MonkeyPatch,
	source: str,
	limit: int | None,
	seen: str,
) -> None:
	memory = host.Memory(25.0, 75.0 if limit else 25.0, limit)
	monkeypatch.setattr(host, "read_memory", lambda: memory)
	settings(bench, node_id="node-1", control_plane_url=URL, memory_source=source)
	check = judge(bench, environ, "host")
	assert check.state == "pass" and seen in check.seen


def test_a_host_without_a_limit_of_a_cgroup_has_one_memory_figure(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	for memory in (host.Memory(25.0, 25.0, None), host.Memory(25.0, None, None)):
		monkeypatch.setattr(host, "read_memory", lambda memory=memory: memory)
		assert "cgroup" not in judge(bench, environ, "host").seen


def test_an_empty_bench_that_may_be_empty_is_a_warning(
	make_bench: Callable[..., Path], settings: Write, tmp_path: Path
) -> None:
	bench = make_bench(tmp_path / "empty")
	settings(bench, **GOOD, allow_empty=True)
	check = examined(bench, "tenants")
	assert check.state == "warn" and "lost mount" in check.action


@pytest.mark.parametrize(
	("kind", "state"), [("ext4", "pass"), ("nfs4", "warn"), ("fuse.sshfs", "warn"), ("overlay", "pass")]
)
def test_sites_on_another_machines_disk_is_a_warning(
	idle_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
	device = os.stat(idle_bench / "sites").st_dev
	line = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime master:1 - {kind} host:/x rw\n"
	(tmp_path / "mountinfo").write_text("1 0 0:1 / /proc rw - proc proc rw\n" + line)
	monkeypatch.setattr(mounts, "MOUNTS_FILE", str(tmp_path / "mountinfo"))
	check = examined(idle_bench, "file_system")
	assert (check.state, kind in check.seen) == (state, True)


def test_the_file_system_of_this_machine_is_known(idle_bench: Path) -> None:
	assert examined(idle_bench, "file_system").state == "pass"


@pytest.mark.parametrize(
	("blocks", "inodes", "state"),
	[
		(10**6, 10**6, "pass"),
		(10_000, 10**6, "warn"),
		(10, 10**6, "fail"),
		(10**6, 5, "fail"),
		(10**6, 500, "warn"),
	],
)
def test_a_disk_that_fills_up_is_named_before_it_is_full(
	idle_bench: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, inodes: int, state: str
) -> None:
	figures = os.statvfs_result((4096, 4096, 10**7, blocks, blocks, 10**7, inodes, inodes, 0, 255))
	monkeypatch.setattr(bench_checks.os, "statvfs", lambda path: figures)
	check = examined(idle_bench, "state_disk")
	assert check.state == state
	assert f"{inodes} inodes" in check.seen


def test_a_file_system_without_a_number_of_inodes_passes(
	idle_bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	figures = os.statvfs_result((4096, 4096, 10**7, 10**6, 10**6, 0, 0, 0, 0, 255))
	monkeypatch.setattr(bench_checks.os, "statvfs", lambda path: figures)
	assert examined(idle_bench, "state_disk").state == "pass"


# --- lock and state ----------------------------------------------------------------------------------


def test_a_lock_that_another_process_holds_is_a_warning(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(bench_checks, "LOCK_WAIT_SECONDS", 0.3)
	holder = subprocess.Popen(
		[
			sys.executable,
			"-c",
			"import sys, time; from prego_metrics.agent.state.lock import PushLock\n"
			"with PushLock(sys.argv[1]) as lock: lock.acquire(); print('held', flush=True); time.sleep(60)",
			str(bench / "sites"),
		],
		stdout=subprocess.PIPE,
	)
	assert holder.stdout and holder.stdout.readline() == b"held\n"
	try:
		check = judge(bench, environ, "lock")
	finally:
		holder.kill()
		holder.communicate()
	assert (check.state, check.code) == ("warn", "push_running")
	assert judge(bench, environ, "lock").state == "pass"


def test_a_doctor_gives_the_lock_back(bench: Path, environ: dict[str, str]) -> None:
	for _ in range(2):
		assert judge(bench, environ, "lock").state == "pass"


def test_a_state_that_cannot_be_written_is_a_failure(
	bench: Path, environ: dict[str, str], tmp_path: Path
) -> None:
	folder = bench / "sites" / ".prego-metrics"
	folder.rename(tmp_path / "elsewhere")
	folder.symlink_to(tmp_path / "elsewhere")
	check = judge(bench, environ, "state")
	assert check.state == "fail" and "cannot be written" in check.seen


@pytest.mark.parametrize(
	("number", "words"),
	[
		(errno.EROFS, "read-only"),
		(errno.ENOSPC, "free disk space"),
		(errno.EDQUOT, "quota"),
		(errno.EACCES, "its owner or mode"),
		(errno.EIO, "journalctl -k"),
		(errno.EMFILE, "open files"),
		(errno.ELOOP, "in its place"),
	],
)
def test_what_to_do_about_the_state_depends_on_why_it_cannot_be_written(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
	def fail(*_: object, **__: object) -> None:
		raise OSError(number, os.strerror(number))

	monkeypatch.setattr("prego_metrics.agent.state.store.replace_atomically", fail)
	check = judge(bench, environ, "state")
	assert check.state == "fail" and words in check.action
	assert ("free disk space" in check.action) == (number == errno.ENOSPC)


def test_the_room_on_a_read_only_disk_is_no_matter(idle_bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	figures = os.statvfs_result((4096, 4096, 10**7, 0, 0, 10**7, 0, 0, os.ST_RDONLY, 255))
	monkeypatch.setattr(bench_checks.os, "statvfs", lambda path: figures)
	assert examined(idle_bench, "state_disk").state == "skip"


def test_a_state_folder_of_somebody_else_is_a_failure(
	make_bench: Callable[..., Path],
	shared_folder: Path,
	environ: dict[str, str],
	as_user: Callable[..., Any],
) -> None:
	bench = make_bench(shared_folder / "frappe-bench", "acme.example")
	remember(bench)
	found = as_user(65534, lambda: judge(bench, environ, "state").as_dict())
	assert found["state"] == "fail"
	assert "Permission denied" in found["seen"]


def test_a_state_that_is_not_ours_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "state.json").write_text('{"version": "\x1b[31m"}')
	check = judge(bench, environ, "state")
	assert check.state == "warn" and "state.json" in check.seen


def test_looking_at_the_state_leaves_nothing_behind(bench: Path, environ: dict[str, str]) -> None:
	judge(bench, environ, "state")
	assert sorted(os.listdir(bench / "sites" / ".prego-metrics")) == ["state.json", "tick-frappe.json"]
