"""The systemd units of one bench: a service with its timer, one with its path unit, and the unit that alerts.

Rendered from the templates in `units/`. Root obeys what comes out, so each value is one that no unit file
could read as anything else.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from prego_metrics.agent.base.errors import BenchError, ConfigurationError, PregoMetricsError
from prego_metrics.agent.base.files import UnfitFile, open_regular, read_descriptor, read_limited
from prego_metrics.agent.base.messages import coded, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.config.api_key import checked_key
from prego_metrics.agent.config.secret_files import MAX_SECRET_BYTES
from prego_metrics.agent.state.store import FOLDER_NAME

NAME = "prego-metrics"
HARDENED_USER = "prego-metrics"
DEFAULT_KEY_FILE = "/etc/prego_metrics/internal_api_key"
# Where systemd looks for units, what goes before first.
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
# What `bench new-site` or a rename begins is over then, as a rule, and a burst of them is one push.
SETTLE_SECONDS = 3
_MAX_UNIT_BYTES = 1 << 16
_TEMPLATES = Path(__file__).parent / "units"
_PATH = re.compile(r"/[A-Za-z0-9_./+@,-]*")
_INSTANCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_PLACE = re.compile(r"\{([a-z_]+)\}")


class UnitError(PregoMetricsError):
	"""Something that a unit would name cannot be named in one, or must not be trusted by root."""

	default_code = "units_impossible"


@dataclass(frozen=True)
class Units:
	"""What the units of one bench are made of. user and group are those of the bench; paths are absolute.

	hardened holds the settings that the unit alone gives in that mode, by variable; None for the other mode. watched are
	the folders of sites that are counted, by default sites alone. metrics_textfile is the file that is written after
	each push, None for none.
	"""

	bench: str
	sites: str
	user: str
	group: str
	program: str
	key_file: str = DEFAULT_KEY_FILE
	instance: str | None = None
	hardened: dict[str, str] | None = None
	watched: tuple[str, ...] = ()
	metrics_textfile: str | None = None

	@property
	def name(self) -> str:
		return f"{NAME}-{self.instance}" if self.instance else NAME

	def render(self) -> dict[str, str]:
		"""Return the text of each unit by its file's name. Raises UnitError."""
		if self.instance is not None and (
			not _INSTANCE.fullmatch(self.instance) or self.instance.split("-")[-1] in ("alerts", "change")
		):
			raise UnitError(
				f"'{sanitize(self.instance, 80)}' cannot name an instance: it must be 1 to 32 of a-z, 0-9 and -, "
				"begin and end with a letter or digit, and not end with alerts or change"
			)
		named = (self.bench, self.sites, self.program, self.key_file, *self.watched)
		for path in named if self.metrics_textfile is None else (*named, self.metrics_textfile):
			if not _PATH.fullmatch(path):
				raise UnitError(
					f"{sanitize(path)} cannot be named in a unit: it must be an absolute path of letters, digits "
					"and _ . / + @ , -. A bind mount or a symlink can give it such a name"
				)
		values = self._values()
		return {
			f"{self.name}.service": _rendered("service", values | self._regular()),
			f"{self.name}.timer": _rendered("timer", values),
			f"{self.name}-change.service": _rendered("service", values | self._on_change()),
			f"{self.name}.path": _rendered("path", values),
			f"{self.name}-alerts.service": _rendered("alerts.service", values),
		}

	def _regular(self) -> dict[str, str]:
		return {
			"service": f"{self.name}.service",
			"description": "Push the tenant count and load of this node to the control plane",
			"unit": "# Both look for new alerts; OnSuccess= (systemd 249) is for what recovered.\n"
			f"OnFailure={self.name}-alerts.service\n"
			f"OnSuccess={self.name}-alerts.service\n",
			"settle": "",
			"when": "--if-due",
			"spread": "The timer spreads the fleet already.",
		}

	def _on_change(self) -> dict[str, str]:
		return {
			"service": f"{self.name}-change.service",
			"description": "Push a changed tenant count of this node to the control plane",
			"unit": "# The timer's service looks for alerts. A start limit would end the path unit for good.\n"
			"StartLimitIntervalSec=0\n",
			"settle": "# Lets a change come to its end, and limits how often this runs.\n"
			f"ExecStartPre=/bin/sleep {SETTLE_SECONDS}\n",
			"when": "--on-change",
			"spread": "Changes spread by themselves.",
		}

	def _values(self) -> dict[str, str]:
		state = os.path.join(self.sites, FOLDER_NAME)
		environment = {} if self.hardened is None else {"PREGO_METRICS_HARDENED": "1", **self.hardened}
		return {
			"name": self.name,
			"title": f"{self.bench}, as the bench's user"
			if self.hardened is None
			else f"{self.bench}, in the hardened mode: a user of its own, and the key out of the bench's reach",
			"bench": self.bench,
			"watched": "".join(f"PathChanged={path}\n" for path in self.watched or (self.sites,)),
			"sites": self.sites,
			"state": state,
			# The file is replaced by one that is made beside it.
			"metrics": f" -{os.path.dirname(self.metrics_textfile)}" if self.metrics_textfile else "",
			"program": self.program,
			"key_file": self.key_file,
			"user": self.user if self.hardened is None else HARDENED_USER,
			"group": self.group,
			"bench_user": self.user,
			# A user of a container has only a number on its host.
			"groups": "--clear-groups" if self.user.isdigit() else "--init-groups",
			"environment": "".join(
				f"Environment={quoted(f'{key}={value}')}\n" for key, value in environment.items()
			),
			"make_state": f"/usr/bin/mkdir -p --mode=0700 {state}"
			if self.hardened is None
			# A change of its mode, even to the same one, would be a change in sites/ to the path unit.
			else f"/bin/sh -c 'mkdir -p -m 2770 {state} && "
			f"find {state} -maxdepth 0 ! -perm 2770 -exec chmod 2770 {{}} + && "
			f"find {state} -type f -user {self.user} ! -perm 660 -exec chmod 660 {{}} +'",
		}


def quoted(word: str) -> str:
	"""Return `word` as one word of a unit file. Raises UnitError for what no unit can hold."""
	if not word.isprintable():
		raise UnitError(f"{sanitize(word, 120)} cannot be written into a unit: it has unprintable characters")
	escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
	return f'"{escaped}"'


def refuse_untrusted(path: str, what: str) -> None:
	"""Raise UnitError if anybody but root could put something else in the place of `path`.

	Looks at every folder above it, through symlinks; what is not there yet is judged by the folders that are.
	"""
	for start in (os.path.abspath(path), os.path.realpath(path)):
		judged = start
		while True:
			try:
				status = os.stat(judged)
			except (FileNotFoundError, PermissionError):
				pass  # the folder that hides or lacks it is judged next
			except OSError as error:
				raise UnitError(f"{what} {sanitize(path)} cannot be looked at: {error.strerror}") from None
			else:
				if status.st_uid != 0 or status.st_mode & 0o022:
					raise UnitError(
						f"{what} {sanitize(path)} is not root's alone: {sanitize(judged)} can be written by "
						"others, and systemd would trust what they put there"
					)
			if judged == "/":
				break
			judged = os.path.dirname(judged)


def refuse_unfit_key_file(path: str, group: str) -> None:
	"""Raise UnitError if systemd could read no key from `path`, or everybody could.

	group is that whose members may read it, for the advice. What this user may not look into is not judged.
	"""
	try:
		descriptor = open_regular(path)
		try:
			mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
			content = read_descriptor(descriptor, MAX_SECRET_BYTES)
		finally:
			os.close(descriptor)
	except FileNotFoundError:
		problem: str = coded("key_file_absent", file=sanitize(path), group=sanitize(group))
	except PermissionError:
		return
	except OSError as error:
		problem = coded("file_unreadable", reason=error.strerror)
	except UnfitFile as error:
		problem = message_of(error)
	else:
		if not mode & 0o007:
			try:
				checked_key(content.decode("latin-1").removesuffix("\n"), sanitize(path))
			except ConfigurationError as error:
				raise UnitError(error.message) from None
			return
		problem = coded("key_file_open", mode=f"{mode:04o}", file=sanitize(path))
	raise UnitError(coded("key_unreadable", source=sanitize(path), problem=problem))


def installed_services(bench: Bench) -> dict[Path, str]:
	"""Return the services on disk that push for `bench`, the shortest names first, with their text and drop-ins."""
	services: dict[Path, str] = {}
	for folder in UNIT_FOLDERS:
		for unit in sorted(
			Path(folder).glob(f"{NAME}*.service"), key=lambda unit: (len(unit.name), unit.name)
		):
			text = unit_text(unit)
			benches = re.findall(r"^ExecStart=\S+ push .*--bench (\S+)", text, re.MULTILINE)
			if any(_is_bench(path, bench) for path in benches):
				services[unit] = text
	return services


def installed_key_files(bench: Bench) -> dict[str, str]:
	"""Return the key file of each service on disk that pushes for `bench`, by unit.

	Of units that read the same file, as a timer's and a path unit's do, the one with the shortest name is there.
	"""
	key_files_by_unit: dict[str, str] = {}
	for unit, text in installed_services(bench).items():
		key_files = re.findall(r"^LoadCredential=internal_api_key:(\S+)", text, re.MULTILINE)
		if key_files and key_files[-1] not in key_files_by_unit.values():
			key_files_by_unit.setdefault(unit.name, key_files[-1])
	return key_files_by_unit


def is_enabled(unit: Path) -> bool:
	"""Tell whether systemd starts a unit at boot: a target wants it."""
	return any(
		os.path.lexists(wants / unit.name)
		for folder in UNIT_FOLDERS
		for wants in Path(folder).glob("*.wants")
	)


def enabled_timer(bench: Bench) -> str | None:
	"""Return the name of a timer that is enabled for `bench`; whether it is started, no file shows."""
	timers = (service.with_suffix(".timer") for service in installed_services(bench))
	return next((sanitize(timer.name) for timer in timers if is_enabled(timer)), None)


def watched_folders(path_unit: Path) -> set[str]:
	"""Return the folders that a path unit watches, its drop-ins included."""
	return set(re.findall(r"^PathChanged=(\S+)", unit_text(path_unit), re.MULTILINE))


def may_write(service_text: str, folder: str) -> bool:
	"""Tell whether a service may write in a folder, as far as its sandbox is ours."""
	if not re.search(r"^ProtectSystem=strict", service_text, re.MULTILINE):
		return True
	lines = re.findall(r"^ReadWritePaths=(.*)", service_text, re.MULTILINE)
	paths = (os.path.realpath(path.lstrip("-+")) for line in lines for path in line.split())
	return any(Path(os.path.realpath(folder)).is_relative_to(path) for path in paths)


def unit_text(unit: Path) -> str:
	"""Return the text of a unit and its drop-ins; empty where it cannot be read."""
	return "\n".join(_content(path) for path in (unit, *sorted(Path(f"{unit}.d").glob("*.conf"))))


def _content(path: Path) -> str:
	try:
		return read_limited(str(path), _MAX_UNIT_BYTES).decode("utf-8", "replace")
	except (OSError, UnfitFile):
		return ""


def _is_bench(path: str, bench: Bench) -> bool:
	try:
		return open_bench(path).identity == bench.identity
	except BenchError:
		return False


def _rendered(template: str, values: dict[str, str]) -> str:
	unit = (_TEMPLATES / template).read_text(encoding="utf-8")
	return _PLACE.sub(lambda place: values[place[1]], unit)
