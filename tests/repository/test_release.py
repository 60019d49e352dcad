"""What a release is made of: one version, a changelog for users, and metadata that PyPI takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from prego_metrics import __version__

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def test_the_app_the_role_and_the_changelog_have_one_version() -> None:
	assert yaml.safe_load((ROOT / "deploy/ansible/galaxy.yml").read_text())["version"] == __version__
	assert re.findall(r"^## (\S+)$", CHANGELOG, re.MULTILINE)[0] == __version__
	assert 'dynamic = ["version"]' in PYPROJECT and not re.search(
		r"^version\s*=\s*\"", PYPROJECT, re.MULTILINE
	)


def test_the_changelog_and_contributing_stay_short() -> None:
	for release in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
		assert len(release.split()) < 500
	assert len((ROOT / "CONTRIBUTING.md").read_text().split()) <= 900


def test_pypi_takes_the_metadata() -> None:
	"""PyPI refuses a classifier that it does not know, and a licence that is named twice."""
	assert re.search(r'^license = "MIT"\nlicense-files = \["LICENSE"\]$', PYPROJECT, re.MULTILINE)
	classifiers = re.findall(r'^\t"(\w[^"]* :: [^"]*)",$', PYPROJECT, re.MULTILINE)
	assert len(classifiers) > 10
	assert not [name for name in classifiers if name.startswith(("License ::", "Framework :: Frappe"))]


def test_setuptools_is_bounded_on_both_sides() -> None:
	lower, upper = re.findall(r'requires = \["setuptools>=(\d+)[\d.]*,<(\d+)"\]', PYPROJECT)[0]
	assert 77 <= int(lower) < int(upper)  # license-files came with 77


def test_no_address_of_a_repository_that_nobody_has_is_published() -> None:
	named = "\n".join((ROOT / name).read_text() for name in ("pyproject.toml", "deploy/ansible/galaxy.yml"))
	assert re.findall(r"https?://\S+", named) == []
