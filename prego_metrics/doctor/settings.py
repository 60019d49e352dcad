"""The settings and the key: are they right, and does one hide another?"""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import Message, joined, message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.config.config import CONFIG_KEY, DEFAULT_SOURCE, HARDENED_KEYS
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination


def configuration(seen: Examination) -> Check:
	"""Every setting is known and has an allowed value, and none that is required is missing."""
	config = seen.config
	if config.problems:
		if not config.scheduler_pushes and all(problem.key in HARDENED_KEYS for problem in config.problems):
			return Check(
				"configuration",
				WARN,
				joined((problem.message for problem in config.problems), "\n"),
				message(
					"nothing, if a hardened timer pushes for this bench: these are in its unit's environment "
					"alone. Else mend it with `prego-metrics configure`"
				),
			)
		return Check(
			"configuration",
			FAIL,
			joined((problem.message for problem in config.problems), "\n"),
			message(
				"mend it with `prego-metrics configure`, or in {file}",
				file=sanitize(config_file(seen.bench)),
			),
		)
	if config.warnings:
		return Check(
			"configuration", WARN, joined(config.warnings, "\n"), message("change it, unless it is meant so")
		)
	changed = [name for name, source in config.sources.items() if source != DEFAULT_SOURCE]
	return Check("configuration", PASS, message("valid; set: {settings}", settings=", ".join(changed)))


def api_key(seen: Examination) -> Check:
	"""There is a key, and only who pushes can read it."""
	from prego_metrics.agent.config.api_key import load_api_key

	try:
		key, warnings = load_api_key(seen.config, seen.environ)
	except ConfigurationError as error:
		if not seen.config.scheduler_pushes and not seen.config.api_key_file:
			return Check(
				"api_key",
				SKIP,
				message("not here: scheduler_pushes is false, so a timer under a user of its own has it"),
			)
		return Check(
			"api_key",
			FAIL,
			message_of(error),
			message("give the key to the user that runs the push, as said"),
		)
	found = message("set, from {source}", source=key.source)
	if warnings:
		return Check("api_key", WARN, joined([found, *warnings], ". "), message("remove the empty one"))
	return Check("api_key", PASS, found)


def shadowed(seen: Examination) -> Check:
	"""No setting, and no key, hides another one that a trigger with another environment would use."""
	hidden = [*_hidden_settings(seen), *_hidden_keys(seen)]
	if hidden:
		return Check(
			"shadowed",
			WARN,
			joined(hidden),
			message(
				"keep one of them: a trigger that has not the same environment uses the other one, and the two "
				"push differently"
			),
		)
	return Check("shadowed", PASS, message("no setting and no key hides another"))


def _hidden_settings(seen: Examination) -> list[Message]:
	written = seen.common.get(CONFIG_KEY)
	if not isinstance(written, dict) or seen.config.hardened:
		return []
	return [
		message(
			"{variable} in the environment hides another {setting} in the file",
			variable=setting.variable,
			setting=setting.name,
		)
		for setting in SETTINGS
		if seen.config.sources[setting.name] == setting.variable
		and setting.name in written
		and setting.kind.accept(written[setting.name])
		!= setting.kind.accept(setting.kind.from_text(seen.environ[setting.variable]))
	]


def _hidden_keys(seen: Examination) -> list[Message]:
	"""Compare the key in force with those behind it, without showing any of them."""
	from prego_metrics.agent.config.api_key import (
		CREDENTIAL_NAME,
		CREDENTIALS_VARIABLE,
		KEY_VARIABLE,
		load_api_key,
	)

	try:
		key, _ = load_api_key(seen.config, seen.environ)
	except ConfigurationError:
		return []  # the check of the key says so
	without = dict(seen.environ)
	hidden = []
	directory = without.get(CREDENTIALS_VARIABLE)
	for variable, there in (
		(KEY_VARIABLE, bool(without.get(KEY_VARIABLE))),
		(
			CREDENTIALS_VARIABLE,
			bool(directory) and os.path.lexists(os.path.join(str(directory), CREDENTIAL_NAME)),
		),
	):
		if not there:
			continue
		behind = {**without, variable: ""}
		del behind[variable]
		without = behind
		try:
			other, _ = load_api_key(seen.config, without)
		except ConfigurationError:
			if seen.config.api_key_file:
				hidden.append(
					message(
						"the key from {source} hides an api_key_file that cannot be used", source=key.source
					)
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


def heartbeat(seen: Examination) -> Check:
	"""The dead man's switch, where there is one, has a URL that can be read. It is not pinged."""
	from prego_metrics.agent.push.heartbeat import load_heartbeat_url

	try:
		url = load_heartbeat_url(seen.config)
	except ValueError as error:
		return Check(
			"heartbeat",
			WARN,
			message_of(error),
			message("mend it: pushes go out, but nobody hears of a node that is gone altogether"),
		)
	if url is None:
		return Check("heartbeat", PASS, message("none is set"))
	return Check(
		"heartbeat", PASS, message("set, from {source}; pinged after each delivered push", source=url.source)
	)
