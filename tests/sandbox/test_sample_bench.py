"""The sample bench says what it is: each entry is what the table claims."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import pytest

from prego_metrics.sandbox.sample_bench import (
	EXCLUDE_SITES,
	OPERATOR_SITE,
	SAMPLE_ENTRIES,
	SampleEntry,
	lay_out_sample_bench,
)

FRAPPES_OWN = {"apps.txt", "apps.json", "common_site_config.json", "assets"}


@pytest.fixture
def sites(tmp_path: Path) -> Path:
	return lay_out_sample_bench(tmp_path / "made" / "on-demand") / "sites"


def is_frappe_site(path: Path) -> bool:
	return path.is_dir() and not path.is_symlink() and (path / "site_config.json").is_file()


def test_the_sites_folder_holds_the_table_and_frappes_own_entries_only(sites: Path) -> None:
	names = {entry.name for entry in SAMPLE_ENTRIES}

	assert {path.name for path in sites.iterdir()} == names | FRAPPES_OWN
	assert len(names) == len(SAMPLE_ENTRIES)


@pytest.mark.parametrize("entry", SAMPLE_ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_counted_exactly_when_it_is_a_site_that_nothing_excludes(
	sites: Path, entry: SampleEntry
) -> None:
	path = sites / entry.name
	counted = is_frappe_site(path) and not any(
		fnmatch.fnmatchcase(entry.name, pattern) for pattern in EXCLUDE_SITES
	)
	if counted and entry.settings.get("prego_tenant") == 0:
		counted = False

	assert counted == entry.counted


def test_all_configurations_parse_but_the_half_written_one(sites: Path) -> None:
	broken = []
	for path in sites.glob("*/site_config.json"):
		if path.parent.is_symlink():
			continue
		try:
			assert json.loads(path.read_text())["db_name"].startswith("_")
		except json.JSONDecodeError:
			broken.append(path.parent.name)

	assert broken == ["elm.prego.example"]


def test_there_is_something_deeper_that_a_recursive_count_would_take_for_a_site(sites: Path) -> None:
	assert (sites / "archived/gone.prego.example/site_config.json").is_file()


def test_the_alias_leads_to_a_counted_site(sites: Path) -> None:
	assert (sites / "www.acme.example").resolve() == sites / "acme.prego.example"


def test_the_operators_site_is_the_default_site(sites: Path) -> None:
	assert json.loads((sites / "common_site_config.json").read_text())["default_site"] == OPERATOR_SITE


def test_it_holds_no_secret_and_no_settings_of_ours(sites: Path) -> None:
	for path in sites.parent.rglob("*.json"):
		text = path.read_text()
		assert "password" not in text
		assert "encryption_key" not in text
		assert '"prego_metrics"' not in text


def test_an_existing_bench_is_never_written_into(tmp_path: Path) -> None:
	(tmp_path / "frappe-bench").mkdir()

	with pytest.raises(FileExistsError):
		lay_out_sample_bench(tmp_path)
	assert list((tmp_path / "frappe-bench").iterdir()) == []
