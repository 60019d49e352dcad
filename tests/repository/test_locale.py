"""The translations that Frappe 16 and later read are those of the csv, and gettext's tools read them so."""

from __future__ import annotations

import csv

import locale_files
import pytest
from babel.messages.pofile import read_po


@pytest.mark.parametrize("name", ["main.pot", "ko.po"])
def test_the_files_are_those_of_the_csv_and_the_sources(name: str) -> None:
	path = locale_files.LOCALE / name
	written = path.read_text(encoding="utf-8") if path.exists() else ""
	assert written == locale_files.files()[name], f"{name} is out of date. Run: make translations"


def test_babel_reads_each_korean_string_as_it_stands_in_the_csv() -> None:
	with (locale_files.LOCALE / "ko.po").open("rb") as file:
		catalog = read_po(file, locale="ko")
	with locale_files.KOREAN_CSV.open(newline="", encoding="utf-8") as file:
		korean = {row[0]: row[1] for row in csv.reader(file)}
	assert {entry.id: entry.string for entry in catalog if entry.id} == korean
	assert not [entry.id for entry in catalog if entry.fuzzy and entry.id]


def test_the_template_has_every_text_and_no_translation() -> None:
	with (locale_files.LOCALE / "main.pot").open("rb") as file:
		entries = [entry for entry in read_po(file) if entry.id]
	assert {entry.id for entry in entries} == set(locale_files.translatable.all_texts())
	assert {entry.string for entry in entries} == {""}
