"""`prego-metrics systemd`: the units for this bench. It writes files; it starts nothing."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from typing import TYPE_CHECKING

import click

from prego_metrics.agent.base.files import replace_atomically
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import our_command
from prego_metrics.agent.setup.systemd_units import (
	DEFAULT_KEY_FILE,
	HARDENED_USER,
	NAME,
	UnitError,
	Units,
	refuse_unfit_key_file,
	refuse_untrusted,
)
from prego_metrics.cli.ui.options import bench_option, help_end
from prego_metrics.cli.ui.output import fail

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench
	from prego_metrics.agent.config.config import Config

_TEXTFILE_VARIABLE = "PREGO_METRICS_METRICS_TEXTFILE"
_SYSTEM_FOLDER = "/etc/systemd/system"


@click.command(
	short_help="Make the systemd units that push for this bench.",
	epilog=help_end("install.md", "prego-metrics systemd --output /tmp/units"),
)
@bench_option
@click.option("--output", metavar="DIR", help="Write the units there. Default: print them.")
@click.option(
	"--hardened",
	is_flag=True,
	help="Push as a separate user. Needs --node-id, --control-plane-url and an installation owned by root.",
)
@click.option("--node-id", metavar="TEXT", help="With --hardened: this node, exactly nodes.node_id.")
@click.option("--control-plane-url", metavar="TEXT", help="With --hardened: base URL of the control plane.")
@click.option(
	"--heartbeat-url-file", metavar="FILE", help=f"With --hardened: a 0600 file of the user {HARDENED_USER}."
)
@click.option(
	"--alert-url-file", metavar="FILE", help=f"With --hardened: a 0600 file of the user {HARDENED_USER}."
)
@click.option(
	"--metrics-textfile", metavar="FILE", help="With --hardened: metrics_textfile, written after each push."
)
@click.option(
	"--key-file",
	default=DEFAULT_KEY_FILE,
	show_default=True,
	metavar="FILE",
	help="File with the bearer key.",
)
@click.option("--instance", metavar="NAME", help=f"Name the units {NAME}-NAME.*, for a second node_id.")
def systemd(
	bench_path: str | None,
	output: str | None,
	hardened: bool,
	key_file: str,
	instance: str | None,
	**given: str | None,
) -> None:
	"""Make the systemd units that push every minute and when sites change, and print how to enable them.

	Exit codes: 0 printed or written, 2 refused.
	"""
	from prego_metrics.agent.base.errors import PregoMetricsError

	if not hardened and any(given.values()):
		raise click.UsageError(
			"--node-id, --control-plane-url, --heartbeat-url-file, --alert-url-file and --metrics-textfile go with "
			"--hardened"
		)
	try:
		settings = _checked_settings(given) if hardened else None
		units = _units(bench_path, key_file, instance, settings)
		files = units.render()
		refuse_unfit_key_file(units.key_file, "root" if hardened else units.group)
		if output is None:
			click.echo("\n".join(f"# ==== {name}\n{unit}" for name, unit in files.items()), nl=False)
		else:
			_write(files, output)
	except PregoMetricsError as error:
		fail(error)
	click.echo(_next_steps(units, list(files), output), err=output is None)


def _units(
	bench_path: str | None, key_file: str, instance: str | None, settings: dict[str, str] | None
) -> Units:
	"""Gather what the units name.

	Nothing inside the bench is believed, as its user could have written it, but for which folders to watch and, for units
	of that user, which one to write.
	"""
	from prego_metrics.agent.bench.locate import find_bench, open_benches

	bench = find_bench(bench_path)
	owner = os.stat(bench.sites)
	config = _unit_config(bench)
	program = os.path.join(os.path.dirname(sys.executable), "prego-metrics")
	if not os.access(program, os.X_OK):
		raise UnitError(
			f"{sanitize(program)} does not exist: run this with the prego-metrics of a virtual environment or bench"
		)
	refuse_untrusted(os.path.abspath(key_file), "the key file")
	if settings is not None:
		import prego_metrics

		for path in (program, sys.executable, os.path.dirname(prego_metrics.__file__)):
			refuse_untrusted(path, "in the hardened mode")
	return Units(
		bench=bench.sites if os.path.basename(bench.sites) != "sites" else bench.root,
		sites=bench.sites,
		user=_user(owner.st_uid),
		group=_group(owner.st_gid),
		program=program,
		key_file=os.path.abspath(key_file),
		instance=instance,
		hardened=settings,
		watched=tuple(counted.sites for counted in open_benches(config.benches)),
		metrics_textfile=config.metrics_textfile if settings is None else settings.get(_TEXTFILE_VARIABLE),
	)


def _unit_config(bench: Bench) -> Config:
	"""Return the settings in the bench's file. Raises ConfigurationError where `benches` is wrong."""
	from prego_metrics.agent.config.config import load_config

	# The units have none of this process's environment.
	config = load_config(bench, {})
	config.require(("benches",))
	return config


def _checked_settings(given: dict[str, str | None]) -> dict[str, str]:
	"""Return the settings of the hardened mode by variable; each must be one that a push accepts."""
	from prego_metrics.agent.base.errors import ConfigurationError, Problem
	from prego_metrics.agent.base.messages import coded
	from prego_metrics.agent.config.config import invalid_setting
	from prego_metrics.agent.config.settings import SETTING_BY_NAME

	problems, settings = [], {}
	for name, value in given.items():
		setting, option = SETTING_BY_NAME[name], "--" + name.replace("_", "-")
		if value:
			settings[setting.variable] = value
			if setting.kind.accept(value) is None:
				problems.append(invalid_setting(setting, value, option))
		elif setting.required:
			problems.append(Problem(name, coded("setting_missing_hardened", setting=name, variable=option)))
	if problems:
		raise ConfigurationError(problems)
	return settings


def _write(files: dict[str, str], folder: str) -> None:
	try:
		os.makedirs(folder, exist_ok=True)
		for name, unit in files.items():
			replace_atomically(os.path.join(folder, name), unit.encode("utf-8"), mode=0o644)
	except OSError as error:
		raise UnitError(f"{sanitize(folder)} cannot be written: {error.strerror}") from None


def _next_steps(units: Units, names: list[str], output: str | None) -> str:
	steps = []
	if units.hardened is not None:
		steps += [
			"Once, before that:",
			f"  sudo useradd --system --no-create-home --shell /usr/sbin/nologin --gid {units.group} {HARDENED_USER}",
			f"  sudo chown root:root {units.key_file} && sudo chmod 600 {units.key_file}",
			f"  {our_command()} configure --scheduler-pushes false --unset api_key_file    # as the bench's user",
		]
	if output is None:
		steps.append("Write them with --output DIR and review them. Then:")
	else:
		steps.append("Written: " + ", ".join(names) + ". Enable them:")
	if output is not None and os.path.realpath(output) == _SYSTEM_FOLDER:
		steps.append("  sudo systemctl daemon-reload")
	else:
		paths = " ".join(os.path.join(output or "DIR", name) for name in names)
		steps.append(f"  sudo install -m 644 -t {_SYSTEM_FOLDER} {paths}")
	steps.append(f"  sudo systemctl enable --now {units.name}.timer {units.name}.path")
	return "\n".join(steps)


def _user(uid: int) -> str:
	try:
		return pwd.getpwuid(uid).pw_name
	except KeyError:
		return str(uid)


def _group(gid: int) -> str:
	try:
		return grp.getgrgid(gid).gr_name
	except KeyError:
		return str(gid)
