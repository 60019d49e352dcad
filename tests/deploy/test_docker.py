"""The container files: valid beside the usual stack, the key as a file, and the command in them runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.agent.config.config import HARDENED_VARIABLE
from prego_metrics.agent.config.settings import SETTINGS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/docker"
PUSHER = (FOLDER / "compose.prego-metrics.yaml").read_text()
WORKERS = (FOLDER / "compose.frappe-trigger.yaml").read_text()
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
# As much of the usual stack as the additions touch.
STACK = """
services:
  queue-short: &worker
    image: stand-in
    volumes: ["sites:/home/frappe/frappe-bench/sites"]
  queue-long: *worker
  scheduler: *worker
volumes:
  sites: {}
"""
VALUES = {
	"PREGO_METRICS_IMAGE": "bench-with-prego-metrics",
	"PREGO_METRICS_NODE_ID": "sg-1",
	"PREGO_METRICS_CONTROL_PLANE_URL": "https://control-plane.example",
}
needs_compose = pytest.mark.skipif(
	shutil.which("docker-compose") is None, reason="docker-compose is not installed"
)


def composed(tmp_path: Path, *names: str, **changed: str) -> subprocess.CompletedProcess[str]:
	(tmp_path / "compose.yaml").write_text(STACK)
	files = [tmp_path / "compose.yaml", *(FOLDER / name for name in names)]
	arguments = [word for file in files for word in ("-f", str(file))]
	return subprocess.run(
		["docker-compose", *arguments, "config"],
		env={**os.environ, **VALUES, **changed},
		capture_output=True,
		text=True,
		timeout=60,
	)


@needs_compose
@pytest.mark.parametrize(
	"names",
	[
		("compose.prego-metrics.yaml",),
		("compose.frappe-trigger.yaml",),
		("compose.prego-metrics.yaml", "compose.frappe-trigger.yaml"),
	],
)
def test_compose_accepts_the_additions_beside_the_usual_stack(names: tuple[str, ...], tmp_path: Path) -> None:
	done = composed(tmp_path, *names)
	assert (done.returncode, done.stderr) == (0, "")


@needs_compose
def test_compose_refuses_to_start_a_pusher_that_knows_no_node(tmp_path: Path) -> None:
	done = composed(tmp_path, "compose.prego-metrics.yaml", PREGO_METRICS_NODE_ID="")
	assert done.returncode != 0 and "nodes.node_id" in done.stderr


@pytest.mark.parametrize("text", [PUSHER, WORKERS], ids=["pusher", "workers"])
def test_the_key_is_a_secret_file_and_in_no_environment(text: str) -> None:
	assert "INTERNAL_API_KEY:" not in text
	assert "PREGO_METRICS_API_KEY_FILE: /run/secrets/internal_api_key" in text
	assert re.search(r"^secrets:\n  internal_api_key:\n(    #.*\n)+    file: \$\{", text, re.MULTILINE)


@pytest.mark.parametrize("text", [PUSHER, WORKERS], ids=["pusher", "workers"])
def test_every_variable_of_ours_is_a_setting(text: str) -> None:
	named = set(re.findall(r"^ +(PREGO_METRICS_[A-Z_]+): ", text, re.MULTILINE))
	assert named and named <= {setting.variable for setting in SETTINGS} | {HARDENED_VARIABLE}


def test_the_pusher_has_no_more_rights_than_it_needs() -> None:
	for line in ("read_only: true", "- ALL", "no-new-privileges:true", "user: frappe", "init: true"):
		assert line in PUSHER


def test_the_image_holds_what_the_app_is_made_of() -> None:
	copied = [line.split()[2:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
	names = [name for line in copied for name in line]
	assert names == ["pyproject.toml", "setup.py", "hooks.py", "README.md", "LICENSE", "prego_metrics"]
	assert all((ROOT / name).exists() for name in names)


def test_the_loop_in_the_container_pushes_and_its_health_is_the_status(
	bench_folder: Path, tmp_path: Path, control_plane: Any, run_agent: Any
) -> None:
	(command,) = re.findall(r"^ +- (while .*)$", PUSHER, re.MULTILINE)
	key = tmp_path / "internal_api_key"
	key.write_text(control_plane.key)
	key.chmod(0o400)
	environ = {
		HARDENED_VARIABLE: "1",
		"PREGO_METRICS_NODE_ID": "node-1",
		"PREGO_METRICS_CONTROL_PLANE_URL": control_plane.url,
		"PREGO_METRICS_API_KEY_FILE": str(key),
		"PREGO_METRICS_SPREAD": "0",
	}
	(tmp_path / "env").symlink_to(ROOT / ".venv") if (ROOT / ".venv").exists() else None
	if not (tmp_path / "env/bin/prego-metrics").exists():
		pytest.skip("the console script is not in .venv of the repository")
	once = command.replace("/home/frappe/frappe-bench", str(bench_folder)).replace("sleep 60", "exit")
	done = subprocess.run(
		["sh", "-c", once],
		cwd=tmp_path,
		env={**os.environ, **environ},
		capture_output=True,
		text=True,
		timeout=30,
	)
	assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
	(test,) = re.findall(r"test: (\[.*\])", PUSHER)
	words = [word.replace("/home/frappe/frappe-bench", str(bench_folder)) for word in json.loads(test)]
	healthy = subprocess.run(
		words[1:], cwd=tmp_path, env={**os.environ, **environ}, capture_output=True, text=True, timeout=30
	)
	assert healthy.returncode == 0 and healthy.stdout.startswith("PREGO OK")
