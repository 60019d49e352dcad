"""Started by root, become the owner of the bench before anything of it is read or written.

What root wrote, the bench's workers could not; a symlink planted by any app of the bench would hand over
any file; and an api_key_file written into the bench's configuration would make root read and send it.
"""

from __future__ import annotations

import importlib
import os
import pwd
import sys
from collections.abc import Callable

from prego_metrics.agent.base.errors import PrivilegesError
from prego_metrics.agent.base.kernel import lacks_ids
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench

# Imported by others when they are needed: root's interpreter may lie where the owner cannot read it.
_LIBRARIES = (
	"base64",
	"datetime",
	"difflib",
	"email.utils",
	"encodings.ascii",
	"encodings.idna",
	"encodings.latin_1",
	"fnmatch",
	"grp",
	"html",
	"ipaddress",
	"psutil",
	"pwd",
	"secrets",
	"tempfile",
	"threading",
	"unicodedata",
	"urllib.parse",
)


def drop_privileges(bench: Bench, preload: Callable[[], None]) -> None:
	"""Give up root for the owner of sites/, for good. Anybody else, and a bench of root's, stay as they are.

	`preload` is called before, and imports what the caller needs later. Raises PrivilegesError.
	"""
	if os.geteuid() != 0:
		return
	owner = os.stat(bench.sites)
	if owner.st_uid == 0:
		return
	preload()
	for module in _LIBRARIES:
		importlib.import_module(module)
	if "rich.cells" in sys.modules:
		# It imports its table of widths with the first character that is none of ASCII's.
		sys.modules["rich.cells"].cell_len("한")
	try:
		user = pwd.getpwuid(owner.st_uid)
	except KeyError:
		name, group, home = None, owner.st_gid, "/"
	else:
		name, group, home = user.pw_name, user.pw_gid, user.pw_dir
	try:
		if name is None:
			os.setgroups([group])
		else:
			os.initgroups(name, group)
		os.setresgid(group, group, group)
		os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
	except OSError as error:
		raise PrivilegesError(
			coded(
				"privileges",
				folder=sanitize(bench.sites),
				uid=owner.st_uid,
				reason=error.strerror,
				remedy=coded("owner_unmapped" if lacks_ids("uid") else "run_as_owner"),
			)
		) from None
	os.environ.update(HOME=home, USER=name or str(owner.st_uid), LOGNAME=name or str(owner.st_uid))
