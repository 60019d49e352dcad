"""The doctor on settings and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import GOOD, URL, Run, Write, checks, examined, install_units, judge, settings_of, tick

# --- configuration and key ---------------------------------------------------------------------------


def test_every_problem_of_the_configuration_is_named(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="..", control_plane_url="http://far.example", push_intervall=60)
	made = checks(bench, environ, online=True)
	assert (made["configuration"].state, made["configuration"].code) == ("fail", "settings_invalid")
	for words in ("node_id = ", "control_plane_url = ", "push_intervall"):
		assert words in made["configuration"].seen
	assert made["control_plane"].state == "skip"


@pytest.mark.parametrize("content", ["{", "[]", '{"prego_metrics": 7}', ""])
def test_a_broken_common_configuration_fails_and_exits_1(
	run_agent: Run, bench: Path, environ: dict[str, str], content: str
) -> None:
	(bench / "sites" / "common_site_config.json").write_text(content)
	result = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert (result.returncode, result.stderr) == (1, "")
	states = {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}
	assert [name for name, state in states.items() if state == "fail"] == ["configuration"]
	for name in ("tenants", "control_plane", "instance", "shadowed", "operators_site", "scheduler_switches"):
		assert states[name] == "skip"


def test_without_settings_no_key_is_not_known_to_be_missing(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / "common_site_config.json").write_text("{")
	assert judge(bench, {}, "api_key").state == "skip"
	assert judge(bench, environ, "api_key").state == "pass"


def test_a_wrong_setting_is_one_finding(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=7)
	made = checks(bench, environ)
	assert [name for name, check in made.items() if check.state == "fail"] == ["configuration"]
	assert made["tenants"].state == "skip"


def test_an_interval_outside_the_runbook_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path], control_plane: Any
) -> None:
	settings(bench, node_id="node-1", control_plane_url=control_plane.url, push_interval=30)
	check = judge(bench, environ, "configuration")
	assert check.state == "warn" and "outside the recommended 60 to 300 seconds" in check.seen


def test_without_a_key_the_check_says_where_it_belongs(bench: Path) -> None:
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "there is no key: set api_key_file" in check.seen


def test_an_empty_key_beside_a_key_file_is_a_warning(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key\n")
	(tmp_path / "key").chmod(0o600)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	assert judge(bench, {}, "api_key").state == "pass"
	check = judge(bench, {"INTERNAL_API_KEY": ""}, "api_key")
	assert check.state == "warn" and "is empty and treated as unset" in check.seen


def test_a_key_file_that_others_can_read_is_a_failure_with_the_command_that_mends_it(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key-of-secrets\n")
	(tmp_path / "key").chmod(0o644)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "0644" in check.seen and "chmod 600" in check.seen
	assert "a-key-of-secrets" not in check.seen + check.action


def test_a_key_file_that_is_not_there_is_to_be_written(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "none"))
	check = judge(bench, {}, "api_key")
	assert (check.state, check.code) == ("fail", "key_unreadable") and "--api-key-stdin" in check.action


# --- what hides another ------------------------------------------------------------------------------


def test_a_variable_that_hides_another_setting_is_named(idle_bench: Path) -> None:
	assert examined(idle_bench, "shadowed", PREGO_METRICS_NODE_ID="node-1").state == "pass"
	check = examined(idle_bench, "shadowed", PREGO_METRICS_NODE_ID="node-2")
	assert (check.state, check.seen) == (
		"warn",
		"PREGO_METRICS_NODE_ID in the environment hides another node_id in the file",
	)


def test_a_key_that_hides_another_is_named_by_its_source_alone(
	idle_bench: Path, settings: Write, tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("key-of-the-file-987654321\n")
	(tmp_path / "key").chmod(0o600)
	settings(idle_bench, **GOOD, api_key_file=str(tmp_path / "key"))
	assert examined(idle_bench, "shadowed", INTERNAL_API_KEY="key-of-the-file-987654321").state == "pass"
	check = examined(idle_bench, "shadowed", INTERNAL_API_KEY="another-key-123456789")
	assert check.state == "warn"
	assert check.seen.startswith("the key from INTERNAL_API_KEY hides another key from api_key_file")
	assert "987654321" not in check.seen and "123456789" not in check.seen


def test_a_credential_behind_the_environment_is_compared_too(idle_bench: Path, tmp_path: Path) -> None:
	(tmp_path / "internal_api_key").write_text("credential-1\n")
	check = examined(idle_bench, "shadowed", INTERNAL_API_KEY="k-1", CREDENTIALS_DIRECTORY=str(tmp_path))
	assert check.state == "warn" and "another key from $CREDENTIALS_DIRECTORY" in check.seen


@pytest.mark.parametrize(("name", "setting"), [("heartbeat", "heartbeat_url"), ("alert_url", "alert_url")])
def test_a_secret_url_that_cannot_be_read_is_a_warning_and_one_that_can_is_not_shown(
	idle_bench: Path, settings: Write, tmp_path: Path, name: str, setting: str
) -> None:
	file = tmp_path / "url"
	settings(idle_bench, **GOOD, **{f"{setting}_file": str(file)})
	assert examined(idle_bench, name).state == "warn"
	file.write_text("https://hook.example/s3cret\n")
	assert examined(idle_bench, name).state == "warn"  # others could read it
	file.chmod(0o600)
	check = examined(idle_bench, name)
	assert check.state == "pass" and f"{setting}_file" in check.seen and "s3cret" not in check.seen
	settings(idle_bench, **GOOD)
	assert examined(idle_bench, name).state == "pass"


# --- the hardened mode, seen by the bench's user -----------------------------------------------------


def test_what_a_hardened_timer_has_alone_is_not_missing_here(idle_bench: Path, settings: Write) -> None:
	settings(idle_bench, scheduler_pushes=False)
	assert examined(idle_bench, "configuration").state == "warn"
	assert examined(idle_bench, "api_key").state == "skip"
	tick(idle_bench, "timer")
	assert examined(idle_bench, "trigger_settings").state == "skip"


# --- the key of each trigger -------------------------------------------------------------------------


@pytest.mark.parametrize(
	("places", "words"),
	[
		({"frappe": "/etc/key", "cron": "/etc/key"}, []),
		({"frappe": "/etc/key", "cron": "/etc/../etc/key"}, []),
		({"frappe": "/etc/key", "timer": "$CREDENTIALS_DIRECTORY/internal_api_key"}, []),
		({"frappe": "/etc/key", "cron": None}, []),
		({"frappe": "/etc/key", "cron": "/etc/other"}, ["frappe reads the key from /etc/key", "/etc/other"]),
		({"frappe": "/etc/key", "cron": "INTERNAL_API_KEY"}, ["cron reads the key from INTERNAL_API_KEY"]),
		({"frappe": "", "cron": "/etc/key"}, ["frappe has no key"]),
		({"frappe": "/etc/key", "cron": "\x1b[31m"}, ["cron reads the key from \\x1b[31m"]),
	],
)
def test_triggers_that_take_the_key_from_different_places_are_a_warning(
	idle_bench: Path, places: dict[str, str | None], words: list[str]
) -> None:
	settings_of(idle_bench, 60)
	for trigger, place in places.items():
		tick(idle_bench, trigger, key_from=place)
	check = examined(idle_bench, "shadowed")
	assert check.state == ("warn" if words else "pass")
	assert all(word in check.seen for word in words)


def test_a_run_before_the_settings_were_written_had_no_key_and_is_no_warning(idle_bench: Path) -> None:
	tick(idle_bench, "frappe", key_from="")
	assert examined(idle_bench, "shadowed").state == "pass"


def test_the_place_of_frappes_key_is_no_matter_where_its_scheduler_does_not_push(
	idle_bench: Path, settings: Write
) -> None:
	settings(idle_bench, **GOOD, scheduler_pushes=False)
	tick(idle_bench, "frappe", key_from="")
	assert examined(idle_bench, "shadowed").state == "pass"


# --- the key of installed units ----------------------------------------------------------------------


@pytest.fixture
def key(bench: Path, settings: Callable[..., Path], tmp_path: Path) -> Path:
	path = tmp_path / "key"
	path.write_text("a-key\n")
	path.chmod(0o600)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(path))
	return path


def test_a_unit_with_the_key_file_of_every_trigger_is_right(
	bench: Path, key: Path, unit_folder: Path
) -> None:
	(key.parent / "link").symlink_to(key)
	for path in (key, key.parent / "link"):
		install_units(unit_folder, bench, path)
		assert judge(bench, {}, "shadowed").state == "pass"


@pytest.mark.parametrize("instance", [None, "second"])
def test_a_unit_with_another_key_file_is_a_warning_that_names_both(
	bench: Path, key: Path, unit_folder: Path, instance: str | None
) -> None:
	other = key.parent / "other"
	other.write_text("a-key\n")
	install_units(unit_folder, bench, other, instance=instance)
	check = judge(bench, {}, "shadowed")
	assert check.state == "warn"
	for name in (
		str(key),
		str(other),
		"prego-metrics-second.service" if instance else "prego-metrics.service",
	):
		assert name in check.seen


def test_a_unit_whose_key_file_is_gone_is_a_warning(bench: Path, key: Path, unit_folder: Path) -> None:
	install_units(unit_folder, bench, key.parent / "gone")
	check = judge(bench, {}, "shadowed")
	assert check.state == "warn" and "which does not exist" in check.seen
	assert check.seen.count("which does not exist") == 1, "the path unit's service reads the same file"


def test_the_service_of_the_path_unit_is_looked_at_too(bench: Path, key: Path, unit_folder: Path) -> None:
	install_units(unit_folder, bench, key)
	unit = unit_folder / "prego-metrics-change.service"
	unit.write_text(
		unit.read_text().replace(f"internal_api_key:{key}", f"internal_api_key:{key.parent}/gone")
	)
	check = judge(bench, {}, "shadowed")
	assert check.state == "warn" and "prego-metrics-change.service reads the key from" in check.seen


def test_the_key_file_of_a_drop_in_counts(bench: Path, key: Path, unit_folder: Path) -> None:
	install_units(unit_folder, bench, key)
	(unit_folder / "prego-metrics.service.d").mkdir()
	drop_in = unit_folder / "prego-metrics.service.d/key.conf"
	drop_in.write_text(f"[Service]\nLoadCredential=\nLoadCredential=internal_api_key:{key.parent}/gone\n")
	assert judge(bench, {}, "shadowed").state == "warn"


def test_the_unit_of_another_bench_is_no_matter(
	bench: Path, key: Path, unit_folder: Path, make_bench: Callable[..., Path]
) -> None:
	install_units(unit_folder, make_bench(key.parent / "second"), key.parent / "gone")
	assert judge(bench, {}, "shadowed").state == "pass"


def test_in_the_hardened_mode_the_unit_alone_has_a_key(
	bench: Path, key: Path, unit_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench, scheduler_pushes=False)
	install_units(unit_folder, bench, key, hardened={})
	assert judge(bench, {}, "shadowed").state == "pass"
