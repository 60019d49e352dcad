"""`configure` shows the settings, and asks for what is missing on a terminal."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from configured_files import GOOD, SOURCE, URL, Run, common_file, rows, written
from examining import tick, with_frappe
from terminals import on_a_terminal

from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS
from prego_metrics.cli.ui import prompts

# --- show --------------------------------------------------------------------------------------------


def test_show_says_where_each_value_comes_from(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=URL)
	before = common_file(bench_folder).read_bytes()
	result = run_agent(
		"configure",
		"--show",
		"--bench",
		bench_folder,
		PREGO_METRICS_PUSH_INTERVAL="90",
		PREGO_METRICS_NODE_ID="sg-2",
		INTERNAL_API_KEY="k",
	)
	assert (result.returncode, result.stderr) == (0, "")
	shown = rows(result.stdout)
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
	result = run_agent("configure", "--show", "--json", "--bench", bench_folder, INTERNAL_API_KEY="k")
	shown = json.loads(result.stdout)
	assert list(shown) == ["settings", "api_key", "problems", "problem_codes", "warnings"]
	assert list(shown["settings"]) == [setting.name for setting in SETTINGS]
	assert shown["settings"]["node_id"] == {"value": "sg-1", "source": str(common_file(bench_folder))}
	assert shown["settings"]["allow_empty"] == {"value": False, "source": "default"}
	assert shown["settings"]["exclude_sites"] == {"value": [], "source": "default"}
	assert shown["settings"]["benches"]["value"] == [str(bench_folder / "sites")]
	assert (shown["api_key"], shown["problems"]) == ("INTERNAL_API_KEY", [])
	assert "outside the recommended 60 to 300 seconds" in shown["warnings"][0]


def test_show_of_wrong_settings_names_every_problem_and_exits_2(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="..", timeout=0)
	result = run_agent("configure", "--show", "--bench", bench_folder)
	assert result.returncode == 2
	for words in ("Error: node_id = ", "Error: control_plane_url is not set", "Error: timeout = "):
		assert words in result.stdout
	shown = json.loads(run_agent("configure", "--show", "--json", "--bench", bench_folder).stdout)
	assert len(shown["problems"]) == 3
	assert shown["problem_codes"] == ["setting_invalid", "setting_invalid", "setting_missing"]
	assert shown["api_key"] is None


def test_show_writes_nothing_even_beside_a_setting(run_agent: Run, bench_folder: Path) -> None:
	for options in (GOOD, ["--unset", "node_id"]):
		result = run_agent("configure", "--show", *options, "--bench", bench_folder)
		assert (result.returncode, result.stdout) == (2, "")
		assert "--show changes nothing" in result.stderr
	assert written(bench_folder) == {}


def test_the_table_fits_80_columns(run_agent: Run, bench_folder: Path) -> None:
	result = run_agent("configure", "--show", "--bench", bench_folder)
	assert max(map(len, result.stdout.splitlines())) <= 80


# --- on a terminal -----------------------------------------------------------------------------------


def test_what_is_required_and_missing_is_asked_for_on_a_terminal(bench_folder: Path) -> None:
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=f"sg-1\n{URL}\n\n\n", NO_COLOR="1", INTERNAL_API_KEY="k"
	)
	assert seen.code == 0
	assert "node_id (this node's ID, equal to nodes.node_id): " in seen.screen
	assert "control_plane_url (base URL of the control plane): " in seen.screen
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	assert "INSERT INTO nodes (node_id, region, host) VALUES ('sg-1', REGION, HOST);" in seen.screen


def test_only_what_is_missing_is_asked_for(bench_folder: Path, settings: Callable[..., Path]) -> None:
	settings(bench_folder, node_id="sg-1")
	seen = on_a_terminal("configure", "--bench", bench_folder, typed=f"{URL}\n\n\n", INTERNAL_API_KEY="k")
	assert "node_id (" not in seen.screen
	assert written(bench_folder) == {"node_id": "sg-1", "control_plane_url": URL}
	again = on_a_terminal("configure", "--bench", bench_folder, INTERNAL_API_KEY="k")
	assert "base URL" not in again.screen and "site (" not in again.screen


@pytest.mark.parametrize(("answer", "expected"), [("", ["pool-*"]), ("n", None)])
def test_pool_sites_are_excluded_unless_it_is_denied(
	bench_folder: Path, make_site: Callable[..., Path], answer: str, expected: list[str] | None
) -> None:
	make_site(bench_folder, "pool-1")
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=f"sg-1\n{URL}\n\n{answer}\n\n", INTERNAL_API_KEY="k"
	)
	assert seen.code == 0
	assert "1 site matches pool-* (pool-1)" in seen.screen
	assert written(bench_folder).get("exclude_sites") == expected


def test_the_answer_about_pool_sites_keeps_what_is_excluded_already(
	bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	for number in range(4):
		make_site(bench_folder, f"pool-{number}")
	settings(bench_folder, exclude_sites=["ops.example"])
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=f"sg-1\n{URL}\n\n\n\n", INTERNAL_API_KEY="k"
	)
	assert seen.code == 0
	assert "4 sites match pool-* (pool-0, pool-1, pool-2 …)" in seen.screen
	assert written(bench_folder)["exclude_sites"] == ["ops.example", "pool-*"]
	again = on_a_terminal("configure", "--bench", bench_folder, INTERNAL_API_KEY="k")
	assert again.code == 0 and "match pool" not in again.screen


@pytest.fixture
def volume() -> Iterator[Path]:
	"""A folder on a file system that holds neither the bench nor the root."""
	memory = Path("/dev/shm")
	if not memory.is_dir() or memory.stat().st_dev == Path("/").stat().st_dev:
		pytest.skip("there is no second file system here")
	folder = Path(tempfile.mkdtemp(dir=memory, prefix="prego-metrics-test-"))
	try:
		yield folder
	finally:
		shutil.rmtree(folder)


@pytest.mark.parametrize(("answer", "is_added"), [("", True), ("y", True), ("n", False)])
def test_the_volume_of_a_site_is_added_to_disk_paths_unless_it_is_denied(
	bench_folder: Path, volume: Path, answer: str, is_added: bool
) -> None:
	(volume / "site_config.json").write_text("{}")
	(bench_folder / "sites" / "far.example").symlink_to(volume)
	seen = on_a_terminal(
		"configure",
		"--bench",
		bench_folder,
		typed=f"sg-1\n{URL}\n\n{answer}\n\n",
		columns=300,
		INTERNAL_API_KEY="k",
	)
	assert seen.code == 0
	assert "/dev/shm" in seen.screen and "which disk_pct does not include. Add them? [Y/n]" in seen.screen
	paths = written(bench_folder).get("disk_paths")
	if is_added:
		assert paths[:2] == [str(bench_folder / "sites"), "/"] and "/dev/shm" in paths[2:]
	else:
		assert paths is None


@pytest.mark.parametrize(
	("answers", "interval", "every", "following"),
	[
		("n\n\ncron\n", 240, None, "* * * * * "),
		("\nsystemd\n", None, 60, "systemd --output"),
		("\nnone\n", None, 60, "restart the bench's processes"),
	],
	ids=["a longer interval and cron", "a faster scheduler and systemd", "a faster scheduler alone"],
)
def test_a_slow_scheduler_and_a_second_trigger_are_asked_about(
	bench_folder: Path, answers: str, interval: int | None, every: int | None, following: str
) -> None:
	with_frappe(bench_folder, "16.4.0")
	seen = on_a_terminal(
		"configure",
		"--bench",
		bench_folder,
		typed=f"sg-1\n{URL}\n\n{answers}",
		columns=300,
		INTERNAL_API_KEY="k",
	)
	assert seen.code == 0
	assert written(bench_folder).get("push_interval") == interval
	assert json.loads(common_file(bench_folder).read_text()).get("scheduler_tick_interval") == every
	(last,) = [line for line in seen.screen.splitlines() if line.startswith("Next: ")]
	assert following in last and last.endswith("doctor")


def test_a_trigger_that_runs_already_is_not_proposed(bench_folder: Path) -> None:
	tick(bench_folder, "timer")
	seen = on_a_terminal("configure", "--bench", bench_folder, typed=f"sg-1\n{URL}\n\n", INTERNAL_API_KEY="k")
	assert seen.code == 0 and "Set up" not in seen.screen


def test_questions_do_not_end_up_among_the_results(bench_folder: Path) -> None:
	seen = on_a_terminal(
		"configure",
		"--json",
		"--bench",
		bench_folder,
		typed=f"sg-1\n{URL}\n\n\n",
		stdout_elsewhere=True,
		INTERNAL_API_KEY="k",
	)
	assert seen.code == 0
	assert json.loads(seen.stdout)["settings"]["node_id"]["value"] == "sg-1"
	assert "node_id (" in seen.screen


def test_a_wrong_answer_is_asked_for_again(bench_folder: Path) -> None:
	typed = f"..\nsg-1\nhttp://far.example\n{URL}\nno/site\nacme.example\nn\n\n"
	seen = on_a_terminal(
		"configure", "--bench", bench_folder, typed=typed, INTERNAL_API_KEY="k", COLUMNS="300"
	)
	assert seen.code == 0
	for name in ("node_id", "control_plane_url", "site"):
		assert f"Error: {name} {SETTING_BY_NAME[name].kind.allowed}" in seen.screen
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
		typed_later=[(4, "typed-key-987654321\n"), (7, "none\n")],
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
	result = run_agent("configure", "--bench", bench_folder)
	assert result.returncode == 2
	assert "Error: node_id is not set" in result.stdout + result.stderr
	assert written(bench_folder) == {}


def test_a_bench_found_from_the_working_directory_is_configured(bench_folder: Path, run_agent: Run) -> None:
	assert run_agent("configure", *GOOD, cwd=bench_folder / "sites" / "acme.example").returncode == 0
	assert written(bench_folder)["node_id"] == "sg-1"


def test_the_key_file_of_every_trigger_is_suggested_where_it_can_be_read(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	shared = tmp_path / "internal_api_key"
	monkeypatch.setattr(prompts, "DEFAULT_KEY_FILE", str(shared))
	monkeypatch.setenv("HOME", str(tmp_path))
	own = str(tmp_path.resolve() / ".prego_metrics" / "internal_api_key")
	assert prompts.suggested_key_file() == own
	shared.write_text("a-key\n")
	assert prompts.suggested_key_file() == str(shared)
