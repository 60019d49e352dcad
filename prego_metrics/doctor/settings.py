"""The settings and the key: are they right, and does one hide another?"""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import Message, code_of, joined, message, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.config import CONFIG_KEY, DEFAULT_SOURCE, HARDENED_KEYS, PUSH_KEYS, Config
from prego_metrics.agent.config.key_place import CREDENTIAL_NAME, CREDENTIALS_VARIABLE, KEY_VARIABLE
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.agent.setup.systemd_units import installed_key_files
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding, found, living_ticks
from prego_metrics.doctor.file_errors import advice, reason_in
from prego_metrics.doctor.triggers import settings_changed_at


def configuration(node: Examination) -> Finding:
	"""Every setting is known and has an allowed value, and none that is required is missing."""
	config = node.config
	if config.problems:
		if node.settings_unread:
			return _unread(config)
		problems = ConfigurationError(config.problems).message
		if not config.scheduler_pushes and all(problem.key in HARDENED_KEYS for problem in config.problems):
			return found(
				WARN,
				problems,
				"nothing, if a hardened timer pushes for this bench: its unit has these settings. Otherwise fix them "
				"with `prego-metrics configure`",
			)
		needed = PUSH_KEYS | {"scheduler_pushes"}
		return found(
			FAIL if any(not problem.key or problem.key in needed for problem in config.problems) else WARN,
			problems,
			"fix it with `prego-metrics configure`, or in {file}",
			file=sanitize(config_file(node.bench)),
		)
	if config.warnings:
		return found(WARN, joined(config.warnings, "\n"), "change it, unless it is intended")
	changed = [name for name, source in config.sources.items() if source != DEFAULT_SOURCE]
	return found(PASS, "valid; set: {settings}", settings=", ".join(changed))


def _unread(config: Config) -> Finding:
	"""Return why the settings cannot be read, without the settings that are missing as a result."""
	problem = next(problem.message for problem in config.problems if not problem.key)
	if problem.code == "bench_untrusted":
		return found(FAIL, problem, "change the owner or mode as described")
	file = sanitize(config_file(config.bench))
	return Finding(FAIL, problem, advice(problem, message("fix {file}: it must be valid JSON", file=file)))


def api_key(node: Examination) -> Finding:
	"""There is a key, and nobody but the pushing user can read it."""
	if isinstance(node.key, ConfigurationError):
		if node.settings_unread and code_of(message_of(node.key)) == "key_missing":
			return found(SKIP, "unknown, because the settings that may name the key file cannot be read")
		if not node.config.scheduler_pushes and not node.config.api_key_file:
			return found(
				SKIP, "not needed here: scheduler_pushes is false, so a timer with its own user has the key"
			)
		return Finding(FAIL, message_of(node.key), _key_action(node.key.message))
	key, warnings = node.key
	is_set = message("set, from {source}", source=key.source)
	if warnings:
		return found(WARN, joined([is_set, *warnings], "; "), "remove the empty variable")
	return Finding(PASS, is_set)


def _key_action(problem: Message) -> Message:
	if reason_in(problem):
		return advice(problem, message("write the key there: `prego-metrics configure --api-key-stdin`"))
	if problem.code == "key_unreadable":
		return message("fix the file as described")
	return message("put the key into api_key_file, mode 0600, owned by the user that pushes")


def shadowed(node: Examination) -> Finding:
	"""No setting, and no key, hides another one that a trigger with another environment would use."""
	hidden = [
		*_hidden_settings(node),
		*_hidden_keys(node),
		*_keys_of_units(node),
		*_keys_of_triggers(node),
	]
	if hidden:
		return found(
			WARN,
			joined(hidden),
			"keep one value: a trigger with a different environment uses the other one, and their pushes differ",
		)
	return found(PASS, "no setting and no key hides another")


def _hidden_settings(node: Examination) -> list[Message]:
	written = node.common.get(CONFIG_KEY)
	if not isinstance(written, dict) or node.config.hardened:
		return []
	return [
		message(
			"{variable} in the environment hides another {setting} in the file",
			variable=setting.variable,
			setting=setting.name,
		)
		for setting in SETTINGS
		if node.config.sources[setting.name] == setting.variable
		and setting.name in written
		and setting.kind.accept(written[setting.name])
		!= setting.kind.accept(setting.kind.from_text(node.environ[setting.variable]))
	]


def _hidden_keys(node: Examination) -> list[Message]:
	"""Compare the key in force with those behind it, without showing any of them."""
	if isinstance(node.key, ConfigurationError):
		return []  # the check of the key says so
	key, _ = node.key
	environ = dict(node.environ)
	folder = environ.get(CREDENTIALS_VARIABLE, "")
	hidden = []
	for variable, is_set in (
		(KEY_VARIABLE, bool(environ.get(KEY_VARIABLE))),
		(CREDENTIALS_VARIABLE, bool(folder) and os.path.lexists(os.path.join(folder, CREDENTIAL_NAME))),
	):
		if not is_set:
			continue
		del environ[variable]
		try:
			other, _ = load_api_key(node.config.api_key_file, environ, node.config.problems)
		except ConfigurationError:
			if node.config.api_key_file:
				hidden.append(
					message("the key from {source} hides an unusable api_key_file", source=key.source)
				)
			break
		if other.reveal() != key.reveal():
			hidden.append(
				message(
					"the key from {source} hides another key from {other}",
					source=key.source,
					other=other.source,
				)
			)
	return hidden


def _keys_of_units(node: Examination) -> list[Message]:
	"""Compare the key files of the installed units with the one that the other triggers read."""
	differing = []
	file = node.config.api_key_file
	for unit, path in installed_key_files(node.bench).items():
		unit_name, unit_file = sanitize(unit), sanitize(path)
		try:
			os.stat(path)
			is_there = True
		except OSError as error:
			# What this user may not look into may be there.
			is_there = isinstance(error, PermissionError)
		if not is_there:
			differing.append(
				message(
					"{unit} reads the key from {file}, which does not exist", unit=unit_name, file=unit_file
				)
			)
		elif file and node.config.scheduler_pushes and os.path.realpath(file) != os.path.realpath(path):
			differing.append(
				message(
					"{unit} reads the key from {file}, but the other triggers from {other}: write a new key to both",
					unit=unit_name,
					file=unit_file,
					other=sanitize(file),
				)
			)
	return differing


def _keys_of_triggers(node: Examination) -> list[Message]:
	"""Compare where the triggers take the key from, each with its own environment, as they noted it."""
	changed_at = settings_changed_at(node)
	places = {
		tick.trigger: tick.key_from
		for tick in living_ticks(node)
		if tick.key_from is not None and (tick.trigger != "frappe" or node.config.scheduler_pushes)
	}
	differing = [
		message("{trigger} has no key", trigger=tick.trigger)
		for tick in living_ticks(node)
		# Before the settings named a file, nobody had a key.
		if places.get(tick.trigger) == "" and tick.at >= changed_at
	]
	# Which file a unit's credential is made of, the unit says.
	places = {trigger: place for trigger, place in places.items() if place and not place.startswith("$")}
	if len({os.path.realpath(place) for place in places.values()}) > 1:
		differing += [
			message("{trigger} reads the key from {place}", trigger=trigger, place=sanitize(place, 200))
			for trigger, place in places.items()
		]
	return differing


def heartbeat(node: Examination) -> Finding:
	"""The dead man's switch, where there is one, has a URL that can be read. It is not pinged."""
	url = _secret_url(node, "heartbeat_url")
	if isinstance(url, Message):
		return found(WARN, url, "fix it: pushes continue, but nobody is alerted if the whole node goes down")
	if url is None:
		return found(PASS, "not set")
	return found(PASS, "set, from {source}; pinged after each delivered push", source=url.source)


def alert_url(node: Examination) -> Finding:
	"""The webhook for alerts, where there is one, has a URL that can be read. Nothing is posted."""
	url = _secret_url(node, "alert_url")
	if isinstance(url, Message):
		return found(WARN, url, "fix it: pushes continue, but alerts are not posted")
	if url is None:
		return found(PASS, "not set")
	return found(PASS, "set, from {source}; gets each alert", source=url.source)


def _secret_url(node: Examination, setting: str) -> Secret | Message | None:
	"""Return the URL, None if there is none, or why it cannot be read."""
	from prego_metrics.agent.config.secret_urls import load_secret_url

	try:
		return load_secret_url(node.config, setting)
	except ConfigurationError as error:
		return error.message
