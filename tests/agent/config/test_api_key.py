"""The key comes from one of three places, in that order, and is shown by nothing."""

from __future__ import annotations

import copy
import json
import os
import pickle
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from codes import codes_in

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.config import PUSH_KEYS, load_config

KEY = "Zx9-key+with/every=kind.of_sign~0123456789"
Write = Callable[..., Path]


def key_of(bench_folder: Path, environ: Mapping[str, str]) -> Secret:
	config = load_config(open_bench(str(bench_folder)), environ)
	return load_api_key(config.api_key_file, environ, config.problems)[0]


def refusal(bench_folder: Path, environ: Mapping[str, str]) -> ConfigurationError:
	with pytest.raises(ConfigurationError) as raised:
		key_of(bench_folder, environ)
	return raised.value


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
	path = tmp_path / "key"
	path.write_text("from-the-file\n")
	path.chmod(0o600)
	return path


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
	folder = tmp_path / "credentials"
	folder.mkdir()
	(folder / "internal_api_key").write_text("from-systemd\n")
	(folder / "internal_api_key").chmod(0o440)
	return folder


# Where it comes from


def test_the_environment_comes_first_then_systemd_then_the_file(
	bench_folder: Path, settings: Write, key_file: Path, credentials: Path
) -> None:
	settings(bench_folder, api_key_file=str(key_file))
	environ = {"INTERNAL_API_KEY": "from-the-environment", "CREDENTIALS_DIRECTORY": str(credentials)}
	found = key_of(bench_folder, environ)
	assert (found.reveal(), found.source) == ("from-the-environment", "INTERNAL_API_KEY")
	del environ["INTERNAL_API_KEY"]
	found = key_of(bench_folder, environ)
	assert (found.reveal(), found.source) == ("from-systemd", "$CREDENTIALS_DIRECTORY/internal_api_key")
	(credentials / "internal_api_key").unlink()
	found = key_of(bench_folder, environ)
	assert (found.reveal(), found.source) == ("from-the-file", f"api_key_file {key_file}")


def test_the_file_may_be_named_in_the_environment(bench_folder: Path, key_file: Path) -> None:
	assert key_of(bench_folder, {"PREGO_METRICS_API_KEY_FILE": str(key_file)}).reveal() == "from-the-file"


def test_an_empty_variable_is_unset_with_a_warning(
	bench_folder: Path, settings: Write, key_file: Path
) -> None:
	settings(bench_folder, api_key_file=str(key_file))
	environ = {"INTERNAL_API_KEY": "", "CREDENTIALS_DIRECTORY": ""}
	config = load_config(open_bench(str(bench_folder)), environ)
	key, warnings = load_api_key(config.api_key_file, environ)
	assert key.reveal() == "from-the-file"
	assert warnings == ["INTERNAL_API_KEY is empty and treated as unset"]


def test_without_any_the_error_names_both_ways(bench_folder: Path) -> None:
	error = refusal(bench_folder, {})
	assert error.code == "key_missing"
	assert "INTERNAL_API_KEY" in str(error) and "api_key_file" in str(error)


def test_without_any_the_error_says_first_what_is_wrong_with_the_setting(
	bench_folder: Path, settings: Write
) -> None:
	settings(bench_folder, api_key_file="etc/key")
	error = refusal(bench_folder, {})
	assert codes_in(error.message) == ["settings_invalid", "setting_invalid", "allowed_path", "key_missing"]
	assert "etc/key" not in str(error)  # somebody may have typed the key itself there


def test_a_wrong_key_of_a_source_is_an_error_and_not_a_reason_to_take_the_next(
	bench_folder: Path, settings: Write, key_file: Path, credentials: Path
) -> None:
	settings(bench_folder, api_key_file=str(key_file))
	environ = {"INTERNAL_API_KEY": "two words", "CREDENTIALS_DIRECTORY": str(credentials)}
	assert codes_in(refusal(bench_folder, environ).message) == ["key_invalid", "key_unprintable"]
	del environ["INTERNAL_API_KEY"]
	(credentials / "internal_api_key").chmod(0o600)
	(credentials / "internal_api_key").write_text("")
	error = refusal(bench_folder, environ)
	assert codes_in(error.message) == ["key_invalid", "key_empty"]
	assert error.message.params["source"] == "$CREDENTIALS_DIRECTORY/internal_api_key"
	(credentials / "internal_api_key").unlink()
	(credentials / "internal_api_key").mkdir()
	assert codes_in(refusal(bench_folder, environ).message) == [
		"key_unreadable",
		"file_problem",
		"file_irregular",
	]


def test_in_the_hardened_mode_the_bench_cannot_name_a_file(
	bench_folder: Path, settings: Write, key_file: Path
) -> None:
	settings(bench_folder, api_key_file=str(key_file))
	assert refusal(bench_folder, {"PREGO_METRICS_HARDENED": "1"}).code == "key_missing"


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "under sites", "readable by all", "too large"])
def test_an_api_key_file_that_will_not_do_is_an_error_that_names_it(
	tmp_path: Path, bench_folder: Path, settings: Write, kind: str
) -> None:
	path = (bench_folder / "sites" if kind == "under sites" else tmp_path) / "the-key"
	if kind == "folder":
		path.mkdir()
	elif kind == "pipe":
		os.mkfifo(path)
	elif kind != "missing":
		path.write_text(KEY * (200 if kind == "too large" else 1))
		path.chmod(0o644 if kind == "readable by all" else 0o600)
	settings(bench_folder, api_key_file=str(path))
	error = refusal(bench_folder, {})
	assert (error.code, error.message.params["source"]) == ("key_unreadable", "api_key_file")
	assert str(path) in str(error)
	assert KEY[:8] not in str(error)


# What it may be


@pytest.mark.parametrize("text", ["k", "0" * 4096, KEY, "~!@#$%^&*()_+{}|:\"<>?`-=[]\\;',./"])
def test_a_key_is_printable_ascii_without_spaces(bench_folder: Path, text: str) -> None:
	assert key_of(bench_folder, {"INTERNAL_API_KEY": text}).reveal() == text


WRONG_KEYS = (
	"wrong-part one",
	" wrong-part",
	"wrong-part ",
	"wrong-part\t",
	"wrong-part\n",
	"wrong-part\r",
	"wrong-part\r\nX-Header: 1",
	"wrong-part\0",
	"wrong-part\x7f",
	"wrong-partß",
	"wrong-part열쇠",
	"wrong-part\udcff",
	"“wrong-part”",
)


@pytest.mark.parametrize("text", WRONG_KEYS)
def test_any_other_key_is_refused_without_being_shown(bench_folder: Path, text: str) -> None:
	error = refusal(bench_folder, {"INTERNAL_API_KEY": text})
	assert codes_in(error.message) == ["key_invalid", "key_unprintable"]
	assert error.message.params["source"] == "INTERNAL_API_KEY"
	assert "wrong-part" not in str(error)


@pytest.mark.parametrize(
	("content", "expected"),
	[
		(b"", "key_empty"),
		(b"\n", "key_empty"),
		(b"wrong-part\r\n", "key_unprintable"),
		(b"wrong-part\n\n", "key_unprintable"),
		(b"\xef\xbb\xbfwrong-part", "key_unprintable"),
		(b"wrong-part\xc3\xa9", "key_unprintable"),
		(b"w\0r\0o\0n\0g\0", "key_unprintable"),
		(b"INTERNAL_API_KEY= wrong-part", "key_unprintable"),
	],
)
def test_a_file_with_any_other_key_is_refused_without_being_shown(
	bench_folder: Path, settings: Write, key_file: Path, content: bytes, expected: str
) -> None:
	key_file.write_bytes(content)
	settings(bench_folder, api_key_file=str(key_file))
	error = refusal(bench_folder, {})
	assert codes_in(error.message) == ["key_invalid", expected]
	assert error.message.params["source"] == f"api_key_file {key_file}"
	assert "wrong" not in str(error)


# Nothing shows it


def test_no_way_of_showing_or_copying_a_secret_shows_it() -> None:
	secret = Secret(KEY, "INTERNAL_API_KEY")
	for shown in (repr(secret), str(secret), f"{secret}", f"{secret!s:>90}", "%s" % secret, repr([secret])):  # noqa: UP031
		assert KEY not in shown
		assert "<secret from INTERNAL_API_KEY>" in shown
	for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
		with pytest.raises(TypeError, match="not pickled"):
			pickle.dumps(secret, protocol)
	for duplicate in (copy.copy, copy.deepcopy):
		with pytest.raises(TypeError):
			duplicate(secret)
	with pytest.raises(TypeError):
		json.dumps(secret)
	with pytest.raises(TypeError):
		vars(secret)
	assert KEY not in json.dumps(secret, default=str)


def shown_with_locals(function: Callable[[], object]) -> str:
	"""Return what a logger that prints local variables, as Frappe's Error Log does, would write."""
	try:
		function()
	except Exception as error:  # noqa: BLE001 whatever it is
		frames = traceback.TracebackException.from_exception(error, capture_locals=True)
		# The frame of this function and its caller's closure are the test's own.
		for frame in frames.stack:
			if frame.filename == __file__ and frame.locals:
				frame.locals.clear()
		return "".join(frames.format())
	raise AssertionError("nothing was raised")


@pytest.mark.parametrize("text", WRONG_KEYS)
def test_the_traceback_of_a_refused_key_shows_it_nowhere(bench_folder: Path, text: str) -> None:
	environ = {"INTERNAL_API_KEY": text}
	config = load_config(open_bench(str(bench_folder)), environ)
	shown = shown_with_locals(lambda: load_api_key(config.api_key_file, environ, config.problems))
	assert "load_api_key" in shown
	assert "wrong-part" not in shown


@pytest.mark.parametrize("content", [b"wrong-part 1\n", b"wrong-part\r\n", b"wrong-part\xff" * 1000])
@pytest.mark.parametrize("place", ["api_key_file", "credential"])
def test_the_traceback_of_a_refused_file_shows_nothing_of_it(
	bench_folder: Path, settings: Write, key_file: Path, credentials: Path, content: bytes, place: str
) -> None:
	environ = {}
	if place == "credential":
		environ["CREDENTIALS_DIRECTORY"] = str(credentials)
		(credentials / "internal_api_key").chmod(0o600)
		(credentials / "internal_api_key").write_bytes(content)
	else:
		key_file.write_bytes(content)
		settings(bench_folder, api_key_file=str(key_file))
	config = load_config(open_bench(str(bench_folder)), environ)
	shown = shown_with_locals(lambda: load_api_key(config.api_key_file, environ, config.problems))
	assert "wrong-part" not in shown


def test_the_traceback_of_a_missing_file_does_not_show_the_rest_of_the_environment(
	bench_folder: Path, settings: Write
) -> None:
	environ = {"INTERNAL_API_KEY": "", "DATABASE_PASSWORD": "hunter2"}
	settings(bench_folder, api_key_file="/nowhere/key")
	config = load_config(open_bench(str(bench_folder)), environ)
	shown = shown_with_locals(lambda: load_api_key(config.api_key_file, environ, config.problems))
	assert "hunter2" not in shown


def test_the_traceback_of_wrong_settings_does_not_show_the_key(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, api_key=KEY)
	environ = {"INTERNAL_API_KEY": KEY}
	config = load_config(open_bench(str(bench_folder)), environ)
	assert KEY not in shown_with_locals(lambda: config.require(PUSH_KEYS))


def test_a_secret_in_local_variables_of_anybody_shows_only_where_it_came_from() -> None:
	def fail() -> None:
		key = Secret(KEY, "INTERNAL_API_KEY")
		key.excerpt(f"an echo of {key}")
		raise RuntimeError("unforeseen")

	assert KEY not in shown_with_locals(fail)
