"""The key goes into a file that its owner alone can read, and no link leads it anywhere else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from codes import codes_in
from pushing import KEY, leaked

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.config.api_key import write_api_key
from prego_metrics.agent.config.secret_files import read_secret_file

NOT_WRITTEN = ["key_not_written", "file_problem", "file_unwritable"]


def mode_of(path: Path) -> int:
	return stat.S_IMODE(path.stat().st_mode)


def refusal(path: object, text: str = KEY) -> ConfigurationError:
	with pytest.raises(ConfigurationError) as raised:
		write_api_key(str(path), text)
	assert not leaked(str(raised.value), KEY)
	return raised.value


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_key_is_written_0600_in_folders_made_0700(tmp_path: Path, end: str) -> None:
	old = os.umask(0)
	try:
		write_api_key(str(tmp_path / "a" / "b" / "key"), KEY + end)
	finally:
		os.umask(old)
	path = tmp_path / "a" / "b" / "key"
	assert read_secret_file(str(path)) == KEY
	assert (mode_of(path), mode_of(path.parent), mode_of(path.parent.parent)) == (0o600, 0o700, 0o700)
	assert os.listdir(path.parent) == ["key"]


def test_an_old_key_is_replaced_whole_whatever_its_mode_was(tmp_path: Path) -> None:
	path = tmp_path / "key"
	path.write_text("old")
	path.chmod(0o644)
	with path.open() as held:
		write_api_key(str(path), KEY)
		assert held.read() == "old"  # who had it open sees nothing of the new one
	assert read_secret_file(str(path)) == KEY


def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
	(tmp_path / "target").write_text("kept")
	(tmp_path / "key").symlink_to(tmp_path / "target")
	assert codes_in(refusal(tmp_path / "key").message) == NOT_WRITTEN
	assert (tmp_path / "target").read_text() == "kept"


def test_a_link_in_the_path_is_refused_and_named(tmp_path: Path) -> None:
	(tmp_path / "real").mkdir()
	(tmp_path / "link").symlink_to(tmp_path / "real")
	error = refusal(tmp_path / "link" / "key")
	assert codes_in(error.message) == NOT_WRITTEN
	assert "link in its path" in str(error)
	assert os.listdir(tmp_path / "real") == []


@pytest.mark.parametrize("where", ["sites/key", "sites/acme.example/key", "sites/new/folder/key"])
def test_below_sites_is_refused(bench_folder: Path, where: str) -> None:
	assert codes_in(refusal(bench_folder / where).message) == [
		"key_not_written",
		"file_problem",
		"secret_in_sites",
	]
	assert not (bench_folder / where).exists()


def test_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
	(tmp_path / "open").mkdir()
	(tmp_path / "open").chmod(0o777)
	refused = refusal(tmp_path / "open" / "key").message
	assert codes_in(refused) == NOT_WRITTEN
	assert str(refused).endswith(" (everybody can write its folder)")
	assert os.listdir(tmp_path / "open") == []


@pytest.mark.parametrize(
	"text", ["", "\n", "two words", "caf\xe9", "line\nline", "x" * 10 + "\x1b[31m"], ids=repr
)
def test_what_is_no_key_is_refused_and_nothing_is_written(tmp_path: Path, text: str) -> None:
	assert refusal(tmp_path / "key", text).code == "key_invalid"
	assert os.listdir(tmp_path) == []


def test_configure_takes_the_key_from_standard_input(bench_folder: Path, tmp_path: Path) -> None:
	path = tmp_path / "secrets" / "key"
	command = [sys.executable, "-m", "prego_metrics.cli", "configure", "--bench", str(bench_folder)]
	options = ["--node-id", "sg-1", "--api-key-file", str(path), "--api-key-stdin"]
	result = subprocess.run([*command, *options], input=KEY + "\n", capture_output=True, text=True)
	assert (result.returncode, result.stderr) == (0, "")
	assert not leaked(result.stdout)
	assert read_secret_file(str(path)) == KEY
	assert not leaked((bench_folder / "sites" / "common_site_config.json").read_text())
	without = subprocess.run(
		[*command[:-1], str(bench_folder), "--api-key-stdin"], input=KEY + "2", capture_output=True, text=True
	)
	assert without.returncode == 0 and read_secret_file(str(path)) == KEY + "2"


def test_configure_without_a_place_for_the_key_says_so(
	bench_folder: Path, run_agent: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
	result = run_agent("configure", "--api-key-stdin", "--bench", bench_folder)
	assert result.returncode == 2 and "--api-key-stdin needs api_key_file" in result.stderr
