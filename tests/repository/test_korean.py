"""Korean is complete: every text that people see in the Desk has a translation, and there is none for another."""

from __future__ import annotations

import csv
import string
from collections import Counter
from pathlib import Path

import pytest
import translatable

KOREAN_CSV = translatable.PACKAGE / "translations" / "ko.csv"
# Words that Korean operators read as they stand, and units.
SAME_IN_KOREAN = {
	"CPU %",
	"cron",
	"frappe",
	"{0} %",
	"{0} ms",
	"{0} ({1} to {2})",
	"{0} to {1}",
	"{export} {problem}",
	"{option} {problem}",
	"{file} {problem}",
	"{file} {problem}: {fate}",
	"{folder}: {reason}",
	"{path}: {reason}",
	"{percent} %",
	"alert_url_file: {problem}",
	"heartbeat_url_file: {problem}",
	"{problem}",
	"{problems}",
	"{sentence}; {reason}",
	"{source}: {problem}",
	"{status_code}: {words}",
}


def _rows() -> list[list[str]]:
	with KOREAN_CSV.open(newline="", encoding="utf-8") as file:
		return list(csv.reader(file))


def _placeholders(text: str) -> list[str]:
	return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name is not None})


def test_every_text_has_a_translation() -> None:
	korean = {row[0] for row in _rows()}
	missing = {text: where for text, where in translatable.all_texts().items() if text not in korean}
	assert not missing


def test_no_translation_is_left_over() -> None:
	assert {row[0] for row in _rows()} - set(translatable.all_texts()) == set()


def test_every_row_is_one_that_frappe_reads() -> None:
	"""Two columns, no text twice, and no end that Frappe would strip."""
	rows = _rows()
	assert all(len(row) == 2 for row in rows)
	assert [text for text, count in Counter(row[0] for row in rows).items() if count > 1] == []
	assert [row for row in rows if row != [text.strip() for text in row] or "\\n" in "".join(row)] == []


def test_every_translation_is_korean() -> None:
	not_korean = {text for text, korean in _rows() if not any("가" <= letter <= "힣" for letter in korean)}
	assert not_korean == SAME_IN_KOREAN & {row[0] for row in _rows()}


def test_every_translation_has_the_placeholders_of_its_text() -> None:
	wrong = [row for row in _rows() if _placeholders(row[0]) != _placeholders(row[1])]
	assert wrong == []


def test_commands_and_settings_stand_in_the_translation_as_they_are() -> None:
	for text, korean in _rows():
		for command in text.split("`")[1::2]:
			assert f"`{command}`" in korean, text


def test_a_text_put_together_where_it_is_translated_is_found(tmp_path: Path) -> None:
	source = tmp_path / "page.py"
	source.write_text('frappe._(f"{count} tenants")\n')
	with pytest.raises(translatable.NotALiteral):
		list(translatable.in_python(source))
	script = tmp_path / "page.js"
	script.write_text('__("one"); __(two); __(`th\\`ree`, [4])\n')
	with pytest.raises(translatable.NotALiteral):
		list(translatable.in_javascript(script))


def test_texts_are_found_in_each_kind_of_source() -> None:
	texts = translatable.all_texts()
	assert {
		"delivered {age} ago, every {interval}, {tenants}",
		"Site contains",
		"Pushed at",
	} <= set(texts)
	assert {
		"This Node",
		"not_sent",
		"Failures in a Row",
		"Node Metrics",
		"Empty: unknown, and not sent",
	} <= set(texts)
