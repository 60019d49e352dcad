"""What each setting allows and refuses, with what the refusal says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import strategies
from hypothesis import example, given

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.urls import is_loopback
from prego_metrics.agent.config import kinds
from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS, Setting


def parsed(name: str, value: object) -> Any:
	return SETTING_BY_NAME[name].kind.parse(value)


def assert_refused(name: str, value: object) -> None:
	with pytest.raises(ValueError) as raised:
		parsed(name, value)
	assert raised.value.args == (SETTING_BY_NAME[name].kind.allowed,)


# URLs


@pytest.mark.parametrize(
	("url", "kept"),
	[
		("https://cp.example", "https://cp.example"),
		("https://cp.example/", "https://cp.example"),
		("https://cp.example//", "https://cp.example"),
		("https://cp.example:8443/base/", "https://cp.example:8443/base"),
		("https://cp.example/a/b", "https://cp.example/a/b"),
		("https://cp.example/@team", "https://cp.example/@team"),
		("https://cp-1.my_team.workers.dev", "https://cp-1.my_team.workers.dev"),
		("https://cp.example.", "https://cp.example."),
		("https://203.0.113.7", "https://203.0.113.7"),
		("https://[2001:db8::7]:8443", "https://[2001:db8::7]:8443"),
		("https://xn--3e0b707e.example", "https://xn--3e0b707e.example"),
		("https://localhost:8443", "https://localhost:8443"),
		("http://localhost", "http://localhost"),
		("http://localhost:8787/", "http://localhost:8787"),
		("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
		("http://127.1.2.3", "http://127.1.2.3"),
		("http://[::1]:8787", "http://[::1]:8787"),
		("HTTPS://CP.example", "HTTPS://CP.example"),
		("https://" + "a" * 63 + ".example", "https://" + "a" * 63 + ".example"),
	],
)
def test_a_url_is_kept_as_written_but_for_a_trailing_slash(url: str, kept: str) -> None:
	assert parsed("control_plane_url", url) == kept


@pytest.mark.parametrize(
	"url",
	[
		"",
		None,
		7,
		["https://cp.example"],
		"cp.example",
		"//cp.example",
		"https:",
		"https://",
		"https:///path",
		"https:/cp.example",
		"https:cp.example",
		"https://:8443",
		"ftp://cp.example",
		"file:///etc/passwd",
		"javascript://cp.example",
		" https://cp.example",
		"https://cp.example ",
		"https://cp.example\n",
		"https://cp.example/a b",
		"https://cp.\texample",
		"\x00https://cp.example",
		"https://cp.example\\@evil.example",
		"https://evil.example\\.cp.example",
		"https://user@cp.example",
		"https://user:secret@cp.example",
		"https://@cp.example",
		"https://:@cp.example",
		"https://cp.example:0",
		"https://cp.example:65536",
		"https://cp.example:-1",
		"https://cp.example:+443",
		"https://cp.example:80a",
		"https://cp.example:٣",
		"https://한국.example",
		"https://cp。example",
		"https://cp.example%2fevil.example",
		"https://%63p.example",
		"https://cp..example",
		"https://.cp.example",
		"https://-cp.example",
		"https://cp-.example",
		"https://cp*.example",
		"https://cp.example;x",
		"https://" + "a" * 64 + ".example",
		"https://" + "a." * 127 + "example",
		"https://[::1",
		"https://::1]",
		"https://[cp.example]",
		"https://[::1%25lo]",
		"https://[v1.x]",
		"http://cp.example",
		"http://203.0.113.7",
		"http://10.0.0.1",
		"http://0.0.0.0",
		"http://[::]",
		"http://localhost.",
		"http://localhost.localdomain",
		"http://sub.localhost",
		"http://localhost.evil.example",
		"http://127.0.0.1.nip.io",
		"http://127.1",
		"http://127.0.0.01",
		"http://0177.0.0.1",
		"http://0x7f.0.0.1",
		"http://2130706433",
		"http://127.0.0.1.",
		"http://127.0.0.1@evil.example",
		"http://[::1%25lo]",
		"http://evil.example#@127.0.0.1",
		"https://cp.example?",
		"https://cp.example/?a=b",
		"https://cp.example#",
		"https://cp.example/#top",
		"https://cp.example/internal/server-metrics",
		"https://cp.example/base/internal/server-metrics/",
		"https://cp.example/..",
		"https://cp.example/a/../b",
		"https://cp.example/./a",
		"https://cp.example/%2e%2e/a",
		"https://cp.example/a/.%2E",
	],
)
def test_a_url_that_could_lead_elsewhere_or_carry_the_key_in_clear_is_refused(url: object) -> None:
	assert_refused("control_plane_url", url)


@pytest.mark.parametrize(
	"url", ["https://hc.example/ping/0123?rid=1", "https://hc.example/a/b/", "http://[::1]/x"]
)
def test_a_heartbeat_url_may_have_a_query_and_stays_as_written(url: str) -> None:
	assert parsed("heartbeat_url", url) == url


@pytest.mark.parametrize(
	"url", ["http://hc.example/x", "https://u:p@hc.example/x", "hc.example", "", None, 1]
)
def test_a_heartbeat_url_is_as_safe_as_the_other(url: object) -> None:
	assert_refused("heartbeat_url", url)


@pytest.mark.parametrize(
	("host", "loopback"),
	[
		("localhost", True),
		("127.0.0.1", True),
		("127.255.255.254", True),
		("::1", True),
		("0:0:0:0:0:0:0:1", True),
		("LOCALHOST", False),
		("localhost.", False),
		("", False),
		("128.0.0.1", False),
		("0.0.0.0", False),
		("::", False),
		("127.1", False),
		("::1%lo", False),
		("127.0.0.1 ", False),
	],
)
def test_loopback_is_an_address_tested_as_such_or_exactly_localhost(host: str, loopback: bool) -> None:
	assert is_loopback(host) is loopback


# The node


NO_NODE_IDS = (
	"",
	" ",
	"   ",
	"\xa0",
	".",
	"..",
	"x" * 256,
	"a\nb",
	"a\0",
	"a\x1b",
	"a\x7f",
	"a\x1f",
	"a\x85",
	"a\x9f",
	"\ud800",
	"a\udfff",
	"\udcff",
)


@pytest.mark.parametrize("node_id", [*NO_NODE_IDS, None, 1, 1.5, True, ["sg-1"], {"id": "sg-1"}])
def test_what_can_be_no_node_id_is_refused(node_id: object) -> None:
	assert_refused("node_id", node_id)


@pytest.mark.parametrize(
	"node_id", ["1", "x" * 255, " sg-1 ", "a b", "a~", "a\xa0", "a\ud7ff", "a\ue000", "...", "한국"]
)
def test_any_other_string_may_be_a_node_id_and_is_kept(node_id: str) -> None:
	assert parsed("node_id", node_id) == node_id


# Numbers, booleans, lists, paths


OR_ZERO = ("alert_repeat", "snapshot_interval", "disk_alert_pct", "tenant_quota_gb")


@pytest.mark.parametrize(
	("name", "accepted", "refused"),
	[
		("push_interval", [5, 5.0, 60, 300, 86400], [4.999, 0, 86400.1, -60]),
		("snapshot_interval", [0, 0.0, -0.0, 5, 3600, 86400], [1, 4.9, 86401, -1]),
		("spread", [0, 0.5, 5, 60], [-0.1, 61]),
		("timeout", [0.1, 1, 10, 120], [0, 0.09, 121, -1]),
		("alert_after", [1, 3, 1000], [0, 1001, -1, 3.0, 2.5]),
		("disk_alert_pct", [0, 1, 90, 99.5, 100], [0.5, -1, 100.1]),
		("alert_repeat", [0, 1, 24, 720], [0.5, -1, 721]),
		("tenant_quota_gb", [0, 0.001, 5, 100000], [0.0009, -1, 100000.1]),
	],
)
def test_numbers_have_bounds(name: str, accepted: list[float], refused: list[float]) -> None:
	for value in accepted:
		assert parsed(name, value) == value
	assert SETTING_BY_NAME[name].kind.allowed.code.endswith("_or_zero") is (name in OR_ZERO)
	nowhere = [True, False, None, "60", "", [60], {}, math.nan, math.inf, -math.inf, 10**400, -(10**400)]
	for value in (*refused, *nowhere):
		assert_refused(name, value)


SECONDS = coded("unit_seconds")


@pytest.mark.parametrize(
	("name", "code", "params"),
	[
		("push_interval", "allowed_number", {"unit": SECONDS, "low": "5", "high": "86400"}),
		("snapshot_interval", "allowed_number_or_zero", {"unit": SECONDS, "low": "5", "high": "86400"}),
		("spread", "allowed_number", {"unit": SECONDS, "low": "0", "high": "60"}),
		("timeout", "allowed_number", {"unit": SECONDS, "low": "0.1", "high": "120"}),
		(
			"disk_alert_pct",
			"allowed_number_or_zero",
			{"unit": coded("unit_percent"), "low": "1", "high": "100"},
		),
		("tenant_quota_gb", "allowed_number_or_zero", {"unit": "GB", "low": "0.001", "high": "100000"}),
		("alert_after", "allowed_whole_number", {"low": 1, "high": 1000}),
		("tenant_series", "allowed_whole_number", {"low": 0, "high": 1_000_000}),
		("allow_empty", "allowed_flag", {}),
		("memory_source", "allowed_memory_source", {}),
		("alert_template", "allowed_alert_template", {}),
		("control_plane_url", "allowed_base_url", {"route": "/internal/server-metrics"}),
		("disk_paths", "allowed_paths", {"example": '["/"]'}),
	],
)
def test_what_is_allowed_is_said_with_its_bounds(name: str, code: str, params: dict[str, object]) -> None:
	allowed = SETTING_BY_NAME[name].kind.allowed
	assert (allowed.code, allowed.params) == (code, params)


def test_the_memory_is_the_hosts_or_a_cgroups() -> None:
	assert [parsed("memory_source", value) for value in ("host", "cgroup")] == ["host", "cgroup"]
	for value in ("", "Host", "vm", None, 1, ["host"]):
		assert_refused("memory_source", value)


@pytest.mark.parametrize("value", ["i-0123abcd", "12345678", "a" * 128, "a.b_c:d-e"])
def test_an_instance_id_is_cloud_inits(value: str) -> None:
	assert parsed("instance_id", value) == value
	for other in ("", value + " ", value + "\n", value + "/", "a" * 129, None, 12345678, [value]):
		assert_refused("instance_id", other)


@pytest.mark.parametrize("name", ["allow_empty", "scheduler_pushes"])
def test_booleans_may_be_written_as_frappe_writes_them(name: str) -> None:
	assert [parsed(name, value) for value in (True, False, 1, 0)] == [True, False, True, False]
	for value in (2, -1, 1.0, 0.0, "true", "1", "", None, [], {}):
		assert_refused(name, value)


def test_lists_of_texts() -> None:
	assert parsed("exclude_sites", []) == ()
	assert parsed("exclude_sites", ["pool-*", "a"]) == ("pool-*", "a")
	assert parsed("disk_paths", ["/", "/data"]) == ("/", "/data")
	assert parsed("benches", ["/srv/*/bench", "../other"]) == ("/srv/*/bench", "../other")
	for name in ("exclude_sites", "disk_paths", "benches"):
		for value in ("/", None, 1, {}, {"/": 1}, ["/", ""], ["/", 1], ["/", None], [["/"]], ["/a\0b"]):
			assert_refused(name, value)
	for name in ("disk_paths", "benches"):
		assert_refused(name, [])
		assert_refused(name, ["/\ud800"])
	assert_refused("disk_paths", ["/", "data"])
	assert_refused("benches", ["/srv/**/bench"])


@pytest.mark.parametrize("name", ["api_key_file", "heartbeat_url_file", "alert_url_file"])
def test_files_are_named_by_absolute_paths(name: str) -> None:
	assert parsed(name, "/etc/prego/key") == "/etc/prego/key"
	assert parsed(name, "/etc/\udcff") == "/etc/\udcff"
	for value in ("", "key", "~/key", "./key", "/a\0b", "/a\ud800b", None, 1, ["/a"]):
		assert_refused(name, value)


def test_the_site_is_named_as_its_folder() -> None:
	assert parsed("site", "operator.example") == "operator.example"
	for value in ("", "a/b", "/", ".", "..", "a\0b", "\ud800", None, 1):
		assert_refused("site", value)


# The table as a whole


def test_the_table_is_the_designs() -> None:
	assert {setting.name: setting.default for setting in SETTINGS} == {
		"node_id": "",
		"control_plane_url": "",
		"instance_id": None,
		"api_key_file": None,
		"push_interval": 60,
		"spread": 55,
		"snapshot_interval": 3600,
		"disk_paths": (),
		"memory_source": "host",
		"benches": (),
		"site": None,
		"exclude_sites": (),
		"allow_empty": False,
		"scheduler_pushes": True,
		"timeout": 10,
		"alert_after": 3,
		"disk_alert_pct": 90,
		"alert_repeat": 24,
		"scan_tenants": True,
		"tenant_series": 1000,
		"metrics_textfile": None,
		"tenant_quota_gb": 0,
		"heartbeat_url": None,
		"heartbeat_url_file": None,
		"alert_url": None,
		"alert_url_file": None,
		"alert_template": "json",
	}
	assert {setting.name for setting in SETTINGS if setting.required} == {"node_id", "control_plane_url"}
	assert {setting.name for setting in SETTINGS if setting.kind.secret} == {
		"api_key_file",
		"heartbeat_url",
		"heartbeat_url_file",
		"alert_url",
		"alert_url_file",
	}
	assert SETTING_BY_NAME["push_interval"].variable == "PREGO_METRICS_PUSH_INTERVAL"


def test_every_default_is_one_that_its_own_setting_allows() -> None:
	for setting in SETTINGS:
		if setting.default not in (None, "", ()):
			assert setting.kind.parse(setting.default) == setting.default


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_kind_says_what_is_allowed_and_what_stands_for_it_in_the_help(setting: Setting) -> None:
	kind = setting.kind
	assert isinstance(kind.allowed, Message) and kind.allowed.startswith("must be ")
	assert kind.metavar != kinds.Kind.metavar
	assert kind.repeatable is isinstance(setting.default, tuple)
	assert setting.help and not setting.help.endswith(".")


@pytest.mark.parametrize(
	("kind", "text", "value"),
	[
		(kinds.NodeId(), "5", "5"),
		(kinds.Seconds(0, 9), "5", 5),
		(kinds.Seconds(0, 9), "0.5", 0.5),
		(kinds.WholeNumber(0, 9), "5", 5),
		(kinds.Percent(0, 9), "5%", "5%"),
		(kinds.Flag(), "true", True),
		(kinds.Flag(), "yes", "yes"),
		(kinds.SitePatterns(), '["a"]', ["a"]),
		(kinds.SitePatterns(), "a", "a"),
	],
)
def test_text_is_read_as_the_kind_reads_it_and_stays_text_where_it_cannot(
	kind: kinds.Kind[object], text: str, value: object
) -> None:
	assert kind.from_text(text) == value
	assert type(kind.from_text(text)) is type(value)


def test_values_are_shown_as_json_has_them_and_a_secret_url_without_its_path() -> None:
	shown = [
		(kinds.Seconds(0, 90), 60.0, 60),
		(kinds.Seconds(0, 90), 2.5, 2.5),
		(kinds.SitePatterns(), ("a",), ["a"]),
		(kinds.Flag(), False, False),
		(kinds.SecretUrl(), "https://hc.example:8/the-uuid?rid=1", "https://hc.example:8/…"),
	]
	for kind, value, expected in shown:
		assert kind.as_json(value) == expected
		assert type(kind.as_json(value)) is type(expected)


@given(strategies.setting_names, strategies.json_values)
@example("control_plane_url", "https://[")
@example("control_plane_url", "http://[::ffff:127.0.0.1]")
@example("heartbeat_url", "https://\u2100")
@example("push_interval", 10**400)
def test_any_json_value_is_parsed_or_refused_in_words(name: str, value: object) -> None:
	try:
		parsed(name, value)
	except ValueError as error:
		assert type(error) is ValueError
		assert error.args == (SETTING_BY_NAME[name].kind.allowed,)
