"""The systemd units: what they say, and what systemd itself thinks of them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from codes import codes_in

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.setup.systemd_units import (
	Units,
	quoted,
	refuse_unfit_key_file,
	refuse_untrusted,
)
from prego_metrics.cli.commands.systemd import systemd

ROOT = Path(__file__).parents[3]
BENCH = "/home/frappe/frappe-bench"
PLAIN = Units(BENCH, BENCH + "/sites", "frappe", "frappe", BENCH + "/env/bin/prego-metrics")
HARDENED = Units(
	BENCH,
	BENCH + "/sites",
	"frappe",
	"frappe",
	"/opt/prego_metrics/bin/prego-metrics",
	hardened={
		"PREGO_METRICS_NODE_ID": "sg-1",
		"PREGO_METRICS_CONTROL_PLANE_URL": "https://control-plane.example",
	},
)
needs_systemd = pytest.mark.skipif(
	shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of root's can be made by root only")


UNIT_NAMES = [
	"prego-metrics.service",
	"prego-metrics.timer",
	"prego-metrics-change.service",
	"prego-metrics.path",
	"prego-metrics-alerts.service",
]
KEY = "the-key-of-the-control-plane"


@pytest.fixture
def key_file() -> Iterator[Path]:
	"""A key where only root writes, as in /etc; a temporary folder is open to everybody."""
	if os.geteuid() != 0:
		pytest.skip("files of root's can be made by root only")
	folder = Path(tempfile.mkdtemp(prefix="prego-metrics-test-", dir="/var/lib"))
	folder.chmod(0o755)
	path = folder / "internal_api_key"
	path.write_text(KEY + "\n")
	path.chmod(0o640)
	yield path
	shutil.rmtree(folder)


def directives(text: str) -> dict[str, list[str]]:
	"""The directives of a unit; one that stands several times has several values."""
	found: dict[str, list[str]] = {}
	for line in text.splitlines():
		if line and line[0] not in "#[":
			name, value = line.split("=", 1)
			found.setdefault(name, []).append(value)
	return found


def test_the_wheel_holds_the_templates() -> None:
	(line,) = re.findall(r"^prego_metrics = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
	patterns = re.findall(r'"([^"]+)"', line)
	held = {path for pattern in patterns for path in (ROOT / "prego_metrics").glob(pattern)}
	assert {path for path in (ROOT / "prego_metrics/agent/setup/units").iterdir()} <= held


@needs_systemd
@pytest.mark.parametrize("units", [PLAIN, HARDENED], ids=["plain", "hardened"])
def test_systemd_finds_nothing_wrong_with_them(units: Units, tmp_path: Path) -> None:
	for name, text in units.render().items():
		# The programs are on the node, not here.
		text = text.replace(units.program, "/bin/true")
		(tmp_path / name).write_text(re.sub("^(User|Group)=.*", r"\1=root", text, flags=re.MULTILINE))
	files = [str(path) for path in sorted(tmp_path.iterdir())]
	done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, timeout=60)
	ours = [line for line in done.stderr.splitlines() if "prego-metrics" in line]
	assert (done.returncode, ours) == (0, [])


@needs_systemd
@pytest.mark.parametrize("units", [PLAIN, HARDENED], ids=["plain", "hardened"])
@pytest.mark.parametrize("name", ["prego-metrics.service", "prego-metrics-change.service"])
def test_the_exposure_of_the_service_is_1_5_or_better(units: Units, name: str, tmp_path: Path) -> None:
	(tmp_path / name).write_text(units.render()[name])
	done = subprocess.run(
		["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", tmp_path / name],
		capture_output=True,
		text=True,
		timeout=60,
	)
	assert done.returncode == 0, done.stdout[-300:] + done.stderr
	exposure = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
	assert exposure and float(exposure[1]) <= 1.5


@pytest.mark.parametrize("units", [PLAIN, HARDENED], ids=["plain", "hardened"])
def test_a_sandbox_that_would_blind_the_push_is_left_out_with_a_reason(units: Units) -> None:
	text = units.render()["prego-metrics.service"]
	expected = directives(text)
	assert expected["ProtectHome"] == ["read-only"]
	assert (
		"ProcSubset" not in expected and "IPAddressDeny" not in expected and "PrivateNetwork" not in expected
	)
	for left_out in ("ProtectHome=yes", "ProcSubset=pid", "PrivateNetwork=yes", "RootDirectory="):
		assert re.search(rf"^# - .*{left_out}.*:", text, re.MULTILINE), left_out


def test_the_unit_may_write_the_state_alone_and_its_owner_makes_it_first() -> None:
	names = ("prego-metrics.service", "prego-metrics-change.service")
	for (units, mode), name in itertools.product(((PLAIN, "0700"), (HARDENED, "2770")), names):
		expected = directives(units.render()[name])
		assert expected["ProtectSystem"] == ["strict"]
		assert expected["ReadWritePaths"] == [f"-{BENCH}/sites/.prego-metrics"]
		made = expected["ExecStartPre"][-1]
		assert (
			made.startswith("+/usr/bin/setpriv --reuid=frappe --regid=frappe --init-groups") and mode in made
		)


def test_the_units_may_write_the_metrics_file_where_there_is_one() -> None:
	for units in (PLAIN, HARDENED):
		units = replace(units, metrics_textfile="/var/lib/prego_metrics/node.prom")
		for name in ("prego-metrics.service", "prego-metrics-change.service"):
			paths = directives(units.render()[name])["ReadWritePaths"]
			assert paths == [f"-{BENCH}/sites/.prego-metrics -/var/lib/prego_metrics"]
	with pytest.raises(PregoMetricsError) as refused:
		replace(PLAIN, metrics_textfile="/var/lib/two words/node.prom").render()
	assert refused.value.code == "units_impossible"


def test_the_timer_ticks_each_minute_at_a_second_of_its_own() -> None:
	expected = directives(PLAIN.render()["prego-metrics.timer"])
	assert expected["OnCalendar"] == ["*-*-* *:*:00"]
	assert (expected["FixedRandomDelay"], expected["AccuracySec"]) == (["yes"], ["1s"])
	assert directives(PLAIN.render()["prego-metrics.service"])["Environment"] == ["PREGO_METRICS_SPREAD=0"]


def test_what_changes_in_sites_starts_a_push_of_its_own_that_no_limit_ends() -> None:
	units = PLAIN.render()
	path, service = directives(units["prego-metrics.path"]), directives(units["prego-metrics-change.service"])
	assert path["PathChanged"] == [BENCH + "/sites"]
	assert path["Unit"] == ["prego-metrics-change.service"]
	assert (path["TriggerLimitIntervalSec"], service["StartLimitIntervalSec"]) == (["0"], ["0"])
	# What limits its rate: it waits before anything else, and longer for a push.
	assert service["ExecStartPre"][0] == "/bin/sleep 3"
	assert service["ExecStart"] == [f"{PLAIN.program} push --on-change --bench {BENCH}"]
	assert not {"OnFailure", "OnSuccess"} & service.keys()


@pytest.mark.parametrize("units", [PLAIN, HARDENED], ids=["plain", "hardened"])
def test_the_service_of_a_change_has_the_sandbox_and_the_key_of_the_other(units: Units) -> None:
	rendered = units.render()
	regular, change = (
		directives(rendered[name]) for name in ("prego-metrics.service", "prego-metrics-change.service")
	)
	differing = {name for name in regular.keys() | change.keys() if regular.get(name) != change.get(name)}
	assert differing == {
		"Description",
		"OnFailure",
		"OnSuccess",
		"StartLimitIntervalSec",
		"ExecStartPre",
		"ExecStart",
	}


def test_every_bench_that_counts_is_watched_and_must_have_a_name_fit_for_a_unit() -> None:
	both = (BENCH + "/sites", "/srv/second/sites")
	path = directives(replace(PLAIN, watched=both).render()["prego-metrics.path"])
	assert path["PathChanged"] == list(both)
	with pytest.raises(PregoMetricsError, match="cannot be named in a unit"):
		replace(PLAIN, watched=("/srv/a b/sites",)).render()


def test_the_hardened_service_changes_no_mode_in_sites_that_is_right(tmp_path: Path) -> None:
	"""The path unit would see that, and start the service again, and so on."""
	units = replace(HARDENED, sites=str(tmp_path))
	made = directives(units.render()["prego-metrics.service"])["ExecStartPre"][-1]
	command = made[made.index("/bin/sh") :].replace(" -user frappe", "")
	state = tmp_path / ".prego-metrics"
	state.mkdir(mode=0o700)
	subprocess.run(["sh", "-c", command], check=True)
	before = state.stat()
	assert stat.S_IMODE(before.st_mode) == 0o2770
	time.sleep(0.02)
	subprocess.run(["sh", "-c", command], check=True)
	assert state.stat().st_ctime_ns == before.st_ctime_ns


def test_in_the_hardened_mode_the_unit_alone_says_where_the_key_goes() -> None:
	expected = directives(HARDENED.render()["prego-metrics.service"])
	assert (expected["User"], expected["Group"]) == (["prego-metrics"], ["frappe"])
	assert expected["Environment"] == [
		"PREGO_METRICS_SPREAD=0",
		'"PREGO_METRICS_HARDENED=1"',
		'"PREGO_METRICS_NODE_ID=sg-1"',
		'"PREGO_METRICS_CONTROL_PLANE_URL=https://control-plane.example"',
	]
	assert expected["LoadCredential"] == ["internal_api_key:/etc/prego_metrics/internal_api_key"]


def test_a_node_id_is_one_word_of_the_unit_whatever_it_holds() -> None:
	assert quoted('A=50% "x" \\') == '"A=50%% \\"x\\" \\\\"'
	with pytest.raises(PregoMetricsError, match="unprintable characters"):
		quoted("A=1\nExecStart=/bin/sh")


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a\nExecStart=x", "/srv/%h", "/srv/$x", "relative"])
def test_a_bench_that_a_unit_could_read_as_something_else_is_refused(path: str) -> None:
	with pytest.raises(PregoMetricsError, match="cannot be named in a unit"):
		Units(path, path + "/sites", "frappe", "frappe", "/opt/x").render()


@pytest.mark.parametrize(
	"instance", ["", "alerts", "a-alerts", "change", "a-change", "A", "a/b", "-a", "a" * 33]
)
def test_an_instance_that_would_clash_or_escape_is_refused(instance: str) -> None:
	with pytest.raises(PregoMetricsError, match="instance"):
		Units(BENCH, BENCH + "/sites", "frappe", "frappe", "/opt/x", instance=instance).render()


def test_an_instance_names_each_unit_and_each_reference() -> None:
	units = Units(BENCH, BENCH + "/sites", "frappe", "frappe", "/opt/x", instance="staging").render()
	assert sorted(units) == [
		"prego-metrics-staging-alerts.service",
		"prego-metrics-staging-change.service",
		"prego-metrics-staging.path",
		"prego-metrics-staging.service",
		"prego-metrics-staging.timer",
	]
	assert directives(units["prego-metrics-staging.service"])["OnFailure"] == [
		"prego-metrics-staging-alerts.service"
	]
	assert directives(units["prego-metrics-staging.path"])["Unit"] == ["prego-metrics-staging-change.service"]


# --- the command -----------------------------------------------------------------------------------


def test_the_command_writes_the_units_and_says_how_to_enable_them(
	run_agent: Callable[..., subprocess.CompletedProcess[str]],
	bench_folder: Path,
	tmp_path: Path,
	key_file: Path,
) -> None:
	output = tmp_path / "units"
	done = run_agent("systemd", "--bench", bench_folder, "--output", output, "--key-file", key_file)
	assert (done.returncode, done.stderr) == (0, "")
	commands = [line for line in done.stdout.splitlines() if line.startswith("  ")]
	assert len(commands) == 2
	assert commands[0].startswith("  sudo install -m 644 -t /etc/systemd/system ")
	assert commands[1] == "  sudo systemctl enable --now prego-metrics.timer prego-metrics.path"
	for name in UNIT_NAMES:
		assert stat.S_IMODE((output / name).stat().st_mode) == 0o644
	assert f"push --if-due --bench {bench_folder}\n" in (output / "prego-metrics.service").read_text()


def test_the_command_watches_the_benches_that_the_settings_count(
	run_agent: Callable[..., subprocess.CompletedProcess[str]],
	bench_folder: Path,
	tmp_path: Path,
	make_bench: Callable[..., Path],
	settings: Callable[..., Path],
	key_file: Path,
) -> None:
	for name in ("b1", "b2"):
		make_bench(tmp_path / name, "a.example")
	settings(bench_folder, benches=[str(bench_folder), f"{tmp_path}/b*"])
	done = run_agent("systemd", "--bench", bench_folder, "--key-file", key_file)
	watched = re.findall("^PathChanged=(.*)$", done.stdout, re.MULTILINE)
	assert watched == [f"{bench}/sites" for bench in (bench_folder, tmp_path / "b1", tmp_path / "b2")]
	shutil.rmtree(tmp_path / "b1")
	shutil.rmtree(tmp_path / "b2")
	done = run_agent("systemd", "--bench", bench_folder, "--key-file", key_file)
	assert done.returncode == 2 and "b*" in done.stderr


def test_the_units_may_write_the_metrics_file_of_the_settings_that_their_mode_believes(
	run_agent: Callable[..., subprocess.CompletedProcess[str]],
	bench_folder: Path,
	settings: Callable[..., Path],
	key_file: Path,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	settings(bench_folder, metrics_textfile="/var/lib/of-the-bench/node.prom")
	state = f"-{bench_folder}/sites/.prego-metrics"
	plain = directives(run_agent("systemd", "--bench", bench_folder, "--key-file", key_file).stdout)
	assert plain["ReadWritePaths"] == [f"{state} -/var/lib/of-the-bench"] * 2

	monkeypatch.setattr("prego_metrics.cli.commands.systemd.refuse_untrusted", lambda *_: None)
	hardened = ["--bench", str(bench_folder), "--key-file", str(key_file), "--hardened", "--node-id", "sg-1"]
	hardened += ["--control-plane-url", "https://control-plane.example"]
	for options, paths in (([], ""), (["--metrics-textfile", "/var/lib/unit/n.prom"], " -/var/lib/unit")):
		written = CliRunner().invoke(systemd, [*hardened, *options, "--output", str(tmp_path / "units")])
		assert written.exit_code == 0, written.output
		unit = directives((tmp_path / "units/prego-metrics.service").read_text())
		assert unit["ReadWritePaths"] == [state + paths]
		given = '"PREGO_METRICS_METRICS_TEXTFILE=/var/lib/unit/n.prom"'
		assert (given in unit["Environment"]) is bool(options)
	refused = run_agent("systemd", "--bench", bench_folder, "--metrics-textfile", "/var/lib/unit/n.prom")
	assert refused.returncode == 2 and "--hardened" in refused.stderr


def test_without_a_folder_the_units_are_printed_and_nothing_is_written(
	run_agent: Callable[..., subprocess.CompletedProcess[str]], bench_folder: Path, key_file: Path
) -> None:
	before = sorted(bench_folder.rglob("*"))
	done = run_agent("systemd", "--bench", bench_folder, "--key-file", key_file)
	assert done.returncode == 0
	assert re.findall("^# ==== (.*)$", done.stdout, re.MULTILINE) == UNIT_NAMES
	assert "systemctl enable --now prego-metrics.timer" in done.stderr
	assert sorted(bench_folder.rglob("*")) == before


def test_the_hardened_mode_asks_for_what_the_bench_may_not_say(
	run_agent: Callable[..., subprocess.CompletedProcess[str]], bench_folder: Path
) -> None:
	done = run_agent(
		"systemd", "--bench", bench_folder, "--hardened", "--control-plane-url", "http://far.example"
	)
	assert done.returncode == 2
	assert (
		"only --node-id sets it" in done.stderr
		and 'control_plane_url = "http://far.example" (--control-plane-url)' in done.stderr
	)


@needs_root
def test_the_hardened_mode_refuses_a_program_that_others_could_replace(
	run_agent: Callable[..., subprocess.CompletedProcess[str]], bench_folder: Path, tmp_path: Path
) -> None:
	theirs = tmp_path / "theirs"
	theirs.mkdir()
	os.chown(theirs, 4711, 4711)
	with pytest.raises(PregoMetricsError, match=r"theirs can be written by others"):
		refuse_untrusted(str(theirs / "bin/prego-metrics"), "in the hardened mode")
	elsewhere = tmp_path / "elsewhere"
	elsewhere.mkdir()
	(elsewhere / "link").symlink_to("/etc/hostname")
	os.chown(elsewhere, 4711, 4711)
	done = run_agent("systemd", "--bench", bench_folder, "--key-file", elsewhere / "link")
	assert done.returncode == 2
	assert "is not root's alone" in done.stderr


@needs_root
def test_a_program_of_roots_is_trusted() -> None:
	refuse_untrusted("/usr/bin/env", "in the hardened mode")
	refuse_untrusted("/etc/not/there/yet", "the key file")


@pytest.mark.parametrize(
	("content", "mode", "codes"),
	[
		(None, 0, ["key_unreadable", "key_file_absent"]),
		(KEY, 0o644, ["key_unreadable", "key_file_open"]),
		("", 0o640, ["key_invalid", "key_empty"]),
		("a key", 0o600, ["key_invalid", "key_unprintable"]),
		(KEY * 999, 0o600, ["key_unreadable", "file_too_large"]),
	],
)
def test_a_key_file_that_gives_no_key_is_refused_and_nothing_is_written(
	run_agent: Callable[..., subprocess.CompletedProcess[str]],
	bench_folder: Path,
	tmp_path: Path,
	key_file: Path,
	content: str | None,
	mode: int,
	codes: list[str],
) -> None:
	key_file.unlink()
	if content is not None:
		key_file.write_text(content)
		key_file.chmod(mode)
	with pytest.raises(PregoMetricsError) as raised:
		refuse_unfit_key_file(str(key_file), "frappe")
	assert codes_in(raised.value.message) == codes
	output = tmp_path / "units"
	done = run_agent("systemd", "--bench", bench_folder, "--output", output, "--key-file", key_file)
	assert (done.returncode, output.exists()) == (2, False)
	assert str(raised.value).split(" -g ")[0] in done.stderr and KEY not in done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o440, 0o400])
def test_a_key_of_roots_is_accepted(key_file: Path, mode: int) -> None:
	key_file.chmod(mode)
	refuse_unfit_key_file(str(key_file), "frappe")


def test_a_key_that_only_root_can_look_at_is_left_to_root(
	key_file: Path, as_user: Callable[..., object]
) -> None:
	key_file.chmod(0o600)
	as_user(54321, lambda: refuse_unfit_key_file(str(key_file), "frappe"))
