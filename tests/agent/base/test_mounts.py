"""The kernel's list of mounts is read as it is written, escapes and all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prego_metrics.agent.base import mounts
from prego_metrics.agent.base.mounts import Mount, read_mounts


def test_the_mounts_of_this_process_are_read() -> None:
	found = {mount.point: mount for mount in read_mounts()}
	assert found["/proc"].kind == "proc"
	device = os.stat("/").st_dev
	assert found["/"].device == f"{os.major(device)}:{os.minor(device)}"


def test_escapes_optional_fields_and_undecodable_bytes_are_understood(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	lines = (
		rb"36 35 98:0 /a\040b /mnt\134x\012y rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue"
		b"\n37 35 0:30 / /mnt/\xff\ry rw - cgroup none rw,memory\n"
	)
	(tmp_path / "mountinfo").write_bytes(lines)
	monkeypatch.setattr(mounts, "MOUNTS_FILE", str(tmp_path / "mountinfo"))
	assert read_mounts() == [
		Mount("98:0", "/a b", "/mnt\\x\ny", "ext3", ("rw", "errors=continue")),
		Mount("0:30", "/", "/mnt/\udcff\ry", "cgroup", ("rw", "memory")),
	]


@pytest.mark.parametrize("content", ["x\n", "36 35 98:0 / - ext3 a rw\n", "36 35 98:0 / /mnt rw - ext3\n"])
def test_what_is_no_list_of_mounts_is_an_error(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
	(tmp_path / "mountinfo").write_text(content)
	monkeypatch.setattr(mounts, "MOUNTS_FILE", str(tmp_path / "mountinfo"))
	with pytest.raises(ValueError):
		read_mounts()
