"""`configure` with options: what is written and what is refused; the key is none of them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from configured_files import GOOD, SOURCE, URL, Run, common_file, rows, written

from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.cli.commands import configure

# --- options -----------------------------------------------------------------------------------------


def test_a_change_is_answered_in_three_lines_and_show_has_the_table(
	run_agent: Run, bench_folder: Path, key_file: Path
) -> None:
	result = run_agent("configure", *GOOD, "--api-key-file", key_file, "--bench", bench_folder, COLUMNS="400")
	assert (result.returncode, result.stderr) == (0, "")
	assert written(bench_folder) == {
		"node_id": "sg-1",
		"control_plane_url": URL,
		"api_key_file": str(key_file),
	}
	wrote, register, following = result.stdout.splitlines()
	assert wrote.startswith("Wrote node_id, control_plane_url, api_key_file. ")
	assert "INSERT INTO nodes" in register and "sg-1" in register
	assert following == "Next: prego-metrics push; then prego-metrics doctor"
	shown = rows(run_agent("configure", "--show", "--bench", bench_folder, COLUMNS="400").stdout)
	assert shown["node_id"] == ("sg-1", SOURCE)
	assert shown["control_plane_url"] == (URL, SOURCE)
	assert shown["push_interval"] == ("60", "default")
	assert shown["the key"] == ("set", f"api_key_file {key_file}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root is asked to name the bench")
def test_with_sudo_the_next_commands_name_the_bench(run_agent: Run, bench_folder: Path) -> None:
	result = run_agent(
		"configure", *GOOD, "--bench", bench_folder, SUDO_UID="1000", INTERNAL_API_KEY="k" * 20
	)
	assert result.stdout.splitlines()[-1] == (
		f"Next: sudo prego-metrics push --bench {bench_folder}; then sudo prego-metrics doctor --bench {bench_folder}"
	)


def test_a_program_that_sudo_does_not_find_is_named_by_its_path(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	program = tmp_path / "prego-metrics"
	program.touch(0o755)
	monkeypatch.setenv("PATH", "/usr/bin:/bin")
	monkeypatch.setattr(sys, "argv", [str(program)])
	assert configure._program_for_sudo() == str(program)
	monkeypatch.setenv("PATH", f"/usr/bin:{tmp_path}")
	assert configure._program_for_sudo() == "prego-metrics"
	monkeypatch.setenv("PATH", "/usr/bin:/bin")
	monkeypatch.setattr(sys, "argv", ["prego-metrics"])
	assert configure._program_for_sudo() == "prego-metrics"


def test_every_setting_has_an_option_and_a_row(run_agent: Run, bench_folder: Path) -> None:
	words = run_agent("configure", "--help").stdout
	shown = rows(run_agent("configure", "--show", "--bench", bench_folder).stdout)
	for setting in SETTINGS:
		assert re.search(rf"^  --{setting.name.replace('_', '-')} ", words, re.MULTILINE)
		assert setting.name in shown


def test_each_kind_of_setting_is_written_as_its_own_kind_of_json(run_agent: Run, bench_folder: Path) -> None:
	options = {
		"--push-interval": "120",
		"--spread": "0",
		"--timeout": "2.5",
		"--alert-after": "5",
		"--allow-empty": "true",
		"--scheduler-pushes": "false",
		"--site": "acme.example",
		"--heartbeat-url-file": "/etc/heartbeat",
	}
	flags = [part for option in options.items() for part in option]
	result = run_agent("configure", *GOOD, *flags, "--bench", bench_folder)
	assert (result.returncode, result.stderr) == (0, "")
	assert written(bench_folder) == {
		"node_id": "sg-1",
		"control_plane_url": URL,
		"push_interval": 120,
		"spread": 0,
		"timeout": 2.5,
		"alert_after": 5,
		"allow_empty": True,
		"scheduler_pushes": False,
		"site": "acme.example",
		"heartbeat_url_file": "/etc/heartbeat",
	}


def test_lists_are_given_by_repeating_their_option_and_replace_the_old_list(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, exclude_sites=["old"])
	options = ["--exclude-sites", "pool-*", "--exclude-sites", "한국.example", "--disk-paths", "/"]
	result = run_agent("configure", *options, "--benches", ".", "--bench", bench_folder)
	assert (result.returncode, result.stderr) == (0, "")
	assert written(bench_folder)["exclude_sites"] == ["pool-*", "한국.example"]
	assert written(bench_folder)["disk_paths"] == ["/"]
	assert written(bench_folder)["benches"] == ["."]
	shown = run_agent("configure", "--show", "--bench", bench_folder).stdout
	assert rows(shown)["exclude_sites"] == ('["pool-*", "한국.example"]', SOURCE)


def test_a_name_that_is_no_unicode_can_be_excluded(
	run_agent: Run, bench_folder: Path, make_site: Callable[..., Path]
) -> None:
	make_site(bench_folder, os.fsdecode(b"bytes\xff.example"))
	result = run_agent("configure", "--exclude-sites", os.fsdecode(b"bytes\xff.*"), "--bench", bench_folder)
	assert result.returncode == 0
	assert "bytes\\xff.*" in run_agent("configure", "--show", "--bench", bench_folder).stdout
	census = json.loads(run_agent("tenants", "--json", "--bench", bench_folder).stdout)
	assert census["tenant_count"] == 3


def test_unset_removes_a_setting_and_a_misspelt_one(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, push_interval=120, push_intervall=30)
	refused = run_agent("configure", "--push-interval", 90, "--bench", bench_folder)
	assert refused.returncode == 2 and "push_intervall" in refused.stderr
	result = run_agent(
		"configure", "--unset", "push_intervall", "--unset", "push_interval", "--bench", bench_folder
	)
	assert (result.returncode, result.stderr) == (0, "")
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	unknown = run_agent("configure", "--unset", "intervals", "--bench", bench_folder)
	assert unknown.returncode == 2 and "intervals" in unknown.stderr
	assert run_agent("configure", "--unset", "node-id", "--bench", bench_folder).returncode == 0
	assert written(bench_folder) == {"control_plane_url": URL}


def test_a_wrong_value_is_said_to_come_from_the_command_line(run_agent: Run, bench_folder: Path) -> None:
	result = run_agent("configure", "--push-interval", "soon", "--bench", bench_folder)
	assert result.returncode == 2 and "(the command line)" in result.stderr
	mistaken = run_agent("configure", "--api-key-file", "the-key-itself-123", "--bench", bench_folder)
	assert mistaken.returncode == 2 and "123" not in mistaken.stderr


def test_everything_else_in_the_file_is_kept(run_agent: Run, bench_folder: Path) -> None:
	common_file(bench_folder).write_text(
		'{"b": [1, {"x": "한국"}], "prego_metrics": {"spread": 0}, "a": null}'
	)
	common_file(bench_folder).chmod(0o640)
	assert run_agent("configure", *GOOD, "--bench", bench_folder).returncode == 0
	after = json.loads(common_file(bench_folder).read_text())
	assert list(after) == ["b", "prego_metrics", "a"]
	assert after["b"] == [1, {"x": "한국"}]
	assert after["prego_metrics"] == {"spread": 0, "node_id": "sg-1", "control_plane_url": URL}
	assert common_file(bench_folder).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
	("options", "words"),
	[
		(["--push-interval", "soon"], "push_interval"),
		(["--push-interval", "0x10"], "push_interval"),
		(["--node-id", ""], "node_id"),
		(["--node-id", "a\nb"], "node_id"),
		(["--control-plane-url", "http://far.example"], "control_plane_url"),
		(["--control-plane-url", "https://user:pw-987654@c.example"], "control_plane_url"),
		(["--exclude-sites", ""], "exclude_sites"),
		(["--allow-empty", "yes"], "allow_empty"),
		(["--disk-paths", "relative"], "disk_paths"),
		(["--heartbeat-url", "ftp://h.example/secret-987654"], "heartbeat_url"),
		(["--api-key-file", "relative"], "api_key_file"),
	],
	ids=lambda value: repr(value) if isinstance(value, list) else None,
)
def test_a_wrong_value_is_refused_with_exit_2_and_nothing_is_written(
	run_agent: Run, bench_folder: Path, options: list[str], words: str
) -> None:
	before = common_file(bench_folder).read_bytes()
	result = run_agent("configure", *GOOD, *options, "--bench", bench_folder)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.startswith(f"Error: {words}")
	assert "987654" not in result.stderr
	assert common_file(bench_folder).read_bytes() == before
	assert sorted(path.name for path in (bench_folder / "sites").iterdir()) == [
		"acme.example",
		"apps.txt",
		"brightfoods.example",
		"cedar.example",
		SOURCE,
	]


def test_all_wrong_values_are_told_in_one_go(run_agent: Run, bench_folder: Path) -> None:
	result = run_agent(
		"configure", "--node-id", "..", "--timeout", "0", "--spread", "x", "--bench", bench_folder
	)
	assert result.returncode == 2
	for name in ("node_id", "timeout", "spread"):
		assert re.search(rf"^(Error: )?{name} = ", result.stderr, re.MULTILINE)


def test_a_file_that_is_no_json_is_refused_and_left_alone(run_agent: Run, bench_folder: Path) -> None:
	common_file(bench_folder).write_text("{half")
	result = run_agent("configure", *GOOD, "--bench", bench_folder)
	assert (result.returncode, result.stdout) == (2, "")
	assert "is not valid JSON" in result.stderr
	assert common_file(bench_folder).read_text() == "{half"


# --- the key and the heartbeat -----------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--api-key", "--api_key", "--internal-api-key", "--key"])
@pytest.mark.parametrize("joined", [True, False])
def test_the_key_is_no_option_and_is_not_repeated(
	run_agent: Run, bench_folder: Path, option: str, joined: bool
) -> None:
	given = [f"{option}=secret-987654321"] if joined else [option, "secret-987654321"]
	result = run_agent("configure", *GOOD, *given, "--bench", bench_folder)
	assert (result.returncode, result.stdout) == (2, "")
	assert "No such option" in result.stderr
	assert "987654321" not in result.stderr
	assert written(bench_folder) == {}


def test_a_key_written_into_the_file_is_refused_and_not_shown(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, api_key="secret-987654321")
	for options in (GOOD, ["--show"], ["--show", "--json"]):
		result = run_agent("configure", *options, "--bench", bench_folder)
		assert result.returncode == 2
		assert "the key does not belong there" in " ".join((result.stdout + result.stderr).split())
		assert "987654321" not in result.stdout + result.stderr
	result = run_agent("configure", *GOOD, "--unset", "api_key", "--bench", bench_folder)
	assert (result.returncode, written(bench_folder)) == (0, {"node_id": "sg-1", "control_plane_url": URL})


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_key_itself_is_never_shown(
	run_agent: Run, bench_folder: Path, key_file: Path, settings: Callable[..., Path], option: list[str]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, api_key_file=str(key_file))
	for environ in ({}, {"INTERNAL_API_KEY": "another-key-987654321"}):
		result = run_agent("configure", "--show", *option, "--bench", bench_folder, **environ)
		assert result.returncode == 0
		assert "987654321" not in result.stdout + result.stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_heartbeat_is_shown_without_its_path(
	run_agent: Run, bench_folder: Path, option: list[str]
) -> None:
	url = "https://hc.example:8443/ping/secret-987654321?also=987654321"
	result = run_agent("configure", *GOOD, "--heartbeat-url", url, *option, "--bench", bench_folder)
	assert (result.returncode, result.stderr) == (0, "")
	assert written(bench_folder)["heartbeat_url"] == url
	later = run_agent("configure", "--show", *option, "--bench", bench_folder)
	assert "987654321" not in result.stdout + later.stdout
	shown = "https://hc.example:8443/…"
	assert (shown if not option else json.dumps(shown)) in later.stdout
