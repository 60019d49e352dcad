"""Run the command line where a person would: on a terminal of its own, with a size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
	"""How a process on a terminal ended; stdout is empty unless it was led elsewhere."""

	code: int
	screen: str
	stdout: str


def on_a_terminal(
	*arguments: object,
	typed: str = "",
	typed_later: Sequence[tuple[float, str]] = (),
	columns: int = 80,
	stdout_elsewhere: bool = False,
	cwd: Path | None = None,
	program: Sequence[str] = ("-m", "prego_metrics.cli"),
	**environ: str,
) -> Seen:
	"""Run `python -m prego_metrics.agent` on a new terminal and type `typed` into it."""
	terminal, inside = pty.openpty()
	fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
	process = subprocess.Popen(
		[sys.executable, *program, *map(str, arguments)],
		env={**os.environ, "TERM": "xterm", **environ},
		cwd=cwd,
		stdin=inside,
		stdout=subprocess.PIPE if stdout_elsewhere else inside,
		stderr=inside,
		start_new_session=True,
		# Of its own session, and with the terminal for its own: then Ctrl-C on it is a signal.
		preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
	)
	os.close(inside)
	too_long = threading.Timer(30, process.kill)
	too_long.start()
	os.write(terminal, typed.encode())
	for seconds, keys in typed_later:
		threading.Timer(seconds, os.write, (terminal, keys.encode())).start()
	screen = b""
	try:
		while part := os.read(terminal, 65536):
			screen += part
	except OSError:
		pass  # EIO: the last process has left the terminal
	os.close(terminal)
	stdout = process.communicate()[0] or b""
	too_long.cancel()
	return Seen(process.returncode, screen.decode().replace("\r\n", "\n"), stdout.decode())
