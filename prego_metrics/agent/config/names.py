"""Names that are no settings: misspelt ones, the key itself, and those of another version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prego_metrics.agent.base.errors import Problem
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.redaction import shown_name
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import SECTION_KEY
from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS

# A key written here would be readable by every app, every backup and every System Manager.
_KEY_NAMES = frozenset(("api_key", "internal_api_key", "key", "token", "bearer", "secret"))
_PREFIX = "PREGO_METRICS_"
_PREFIXES = (_PREFIX, "PREGO_METRIC_", "PREGOMETRICS_", "PREGOMETRIC_")
# How close to a setting's name another one must be to be taken for it, from 0 to 1.
_SIMILARITY = 0.65
# Of our own part of the file, beside those of all apps.
_SECTION_SIMILARITY = 0.9


def unknown_names(
	common: Mapping[str, object],
	section: Mapping[str, object],
	file: str,
	environ: Mapping[str, str],
	*other_variables: str,
) -> Iterator[tuple[bool, Problem]]:
	"""Yield a problem for each unknown name, and whether a setting, or the key, was probably meant by it.

	`section` is our own part of `common`, which would be ignored with all settings in it if its name were misspelt.
	"""
	for name in sorted(common.keys() - {SECTION_KEY}):
		if _is_like_section(name):
			hint = coded("similar_setting", setting=SECTION_KEY)
			yield True, Problem("", coded("setting_unknown", name=sanitize(name, 80), source=file, hint=hint))
	for name in sorted(section.keys() - SETTING_BY_NAME.keys()):
		yield _is_misspelt(name), unknown_setting(name, file)
	variables = {*(setting.variable for setting in SETTINGS), *other_variables}
	for variable in sorted(environ.keys() - variables):
		prefix = next((prefix for prefix in _PREFIXES if variable.upper().startswith(prefix)), None)
		if prefix is None:
			continue
		written, name = variable[: len(prefix)], variable[len(prefix) :]
		is_misspelt = _is_misspelt(name)
		if is_misspelt or written == _PREFIX:
			yield is_misspelt, unknown_setting(name, coded("environment"), written)


def _is_like_section(name: str) -> bool:
	letters = "".join(letter for letter in name.lower() if letter.isalnum())
	ours = SECTION_KEY.replace("_", "")
	if letters[:2] != ours[:2] or abs(len(letters) - len(ours)) > 1:
		return False  # as nearly all are, without an import
	import difflib

	return difflib.SequenceMatcher(None, letters, ours).ratio() >= _SECTION_SIMILARITY


def _is_misspelt(name: str) -> bool:
	return name.lower() in _KEY_NAMES or bool(_similar_setting(name))


def _similar_setting(name: str) -> str | None:
	import difflib

	near = difflib.get_close_matches(name.lower().replace("-", "_"), SETTING_BY_NAME, n=1, cutoff=_SIMILARITY)
	return near[0] if near else None


def unknown_setting(name: str, source: str, prefix: str = "") -> Problem:
	"""Return the problem that `name` is not a setting; in `source` it stands after `prefix`."""
	if name.lower() in _KEY_NAMES:
		return misplaced_key(prefix + name, source)
	similar = _similar_setting(name)
	if similar:
		quoted, hint = sanitize(name, 80), coded("similar_setting", setting=similar)
	else:
		quoted, hint = (
			shown_name(name),
			coded("allowed_settings", settings=", ".join(SETTING_BY_NAME)),
		)
	return Problem("", coded("setting_unknown", name=prefix + quoted, source=source, hint=hint))


def misplaced_key(name: str, source: str) -> Problem:
	"""Return the problem that `source` holds the key itself."""
	return Problem("", coded("key_misplaced", name=sanitize(name, 80), source=source))
