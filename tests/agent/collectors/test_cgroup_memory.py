"""The memory of a cgroup is its working set of the smallest limit above the process, and unknown where unreadable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prego_metrics.agent.base import mounts
from prego_metrics.agent.collectors import cgroup_memory
from prego_metrics.agent.collectors.cgroup_memory import CgroupMemory, read_cgroup_memory
from prego_metrics.agent.collectors.host import Memory, read_memory, sample_host

GB = 1 << 30
HOST = 16 * GB
UNLIMITED_V1 = 9223372036854771712
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


class Cgroups:
	"""A tree of cgroups as the kernel shows it to one process."""

	def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
		self.folder = folder
		self.mount = folder / "cgroup fs"
		self.mount.mkdir()
		monkeypatch.setattr(cgroup_memory, "_OWN_CGROUPS", str(folder / "own"))
		monkeypatch.setattr(mounts, "MOUNTS_FILE", str(folder / "mounts"))

	def of_process(self, *lines: str) -> None:
		(self.folder / "own").write_text("".join(f"{line}\n" for line in lines))

	def mounted(self, kind: str, root: str = "/", options: str = "rw") -> None:
		point = str(self.mount).replace(" ", "\\040")
		(self.folder / "mounts").write_text(
			"22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
			f"30 23 0:27 {root} {point} rw,nosuid shared:4 - {kind} {kind} {options}\n"
		)

	def cgroup(
		self,
		path: str,
		limit: object,
		usage: int = 0,
		inactive: int = 0,
		files: tuple[str, str, str] = V2,
	) -> None:
		folder = self.mount / path
		folder.mkdir(parents=True, exist_ok=True)
		(folder / files[0]).write_text(f"{limit}\n")
		(folder / files[1]).write_text(f"{usage}\n")
		(folder / "memory.stat").write_text(f"cache 5\n{files[2]} {inactive}\nunevictable 0\n")


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
	return Cgroups(tmp_path, monkeypatch)


def test_the_smallest_limit_on_the_path_counts_with_the_usage_under_it(cgroups: Cgroups) -> None:
	cgroups.of_process("0::/benches.slice/bench/worker")
	cgroups.mounted("cgroup2")
	cgroups.cgroup("benches.slice", 4 * GB, 3 * GB, GB)
	cgroups.cgroup("benches.slice/bench", "max", 2 * GB)
	cgroups.cgroup("benches.slice/bench/worker", 8 * GB, GB)
	assert read_cgroup_memory(HOST) == CgroupMemory(4 * GB, 2 * GB)
	cgroups.cgroup("benches.slice/bench", 2 * GB, GB, GB // 2)
	assert read_cgroup_memory(HOST) == CgroupMemory(2 * GB, GB // 2)


def test_of_equal_limits_the_outermost_counts(cgroups: Cgroups) -> None:
	cgroups.of_process("0::/a/b")
	cgroups.mounted("cgroup2")
	cgroups.cgroup("a", GB, GB // 2)
	cgroups.cgroup("a/b", GB, GB // 4)
	assert read_cgroup_memory(HOST) == CgroupMemory(GB, GB // 2)


def test_v1_has_files_of_its_own_beside_an_empty_v2(cgroups: Cgroups) -> None:
	cgroups.of_process("9:name=systemd:/x", "4:cpu,memory:/docker/one", "0::/x")
	cgroups.mounted("cgroup", options="rw,memory")
	cgroups.cgroup("", UNLIMITED_V1, files=V1)
	cgroups.cgroup("docker", UNLIMITED_V1, files=V1)
	cgroups.cgroup("docker/one", GB, GB // 2, GB // 4, files=V1)
	assert read_cgroup_memory(HOST) == CgroupMemory(GB, GB // 4)


@pytest.mark.parametrize(
	("own", "root"), [("/", "/"), ("/docker/one", "/docker/one"), ("/docker/one/", "/docker/one")]
)
def test_a_container_sees_its_own_cgroup_alone(cgroups: Cgroups, own: str, root: str) -> None:
	cgroups.of_process(f"0::{own}")
	cgroups.mounted("cgroup2", root)
	cgroups.cgroup("", GB, GB // 2)
	assert read_cgroup_memory(HOST) == CgroupMemory(GB, GB // 2)


@pytest.mark.parametrize("limit", ["max", HOST, 2 * HOST, UNLIMITED_V1])
def test_a_limit_that_is_not_below_the_hosts_memory_is_none(cgroups: Cgroups, limit: object) -> None:
	cgroups.of_process("0::/a/b")
	cgroups.mounted("cgroup2")
	cgroups.cgroup("a", limit, GB)
	(cgroups.mount / "a/b").mkdir()
	assert read_cgroup_memory(HOST) is None


def test_what_cannot_be_read_is_unknown_and_no_guess(cgroups: Cgroups) -> None:
	def memory() -> Memory:
		found = read_memory()
		assert found.host is not None
		return found._replace(host=0.0)

	unknown = Memory(0.0, None, None)
	assert memory() == unknown  # there are no files at all
	cgroups.of_process("0::/a")
	cgroups.mounted("cgroup2", "/elsewhere")
	cgroups.cgroup("a", "max")
	assert memory() == unknown
	cgroups.mounted("cgroup2")
	cgroups.of_process("0::/gone")
	assert memory() == unknown
	cgroups.of_process("0::/a")
	cgroups.cgroup("a", "much")
	assert memory() == unknown
	cgroups.cgroup("a", 1 << 20, 1 << 19)
	assert memory() == Memory(0.0, 50.0, 1 << 20)
	(cgroups.mount / "a/memory.stat").write_text("inactive_file\n")
	assert memory() == unknown
	(cgroups.mount / "a/memory.stat").unlink()
	assert memory() == unknown


def test_the_setting_decides_which_figure_is_sent(cgroups: Cgroups) -> None:
	cgroups.of_process("0::/a")
	cgroups.mounted("cgroup2")
	cgroups.cgroup("a", 1 << 20, 1 << 19)
	host = sample_host(None, ["/"], read_cpu=lambda: None)
	cgroup = sample_host(None, ["/"], "cgroup", read_cpu=lambda: None)
	assert host.memory_pct == host.memory.host
	assert cgroup.memory_pct == 50.0
	cgroups.cgroup("a", "max")
	unlimited = sample_host(None, ["/"], "cgroup", read_cpu=lambda: None)
	assert unlimited.memory_pct == unlimited.memory.host and unlimited.memory.limit is None
	cgroups.of_process("0::/gone")
	unknown = sample_host(None, ["/"], "cgroup", read_cpu=lambda: None)
	assert unknown.memory_pct is None
	assert sum(warning.startswith("memory_pct is left out") for warning in unknown.warnings) == 1


# The kernel's own

_IN_A_CGROUP = """
import json, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
	file.write("0")
held = bytearray(b"x" * (48 << 20))
from prego_metrics.agent.collectors.cgroup_memory import read_cgroup_memory
print(json.dumps(read_cgroup_memory(1 << 34)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def real_cgroup() -> Iterator[tuple[Path, tuple[str, str, str]]]:
	"""A cgroup in one with a smaller limit, inside the memory cgroup of this process."""
	try:
		files, folders = cgroup_memory._cgroups()
		outer = Path(folders[-1], f"prego-metrics-test-{os.getpid()}")
		inner = outer / "inner"
		inner.mkdir(parents=True)
	except (OSError, LookupError) as error:
		pytest.skip(f"no memory cgroup can be made here: {error}")
	try:
		if not (inner / files.limit).exists():
			pytest.skip("the memory controller is not enabled for cgroups below this one")
		(outer / files.limit).write_text(str(256 << 20))
		(inner / files.limit).write_text(str(512 << 20))
		yield inner, files
	finally:
		inner.rmdir()
		outer.rmdir()


def test_the_figure_agrees_with_the_kernels_files(real_cgroup: tuple[Path, tuple[str, str, str]]) -> None:
	inner, (_, usage_file, inactive_name) = real_cgroup
	process = subprocess.Popen(
		[sys.executable, "-c", _IN_A_CGROUP, str(inner)],
		stdin=subprocess.PIPE,
		stdout=subprocess.PIPE,
		text=True,
	)
	try:
		limit, working_set = json.loads(process.stdout.readline())
		usage = int((inner.parent / usage_file).read_text())
		stat = dict(line.split() for line in (inner.parent / "memory.stat").read_text().splitlines())
	finally:
		process.communicate(timeout=10)
	assert limit == 256 << 20
	assert working_set == pytest.approx(usage - int(stat[inactive_name]), abs=8 << 20)
	assert working_set > 48 << 20
