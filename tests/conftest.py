"""What all tests share: a clean environment, a bench in a temporary folder, a control plane on loopback."""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from command_server import Commands
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from run_as import RUN_AS
from watched_control_plane import NODE_ID, WatchedControlPlane

SITE_NAMES = ("acme.example", "brightfoods.example", "cedar.example")

_CLEARED = {
	"INTERNAL_API_KEY",
	"CREDENTIALS_DIRECTORY",
	"INVOCATION_ID",
	"SYSTEMD_EXEC_PID",
	"REQUESTS_CA_BUNDLE",
	"CURL_CA_BUNDLE",
	"SSL_CERT_FILE",
	# What changes how Python, click and rich write.
	"COLUMNS",
	"FORCE_COLOR",
	"LINES",
	"NO_COLOR",
	"PYTHONIOENCODING",
	"PYTHONUNBUFFERED",
	"PYTHONUTF8",
}

_BENCH_VARIABLES = ("PREGO_TEST_BENCH", "PREGO_TEST_SITE", "PREGO_TEST_TENANT_SITE", "PREGO_TEST_URL")


def pytest_xdist_auto_num_workers() -> int:
	"""Run two workers per processor: most tests wait for a server, a lock or a time limit."""
	return 2 * len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
	"""Run what needs a bench one after the other, and skip it where no bench is named; leave out what is slow.

	Only a `-m` that names slow tests runs them.
	"""
	if "slow" not in config.option.markexpr:
		config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
		items[:] = [item for item in items if not item.get_closest_marker("slow")]
	# A group is one worker's: begun last, it would be waited for alone.
	items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
	unset = [name for name in _BENCH_VARIABLES if not os.environ.get(name)]
	for item in items:
		if item.get_closest_marker("bench"):
			item.add_marker(pytest.mark.xdist_group("bench"))
			if unset:
				item.add_marker(pytest.mark.skip(reason=f"needs a bench: set {', '.join(unset)}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
	"""Say in one line why tests were skipped."""
	reasons = collections.Counter(
		report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")
	)
	if reasons:
		counts = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
		terminalreporter.write_line(f"Skipped: {counts}")


hypothesis_settings.register_profile(
	"prego_metrics",
	deadline=None,
	max_examples=100,
	print_blob=True,
	suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
hypothesis_settings.load_profile("prego_metrics")

# A shell that starts the tests in the background (`make test &`, a runner of jobs) has Ctrl-C ignored, and
# every process below inherits that: the tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
	"""Leave no setting, key or proxy of whoever runs the tests."""
	for name in list(os.environ):
		if name in _CLEARED or name.startswith("PREGO_METRICS_") or name.lower().endswith("_proxy"):
			monkeypatch.delenv(name)


@pytest.fixture
def make_site() -> Callable[..., Path]:
	"""`make_site(bench_folder, name, **config)` makes a site and returns its folder."""

	def make(bench_folder: Path, name: str, **config: object) -> Path:
		site = bench_folder / "sites" / name
		site.mkdir(parents=True)
		(site / "site_config.json").write_text(json.dumps({"db_name": "_0123456789abcdef", **config}))
		return site

	return make


@pytest.fixture
def make_bench(make_site: Callable[..., Path]) -> Callable[..., Path]:
	"""`make_bench(folder, *names)` lays out a bench with these sites and returns its folder."""

	def make(folder: Path, *names: str) -> Path:
		(folder / "sites").mkdir(parents=True)
		(folder / "sites" / "apps.txt").write_text("frappe\nprego_metrics\n")
		(folder / "sites" / "common_site_config.json").write_text(json.dumps({"webserver_port": 8000}))
		for name in names:
			make_site(folder, name)
		return folder

	return make


@pytest.fixture
def bench_folder(tmp_path: Path, make_bench: Callable[..., Path]) -> Path:
	"""A bench with three sites, which holds no settings of ours yet."""
	return make_bench(tmp_path / "frappe-bench", *SITE_NAMES)


@pytest.fixture
def settings() -> Callable[..., Path]:
	"""`settings(bench_folder, **values)` writes the prego_metrics section and returns the file."""

	def write(bench_folder: Path, **values: object) -> Path:
		path = bench_folder / "sites" / "common_site_config.json"
		path.write_text(json.dumps({**json.loads(path.read_text()), "prego_metrics": values}, indent=1))
		return path

	return write


@pytest.fixture
def control_plane() -> Iterator[WatchedControlPlane]:
	"""A control plane on loopback that knows node-1; it has `.url`, `.key`, `.store` and `.answers`."""
	with WatchedControlPlane() as control_plane:
		control_plane.store.register_node(NODE_ID, "sg", "10.0.0.1")
		yield control_plane


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
	commands = Commands()
	yield commands
	commands.close()


@pytest.fixture
def run_agent(commands: Commands) -> Callable[..., subprocess.CompletedProcess[str]]:
	"""`run_agent("push", "--bench", path, INTERNAL_API_KEY=…)` runs the command line as a process of its own.

	With `uid`, as that user with the group of the same number and no other. `uid=0` is for what gives up
	root by itself.
	"""

	def run(
		*arguments: object,
		timeout: float = 30,
		cwd: Path | None = None,
		uid: int | None = None,
		**environ: str,
	) -> subprocess.CompletedProcess[str]:
		given, variables = list(map(str, arguments)), {**os.environ, **environ}
		result = commands.run(given, variables, cwd=cwd, uid=uid or 0, timeout=timeout)
		if result:
			return result
		program = ["-m", "prego_metrics.cli"] if uid is None else ["-c", RUN_AS, str(uid)]
		return subprocess.run(
			[sys.executable, *program, *given],
			env=variables,
			cwd=cwd,
			capture_output=True,
			text=True,
			timeout=timeout,
			stdin=subprocess.DEVNULL,
		)

	return run


@pytest.fixture
def shared_folder() -> Iterator[Path]:
	"""A temporary folder that other users can look into, which pytest's own does not let them."""
	folder = Path(tempfile.mkdtemp(prefix="prego-metrics-"))
	folder.chmod(0o755)
	try:
		yield folder
	finally:
		shutil.rmtree(folder)


@pytest.fixture
def as_user() -> Callable[..., Any]:
	"""`as_user(uid, function)` returns what `function` returns, as JSON, in a child process of that user.

	An exception comes out as an AssertionError with its name and text. Skips where this is not root.
	"""
	if os.geteuid() != 0:
		pytest.skip("only root can become another user")

	def run(
		uid: int, function: Callable[[], object], *, gid: int | None = None, groups: Sequence[int] = ()
	) -> Any:
		reading, writing = os.pipe()
		with warnings.catch_warnings():
			# Python 3.12 warns of a fork beside threads; the child takes none of their locks.
			warnings.simplefilter("ignore", DeprecationWarning)
			child = os.fork()
		if child == 0:
			_answer_as(uid, uid if gid is None else gid, groups, function, writing)
		os.close(writing)
		with open(reading) as pipe:
			answer = json.loads(pipe.read())
		os.waitpid(child, 0)
		if "raised" in answer:
			raise AssertionError(f"{answer['raised']}: {answer['text']}")
		return answer["returned"]

	return run


def _answer_as(
	uid: int, gid: int, groups: Sequence[int], function: Callable[[], object], writing: int
) -> NoReturn:
	"""Become a user for good, call, write down what came of it, and end the process."""
	try:
		os.setgroups(list(groups))
		os.setresgid(gid, gid, gid)
		os.setresuid(uid, uid, uid)
		answer: dict[str, object] = {"returned": function()}
	except BaseException as error:  # noqa: BLE001 the parent judges it
		answer = {"raised": type(error).__name__, "text": str(error)}
	try:
		with open(writing, "w") as pipe:
			json.dump(answer, pipe)
	finally:
		os._exit(0)
