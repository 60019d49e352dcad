"""The documents in both languages, and the code that they tell of, held together."""

from __future__ import annotations

import functools
import re
import unicodedata
from pathlib import Path

import click
import pytest
from scraping import metric_names
from settings_table import default_of, table

from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.error_codes import ERRORS
from prego_metrics.agent.base.error_parts import PARTS
from prego_metrics.agent.config.kinds import Number, WholeNumber
from prego_metrics.agent.config.settings import SETTINGS, Setting
from prego_metrics.agent.push.payload import Payload
from prego_metrics.agent.state import model as state
from prego_metrics.cli.app import cli
from prego_metrics.doctor import runner as doctor

ROOT = Path(__file__).parents[2]
KOREAN = ROOT / "docs/ko"
# Of no use to an operator at work.
ENGLISH_ONLY = {"scaling-simulation.md"}
# What has no Korean yet.
NOT_TRANSLATED_YET: set[str] = set()

FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMES = [path.name for path in sorted(ROOT.glob("docs/*.md"))]
PAIRS = [(ROOT / "README.md", ROOT / "README.ko.md")] + [
	(ROOT / "docs" / name, KOREAN / name)
	for name in NAMES
	if name not in ENGLISH_ONLY and name not in NOT_TRANSLATED_YET
]


@functools.cache
def prose(text: str) -> str:
	return FENCE.sub("", text)


def headings(text: str) -> list[str]:
	return re.findall(r"^#{1,6} .+$", prose(text), re.M)


@functools.cache
def anchors(text: str) -> set[str]:
	"""The fragments that the headings of a document answer to, as code hosts make them."""
	found = set(re.findall(r'<a id="([^"]+)">', text))
	for heading in headings(text):
		title = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading.lstrip("#").strip()).lower()
		kept = (c for c in title if c in " -_" or unicodedata.category(c)[0] in "LNM")
		found.add("".join(kept).replace(" ", "-"))
	return found


def tables(text: str) -> list[list[str]]:
	"""The rows of each table, in order, with what is the same in every language; other cells are empty."""
	rows = []
	for line in prose(text).splitlines():
		if line.startswith("|"):
			cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
			rows.append([cell if re.fullmatch(r"[\d.]+|true|false|`[^`]*`", cell) else "" for cell in cells])
	return rows


@functools.cache
def everything(korean: bool) -> str:
	return "\n".join(pair[korean].read_text() for pair in PAIRS)


def ids(pair: tuple[Path, Path]) -> str:
	return pair[0].name


def commands(group: click.Group, before: str = "prego-metrics") -> list[str]:
	found = []
	for name in group.list_commands(click.Context(group)):
		command = group.get_command(click.Context(group), name)
		assert command
		if isinstance(command, click.Group):
			found += commands(command, f"{before} {name}")
		else:
			found.append(f"{before} {name}")
	return found


def test_every_document_is_in_korean_or_declared_not_to_be() -> None:
	translated = {path.name for path in KOREAN.glob("*.md")}
	assert translated == set(NAMES) - ENGLISH_ONLY - NOT_TRANSLATED_YET
	assert (ENGLISH_ONLY | NOT_TRANSLATED_YET) <= set(NAMES)
	assert not (ENGLISH_ONLY & NOT_TRANSLATED_YET)


def test_the_two_readmes_point_at_each_other() -> None:
	assert "](README.ko.md)" in (ROOT / "README.md").read_text()[:200]
	assert "](README.md)" in (ROOT / "README.ko.md").read_text()[:200]


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_both_languages_have_the_same_headings_in_number_and_depth(pair: tuple[Path, Path]) -> None:
	english, korean = ([heading.split(" ")[0] for heading in headings(p.read_text())] for p in pair)
	assert english == korean


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_both_languages_have_the_same_code_blocks(pair: tuple[Path, Path]) -> None:
	english, korean = (FENCE.findall(path.read_text()) for path in pair)
	assert english == korean


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_both_languages_have_the_same_tables_row_by_row(pair: tuple[Path, Path]) -> None:
	english, korean = (tables(path.read_text()) for path in pair)
	assert english == korean


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_both_languages_have_as_many_points_in_their_lists(pair: tuple[Path, Path]) -> None:
	english, korean = (len(re.findall(r"^ *(?:-|\d+\.) ", prose(p.read_text()), re.MULTILINE)) for p in pair)
	assert english == korean


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_both_languages_name_the_same_things_in_code(pair: tuple[Path, Path]) -> None:
	english, korean = (
		{re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose(p.read_text()))} for p in pair
	)
	assert english == korean


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_korean_prose_is_korean(pair: tuple[Path, Path]) -> None:
	for paragraph in re.split(r"\n\s*\n", prose(pair[1].read_text())):
		words = re.sub(r"`[^`]*`|\]\([^)]*\)|[*_#|\[\]]", " ", paragraph)
		if len(re.findall(r"[A-Za-z]{3,}", words)) > 5:
			assert re.search("[가-힣]", words), paragraph


@pytest.mark.parametrize("document", [path for pair in PAIRS for path in pair], ids=lambda p: p.name)
def test_every_link_and_its_fragment_lead_somewhere(document: Path) -> None:
	for target in LINK.findall(prose(document.read_text())):
		if "://" in target:
			continue
		name, _, fragment = target.partition("#")
		path = (document.parent / name).resolve() if name else document
		if name.endswith(".md") and path.name in NOT_TRANSLATED_YET and path.parent == KOREAN:
			path = ROOT / "docs" / path.name
		assert path.exists(), target
		if fragment and path.suffix == ".md":
			assert fragment in anchors(path.read_text()), target


@pytest.mark.parametrize("korean", [False, True], ids=["english", "korean"])
class TestTheCodeIsInTheDocuments:
	def test_every_setting_with_its_default(self, korean: bool) -> None:
		if not korean:
			assert table() in (ROOT / "docs/settings.md").read_text(), "run `make settings-table`"
			return
		rows = [line.split(" | ") for line in (KOREAN / "settings.md").read_text().splitlines()]
		defaults = {row[0]: row[1] for row in rows if len(row) == 4}
		for setting in SETTINGS:
			english = default_of(setting)
			default = {"required": "필수", "none": "없음", "this bench": "이 벤치"}.get(english, english)
			assert defaults[f"| `{setting.name}`"] == default.replace(" and ", "와 ")

	@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
	def test_every_number_s_range(self, setting: Setting, korean: bool) -> None:
		if not isinstance(setting.kind, Number | WholeNumber):
			return
		low, high = (str(bound) for bound in (setting.kind.low, setting.kind.high))
		document = (KOREAN if korean else ROOT / "docs") / "settings.md"
		row = next(line for line in document.read_text().splitlines() if f"| `{setting.name}` |" in line)
		assert (f"{low}~{high}" if korean else f"{low} to {high}") in row

	@pytest.mark.parametrize("command", commands(cli))
	def test_every_command(self, command: str, korean: bool) -> None:
		assert re.search(rf"`{command}[ `]", everything(korean)), command

	@pytest.mark.parametrize("command", commands(cli))
	def test_every_exit_code(self, command: str, korean: bool) -> None:
		helped = cli
		for name in command.split()[1:]:
			helped = helped.get_command(click.Context(helped), name)
		expected = re.search(r"Exit codes: ([^.]*)\.", re.sub(r"\s+", " ", helped.help or ""))
		document = (KOREAN if korean else ROOT / "docs") / "settings.md"
		row = next(
			line
			for line in document.read_text().splitlines()
			if f"`{command}`" in line and line.count("|") == 3
		)
		if expected:
			codes = re.findall(r"(?:^|, )(\d) ", expected[1])
			assert all(re.search(rf"\b{code} ", row) for code in codes), (codes, row)

	def test_every_outcome(self, korean: bool) -> None:
		for outcome in (*state.OUTCOMES, "not_due", "busy", "dry_run"):
			assert f"| `{outcome}` |" in everything(korean)

	def test_every_check_of_the_doctor_by_its_group(self, korean: bool) -> None:
		document = ((KOREAN if korean else ROOT / "docs") / "troubleshooting.md").read_text()
		rows = [
			re.findall(r"`(\w+)`", line)
			for line in document.split("\n## ")[-1].splitlines()
			if line[0:1] == "|"
		]
		assert rows[2:] == [[check.__name__ for check in checks] for checks in doctor.GROUPS.values()]

	def test_every_error_code(self, korean: bool) -> None:
		document = ((KOREAN if korean else ROOT / "docs") / "error-codes.md").read_text()
		_, errors, reasons, alerts = (
			re.findall(r"^\| `(\w+)` \|", section, re.M) for section in document.split("\n## ")
		)
		assert sorted(errors) == sorted(ERRORS)
		assert set(reasons) == {code for code in PARTS if code.split("_")[0] in ("tenant", "excluded")}
		assert alerts == list(ALERTS)

	def test_every_alert(self, korean: bool) -> None:
		document = (KOREAN if korean else ROOT / "docs") / "alerts.md"
		kinds = document.read_text().split("\n## ")[1]
		assert re.findall(r"^\| `(\w+)` \|", kinds, re.M) == list(ALERTS)

	def test_every_metric(self, korean: bool) -> None:
		document = ((KOREAN if korean else ROOT / "docs") / "metrics.md").read_text()
		assert set(re.findall(r"^\| `(\w+)` \|", document, re.M)) == metric_names()

	def test_every_field_of_the_payload(self, korean: bool) -> None:
		payload = Payload(
			node_id="sg-1", tenant_count=42, cpu_pct=12.5, memory_pct=48.1, disk_pct=61.0, save_snapshot=True
		)
		document = ((KOREAN if korean else ROOT / "docs") / "payload.md").read_text()
		assert re.findall(r"^\| `(\w+)` \|", document, re.M) == list(payload.as_dict())
