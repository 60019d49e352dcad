"""What the tests of the command line share: its commands, and names that a terminal would obey."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


COMMANDS = {
	"push": "Push once",
	"tenants": "Show every site, counted or not, and why",
	"status": "Say whether this node is delivering",
	"doctor": "Check everything a push depends on",
	"configure": "Write settings into the bench's common_site_config.json",
	"control-plane": "Run a local control plane",
	"systemd": "Make the systemd units",
	"metrics": "Print this node's metrics",
	"alerts": "Print the alerts that this channel has not sent yet",
	"fleet": "Judge the whole fleet",
	"hetzner": "Push for nodes that cannot push for themselves",
	"demo": "Push from a sample bench to a local control plane, in four acts",
}


ON_A_BENCH = ("push", "tenants", "status", "doctor", "configure")


RESULT_KEYS = ["outcome", "payload", "status_code", "attempts", "duration_ms", "error", "error_code", "at"]


KOREAN = "한국상사.example"


HOSTILE = (
	"red\x1b[31m.example",
	"two\nlines.example",
	"\u202etxt.example",
	os.fsdecode(b"bytes\xff.example"),
	"bell\x07.example",
)


# What a terminal, or a reader's eye, would obey instead of show.
RAW = ("\x1b", "\x07", "\u202e", "\udcff")


def listing(folder: Path) -> dict[str, bytes]:
	return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def no_traceback(result: subprocess.CompletedProcess[str]) -> bool:
	return "Traceback" not in result.stdout + result.stderr and "Exception" not in result.stderr
