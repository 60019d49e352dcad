"""What the operator set, and where each value came from.

One place, of the bench and not of a site: the key `prego_metrics` in `sites/common_site_config.json`,
read from disk at every run. An environment variable `PREGO_METRICS_<KEY>` overrides it. A tenant's own
`site_config.json` is never looked at: it would let a tenant redirect the node.

Everything that is wrong is collected, so that one run names all of it; `Config.require` then raises for
the keys that a command needs.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import Message, message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file, read_common_config
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS, Setting

CONFIG_KEY = "prego_metrics"
DEFAULT_SOURCE = "default"
COMMAND_LINE = "the command line"

CENSUS_KEYS = frozenset(("benches", "exclude_sites", "allow_empty"))
QUOTA_KEYS = frozenset(("tenant_quota_gb",))
KEY_KEYS = frozenset(("api_key_file",))
ALL_KEYS = frozenset(SETTING_BY_NAME)
DRY_RUN_KEYS = ALL_KEYS - KEY_KEYS

# In the hardened mode these come from the unit's environment alone: any app of the bench can write the
# bench's file, and could send the bearer elsewhere.
HARDENED_VARIABLE = "PREGO_METRICS_HARDENED"
HARDENED_KEYS = frozenset(
	("node_id", "control_plane_url", "api_key_file", "heartbeat_url", "heartbeat_url_file")
)

# A key written here would be readable by every app, every backup and every System Manager.
_KEY_NAMES = frozenset(("api_key", "internal_api_key", "key", "token", "bearer", "secret"))
_TOP_LEVEL_KEY_NAMES = frozenset(("internal_api_key", "INTERNAL_API_KEY"))
_NOT_SETTINGS = frozenset((HARDENED_VARIABLE,))
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


@dataclass(frozen=True, repr=False)
class Config:
	"""The effective settings of one bench. Required texts are empty when they are not set.

	Its repr tells nothing of them: Frappe stores the variables of every frame of an error in the database of the site
	that it happened on, which may be a tenant's.
	"""

	bench: Bench
	node_id: str
	control_plane_url: str
	instance_id: str | None
	api_key_file: str | None
	push_interval: float
	spread: float
	snapshot_interval: float
	disk_paths: tuple[str, ...]
	benches: tuple[str, ...]
	site: str | None
	exclude_sites: tuple[str, ...]
	allow_empty: bool
	scheduler_pushes: bool
	timeout: float
	alert_after: int
	disk_alert_pct: float
	collect_tenants: bool
	tenant_series: int
	tenant_quota_gb: float
	heartbeat_url: str | None
	heartbeat_url_file: str | None
	hardened: bool
	sources: Mapping[str, str]
	problems: tuple[Problem, ...]
	warnings: tuple[str, ...]

	def __repr__(self) -> str:
		return "<Config>"

	def require(self, keys: Iterable[str]) -> None:
		"""Raise ConfigurationError if any of `keys`, or the configuration as a whole, is wrong."""
		wanted = frozenset(keys)
		problems = [problem for problem in self.problems if not problem.key or problem.key in wanted]
		if problems:
			raise ConfigurationError(problems)


def load_config(
	bench: Bench, environ: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> Config:
	"""Read the effective settings. Never raises for wrong ones: they are in `problems`."""
	try:
		common = read_common_config(bench, sleep)
	except ValueError as error:
		return judge_config(bench, {}, environ, Problem("", message_of(error)))
	return judge_config(bench, common, environ)


def judge_config(
	bench: Bench,
	common: Mapping[str, object],
	environ: Mapping[str, str],
	*known_problems: Problem,
	given: Collection[str] = (),
) -> Config:
	"""Return the effective settings that `common`, a whole common_site_config.json, and `environ` give.

	The settings named in `given` are not in the file yet: they come from the command line.
	"""
	problems = list(known_problems)
	warnings: list[str] = []
	hardened = _hardened(environ, problems)
	written = _written(common, bench, problems)
	_refuse_unknown(written or {}, _file_source(bench), environ, problems)

	values: dict[str, object] = {}
	sources: dict[str, str] = {}
	for setting in SETTINGS:
		from_file = written or {}
		if hardened and setting.name in HARDENED_KEYS:
			if setting.name in from_file:
				warnings.append(
					message(
						"{setting} in {file} is not used: in the hardened mode it comes from {variable} alone",
						setting=setting.name,
						file=_file_source(bench),
						variable=setting.variable,
					)
				)
			from_file = {}
		values[setting.name], sources[setting.name] = _effective(
			setting,
			from_file,
			environ,
			COMMAND_LINE if setting.name in given else _file_source(bench),
			problems,
			warnings,
		)
	if hardened or not (known_problems or written is None):
		_name_missing(sources, hardened, problems)
	_judge_together(values, sources, problems, warnings)
	return Config(
		bench=bench,
		hardened=hardened,
		sources=sources,
		problems=tuple(problems),
		warnings=tuple(warnings),
		**_completed(values, bench),  # type: ignore[arg-type]
	)


def _file_source(bench: Bench) -> str:
	return sanitize(config_file(bench))


def _hardened(environ: Mapping[str, str], problems: list[Problem]) -> bool:
	value = environ.get(HARDENED_VARIABLE, "")
	if value not in ("", "0", "1"):
		shown = repr(sanitize(value, 80))
		text = message("{variable}={value} must be 1 or 0", variable=HARDENED_VARIABLE, value=shown)
		problems.append(Problem("", text))
	return value == "1"


def _written(
	common: Mapping[str, object], bench: Bench, problems: list[Problem]
) -> Mapping[str, object] | None:
	"""Return our own part of the common configuration, None if it cannot be understood."""
	for name in sorted(_TOP_LEVEL_KEY_NAMES & common.keys()):
		problems.append(Problem("", _key_refused(name, _file_source(bench))))
	written = common.get(CONFIG_KEY, {})
	if isinstance(written, dict):
		return written
	text = message("{key} in {file} must be a JSON object", key=CONFIG_KEY, file=_file_source(bench))
	problems.append(Problem("", text))
	return None


def _refuse_unknown(
	written: Mapping[str, object], file_source: str, environ: Mapping[str, str], problems: list[Problem]
) -> None:
	for name in sorted(written.keys() - SETTING_BY_NAME.keys()):
		problems.append(Problem("", _unknown(name, name, file_source)))
	variables = {setting.variable for setting in SETTINGS} | _NOT_SETTINGS
	for variable in sorted(environ.keys() - variables):
		if variable.startswith("PREGO_METRICS_"):
			name = variable.removeprefix("PREGO_METRICS_").lower()
			problems.append(Problem("", _unknown(variable, name, message("the environment"))))


def _unknown(shown: str, name: str, source: str) -> Message:
	if name.lower() in _KEY_NAMES:
		return _key_refused(shown, source)
	import difflib

	near = difflib.get_close_matches(name, SETTING_BY_NAME, n=1)
	if near:
		hint = message("did you mean {setting}?", setting=near[0])
	else:
		hint = message("allowed are {settings}", settings=", ".join(SETTING_BY_NAME))
	return message(
		"{name} in {source} is no setting: {hint}", name=sanitize(shown, 80), source=source, hint=hint
	)


def _key_refused(shown: str, source: str) -> Message:
	return message(
		"{name} in {source} is refused: the key does not belong there. Remove it, change the key in the control "
		"plane, and give the new one by INTERNAL_API_KEY in the environment or by api_key_file, a 0600 file "
		"outside sites/",
		name=sanitize(shown, 80),
		source=source,
	)


def _effective(
	setting: Setting,
	written: Mapping[str, object],
	environ: Mapping[str, str],
	file_source: str,
	problems: list[Problem],
	warnings: list[str],
) -> tuple[object, str]:
	"""Return a setting's value and source: the environment, then the file, then the default."""
	text = environ.get(setting.variable)
	if text == "":
		warnings.append(message("{variable} is empty and counts as unset", variable=setting.variable))
	if text:
		raw, source = value_from_text(setting, text), setting.variable
	elif setting.name in written:
		raw, source = written[setting.name], file_source
	else:
		return setting.default, DEFAULT_SOURCE
	try:
		return setting.parse(raw), source
	except ValueError as error:
		shown = setting.name if setting.secret else f"{setting.name} = {_shown(raw)}"
		text = message(
			"{setting} ({source}) {problem}", setting=shown, source=source, problem=message_of(error)
		)
		problems.append(Problem(setting.name, text))
		return setting.default, source


def _name_missing(sources: Mapping[str, str], hardened: bool, problems: list[Problem]) -> None:
	for setting in SETTINGS:
		if setting.required and sources[setting.name] == DEFAULT_SOURCE:
			if hardened:
				text = message(
					"{setting} is not set: in the hardened mode it comes from {variable} alone",
					setting=setting.name,
					variable=setting.variable,
				)
			else:
				text = message(
					"{setting} is not set: give it by `prego-metrics configure`, or by {variable}",
					setting=setting.name,
					variable=setting.variable,
				)
			problems.append(Problem(setting.name, text))


def value_from_text(setting: Setting, text: str) -> object:
	"""Read an environment variable as its setting's kind; what cannot be read stays text, for parse to refuse."""
	if setting.kind == "text":
		return text
	if setting.kind == "number":
		if not _NUMBER.fullmatch(text):
			return text
		return float(text) if "." in text else int(text)
	try:
		return json.loads(text)
	except (ValueError, RecursionError):
		return text


def _shown(raw: object) -> str:
	"""Show a refused value; userinfo of a URL may be a password, and is not shown."""
	try:
		text = json.dumps(raw, ensure_ascii=False, default=repr)
	except (ValueError, RecursionError):
		text = "…"  # nested too deeply, or a number of thousands of digits
	return sanitize(re.sub(r"(://|//|:).*@", r"\1…@", text, flags=re.DOTALL), 120)


def _judge_together(
	values: Mapping[str, object], sources: Mapping[str, str], problems: list[Problem], warnings: list[str]
) -> None:
	"""Judge what only shows when settings are seen side by side."""
	interval = values["push_interval"]
	if isinstance(interval, float) and not 60 <= interval <= 300:
		warnings.append(
			message(
				"push_interval = {seconds} ({source}) is outside the runbook's 60 to 300 seconds",
				seconds=f"{interval:g}",
				source=sources["push_interval"],
			)
		)
	if values["heartbeat_url"] and values["heartbeat_url_file"]:
		problems.append(
			Problem(
				"heartbeat_url",
				message("heartbeat_url and heartbeat_url_file are both set: keep one of them"),
			)
		)
	node_id = values["node_id"]
	if isinstance(node_id, str) and node_id != node_id.strip():
		warnings.append(
			message("node_id = {node} begins or ends with a space, and is sent so", node=_shown(node_id))
		)


def _completed(values: dict[str, object], bench: Bench) -> dict[str, object]:
	"""Fill in the defaults that depend on the bench, and make paths absolute."""
	benches = values["benches"]
	named = benches if isinstance(benches, tuple) else (bench.sites,)
	# What looks like a pattern in the bench's own path is none.
	root = re.sub(r"([*?\[])", r"[\1]", bench.root)
	return {
		**values,
		"node_id": values["node_id"] or "",
		"control_plane_url": values["control_plane_url"] or "",
		"disk_paths": values["disk_paths"] or (bench.sites, "/"),
		"benches": tuple(os.path.join(root, path) for path in named),
	}
