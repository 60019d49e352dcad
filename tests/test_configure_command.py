"""`configure` as a command: its options, what it asks for on a terminal, and what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminals import on_a_terminal

from prego_metrics.agent.settings import SETTINGS

Run = Callable[..., "subprocess.CompletedProcess[str]"]

URL = "https://control-plane.example"
GOOD = ["--node-id", "sg-1", "--control-plane-url", URL]
SOURCE = "common_site_config.json"


def common_file(bench_folder: Path) -> Path:
	return bench_folder / "sites" / SOURCE


def written(bench_folder: Path) -> dict[str, Any]:
	return dict(json.loads(common_file(bench_folder).read_text()).get("prego_metrics", {}))


def rows(table: str) -> dict[str, tuple[str, str]]:
	"""Take a table of settings apart: value and source by name. Cells are two or more spaces apart."""
	found = {}
	for line in table.splitlines():
		name, *cells = re.split(r" {2,}", line.rstrip())
		if cells:
			found[name] = (cells[0] if len(cells) > 1 else "", cells[-1])
	return found


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
	path = tmp_path / "internal_api_key"
	path.write_text("a-key-of-secrets-987654321\n")
	path.chmod(0o600)
	return path


# --- options -----------------------------------------------------------------------------------------


def test_settings_given_as_options_are_written_and_shown(
	run_agent: Run, bench_folder: Path, key_file: Path
) -> None:
	ended = run_agent("configure", *GOOD, "--api-key-file", key_file, "--bench", bench_folder, COLUMNS="400")
	assert (ended.returncode, ended.stderr) == (0, "")
	assert written(bench_folder) == {
		"node_id": "sg-1",
		"control_plane_url": URL,
		"api_key_file": str(key_file),
	}
	shown = rows(ended.stdout)
	assert shown["node_id"] == ("sg-1", SOURCE)
	assert shown["control_plane_url"] == (URL, SOURCE)
	assert shown["push_interval"] == ("60", "default")
	assert shown["the key"] == ("set", f"api_key_file {key_file}")


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
	ended = run_agent("configure", *GOOD, *flags, "--bench", bench_folder)
	assert (ended.returncode, ended.stderr) == (0, "")
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
	ended = run_agent("configure", *options, "--benches", ".", "--bench", bench_folder)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert written(bench_folder)["exclude_sites"] == ["pool-*", "한국.example"]
	assert written(bench_folder)["disk_paths"] == ["/"]
	assert written(bench_folder)["benches"] == ["."]
	assert rows(ended.stdout)["exclude_sites"] == ('["pool-*", "한국.example"]', SOURCE)


def test_a_name_that_is_no_unicode_can_be_excluded(
	run_agent: Run, bench_folder: Path, make_site: Callable[..., Path]
) -> None:
	make_site(bench_folder, os.fsdecode(b"bytes\xff.example"))
	ended = run_agent("configure", "--exclude-sites", os.fsdecode(b"bytes\xff.*"), "--bench", bench_folder)
	assert "bytes\\xff.*" in ended.stdout
	census = json.loads(run_agent("tenants", "--json", "--bench", bench_folder).stdout)
	assert census["tenant_count"] == 3


def test_unset_removes_a_setting_and_a_misspelt_one(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, push_interval=120, push_intervall=30)
	refused = run_agent("configure", "--push-interval", 90, "--bench", bench_folder)
	assert refused.returncode == 2 and "push_intervall" in refused.stderr
	ended = run_agent(
		"configure", "--unset", "push_intervall", "--unset", "push_interval", "--bench", bench_folder
	)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	unknown = run_agent("configure", "--unset", "intervals", "--bench", bench_folder)
	assert unknown.returncode == 2 and "intervals" in unknown.stderr
	assert run_agent("configure", "--unset", "node-id", "--bench", bench_folder).returncode == 0
	assert written(bench_folder) == {"control_plane_url": URL}


def test_a_wrong_value_is_said_to_come_from_the_command_line(run_agent: Run, bench_folder: Path) -> None:
	ended = run_agent("configure", "--push-interval", "soon", "--bench", bench_folder)
	assert ended.returncode == 2 and "(the command line)" in ended.stderr
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
	ended = run_agent("configure", *GOOD, *options, "--bench", bench_folder)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert ended.stderr.startswith(f"Error: {words}")
	assert "987654" not in ended.stderr
	assert common_file(bench_folder).read_bytes() == before
	assert sorted(path.name for path in (bench_folder / "sites").iterdir()) == [
		"acme.example",
		"apps.txt",
		"brightfoods.example",
		"cedar.example",
		SOURCE,
	]


def test_all_wrong_values_are_told_in_one_go(run_agent: Run, bench_folder: Path) -> None:
	ended = run_agent(
		"configure", "--node-id", "..", "--timeout", "0", "--spread", "x", "--bench", bench_folder
	)
	assert ended.returncode == 2
	for name in ("node_id", "timeout", "spread"):
		assert re.search(rf"^(Error: )?{name} = ", ended.stderr, re.MULTILINE)


def test_a_file_that_is_no_json_is_refused_and_left_alone(run_agent: Run, bench_folder: Path) -> None:
	common_file(bench_folder).write_text("{half")
	ended = run_agent("configure", *GOOD, "--bench", bench_folder)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert "is not valid JSON" in ended.stderr
	assert common_file(bench_folder).read_text() == "{half"


# --- the key and the heartbeat -----------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--api-key", "--api_key", "--internal-api-key", "--key"])
@pytest.mark.parametrize("joined", [True, False])
def test_the_key_is_no_option_and_is_not_repeated(
	run_agent: Run, bench_folder: Path, option: str, joined: bool
) -> None:
	given = [f"{option}=secret-987654321"] if joined else [option, "secret-987654321"]
	ended = run_agent("configure", *GOOD, *given, "--bench", bench_folder)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert "No such option" in ended.stderr
	assert "987654321" not in ended.stderr
	assert written(bench_folder) == {}


def test_a_key_written_into_the_file_is_refused_and_not_shown(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, api_key="secret-987654321")
	for options in (GOOD, ["--show"], ["--show", "--json"]):
		ended = run_agent("configure", *options, "--bench", bench_folder)
		assert ended.returncode == 2
		assert "the key does not belong there" in " ".join((ended.stdout + ended.stderr).split())
		assert "987654321" not in ended.stdout + ended.stderr
	ended = run_agent("configure", *GOOD, "--unset", "api_key", "--bench", bench_folder)
	assert (ended.returncode, written(bench_folder)) == (0, {"node_id": "sg-1", "control_plane_url": URL})


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_key_itself_is_never_shown(
	run_agent: Run, bench_folder: Path, key_file: Path, settings: Callable[..., Path], option: list[str]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, api_key_file=str(key_file))
	for environ in ({}, {"INTERNAL_API_KEY": "another-key-987654321"}):
		ended = run_agent("configure", "--show", *option, "--bench", bench_folder, **environ)
		assert ended.returncode == 0
		assert "987654321" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_heartbeat_is_shown_without_its_path(
	run_agent: Run, bench_folder: Path, option: list[str]
) -> None:
	url = "https://hc.example:8443/ping/secret-987654321?also=987654321"
	ended = run_agent("configure", *GOOD, "--heartbeat-url", url, *option, "--bench", bench_folder)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert written(bench_folder)["heartbeat_url"] == url
	assert "987654321" not in ended.stdout
	shown = "https://hc.example:8443/…"
	assert (shown if not option else json.dumps(shown)) in ended.stdout


# --- show --------------------------------------------------------------------------------------------


def test_show_says_where_each_value_comes_from(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL)
	before = common_file(bench_folder).read_bytes()
	ended = run_agent(
		"configure",
		"--show",
		"--bench",
		bench_folder,
		PREGO_METRICS_PUSH_INTERVAL="90",
		PREGO_METRICS_NODE_ID="sg-2",
		INTERNAL_API_KEY="k",
	)
	assert (ended.returncode, ended.stderr) == (0, "")
	shown = rows(ended.stdout)
	assert shown["node_id"] == ("sg-2", "PREGO_METRICS_NODE_ID")
	assert shown["control_plane_url"] == (URL, SOURCE)
	assert shown["push_interval"] == ("90", "PREGO_METRICS_PUSH_INTERVAL")
	assert shown["timeout"] == ("10", "default")
	assert shown["the key"] == ("set", "INTERNAL_API_KEY")
	assert common_file(bench_folder).read_bytes() == before


def test_json_shows_values_with_sources_and_of_the_key_the_source_alone(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL, push_interval=30)
	ended = run_agent("configure", "--show", "--json", "--bench", bench_folder, INTERNAL_API_KEY="k")
	shown = json.loads(ended.stdout)
	assert list(shown) == ["settings", "api_key", "problems", "warnings"]
	assert list(shown["settings"]) == [setting.name for setting in SETTINGS]
	assert shown["settings"]["node_id"] == {"value": "sg-1", "source": str(common_file(bench_folder))}
	assert shown["settings"]["allow_empty"] == {"value": False, "source": "default"}
	assert shown["settings"]["exclude_sites"] == {"value": [], "source": "default"}
	assert shown["settings"]["benches"]["value"] == [str(bench_folder / "sites")]
	assert (shown["api_key"], shown["problems"]) == ("INTERNAL_API_KEY", [])
	assert "outside the runbook's 60 to 300 seconds" in shown["warnings"][0]


def test_show_of_wrong_settings_names_every_problem_and_exits_2(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="..", timeout=0)
	ended = run_agent("configure", "--show", "--bench", bench_folder)
	assert ended.returncode == 2
	for words in ("Error: node_id = ", "Error: control_plane_url is not set", "Error: timeout = "):
		assert words in ended.stdout
	shown = json.loads(run_agent("configure", "--show", "--json", "--bench", bench_folder).stdout)
	assert len(shown["problems"]) == 3
	assert shown["api_key"] is None


def test_show_writes_nothing_even_beside_a_setting(run_agent: Run, bench_folder: Path) -> None:
	for options in (GOOD, ["--unset", "node_id"]):
		ended = run_agent("configure", "--show", *options, "--bench", bench_folder)
		assert (ended.returncode, ended.stdout) == (2, "")
		assert "--show changes nothing" in ended.stderr
	assert written(bench_folder) == {}


def test_the_table_fits_80_columns(run_agent: Run, bench_folder: Path) -> None:
	ended = run_agent("configure", "--show", "--bench", bench_folder)
	assert max(map(len, ended.stdout.splitlines())) <= 80


# --- on a terminal -----------------------------------------------------------------------------------


def test_what_is_required_and_missing_is_asked_for_on_a_terminal(bench_folder: Path) -> None:
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=f"sg-1\n{URL}\n\n", NO_COLOR="1", INTERNAL_API_KEY="k"
	)
	assert seen.code == 0
	assert "node_id (this node, exactly nodes.node_id): " in seen.screen
	assert "control_plane_url (base URL of the control plane, https://…): " in seen.screen
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	assert "INSERT INTO nodes (node_id, region, host) VALUES ('sg-1', REGION, HOST);" in seen.screen


def test_only_what_is_missing_is_asked_for(bench_folder: Path, settings: Callable[..., Path]) -> None:
	settings(bench_folder, node_id="sg-1")
	seen = on_a_terminal("configure", "--bench", bench_folder, typed=f"{URL}\n\n", INTERNAL_API_KEY="k")
	assert "exactly nodes.node_id" not in seen.screen
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	again = on_a_terminal("configure", "--bench", bench_folder, INTERNAL_API_KEY="k")
	assert "base URL" not in again.screen and "site (" not in again.screen


def test_questions_do_not_end_up_among_the_results(bench_folder: Path) -> None:
	seen = on_a_terminal(
		"configure",
		"--json",
		"--bench",
		bench_folder,
		typed=f"sg-1\n{URL}\n\n",
		stdout_elsewhere=True,
		INTERNAL_API_KEY="k",
	)
	assert seen.code == 0
	assert json.loads(seen.stdout)["settings"]["node_id"]["value"] == "sg-1"
	assert "node_id (" in seen.screen


def test_a_wrong_answer_is_asked_for_again(bench_folder: Path) -> None:
	typed = f"..\nsg-1\nhttp://far.example\n{URL}\nno/site\nacme.example\nn\n"
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=typed, INTERNAL_API_KEY="k", COLUMNS="300"
	)
	assert seen.code == 0
	for words in ("and not be . or ..", "must begin with https://", "must be the name of a site"):
		assert f"Error: {words}" in seen.screen or words in seen.screen
	assert written(bench_folder) == {
		"node_id": "sg-1",
		"control_plane_url": URL,
		"site": "acme.example",
		"exclude_sites": ["acme.example"],
	}


def test_the_key_is_asked_for_hidden_and_put_into_a_file_of_its_own(
	bench_folder: Path, tmp_path: Path
) -> None:
	path = tmp_path / "secrets" / "internal_api_key"
	seen = on_a_terminal(
		"configure",
		"--bench",
		bench_folder,
		typed=f"sg-1\n{URL}\n\n{path}\n",
		typed_later=(4, "typed-key-987654321\n"),
	)
	assert seen.code == 0
	assert "987654321" not in seen.screen
	assert path.read_text() == "typed-key-987654321\n"
	assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
	assert written(bench_folder)["api_key_file"] == str(path)


def test_ctrl_d_at_a_question_writes_nothing(bench_folder: Path) -> None:
	seen = on_a_terminal("configure", "--bench", bench_folder, typed="sg-1\n\x04")
	assert seen.code == 1
	assert "Traceback" not in seen.screen
	assert written(bench_folder) == {}


def test_show_asks_nothing_on_a_terminal(bench_folder: Path) -> None:
	seen = on_a_terminal("configure", "--show", "--bench", bench_folder)
	assert seen.code == 2
	assert "nodes.node_id" not in seen.screen


def test_without_a_terminal_nothing_is_asked_and_what_is_missing_is_named(
	run_agent: Run, bench_folder: Path
) -> None:
	ended = run_agent("configure", "--bench", bench_folder)
	assert ended.returncode == 2
	assert "Error: node_id is not set" in ended.stdout + ended.stderr
	assert written(bench_folder) == {}


def test_a_bench_found_from_the_working_directory_is_configured(bench_folder: Path, run_agent: Run) -> None:
	assert run_agent("configure", *GOOD, cwd=bench_folder / "sites" / "acme.example").returncode == 0
	assert written(bench_folder)["node_id"] == "sg-1"
