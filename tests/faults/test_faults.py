"""Every fault of the matrix, injected for real: the command ends as it must, and the three promises hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_server import Commands
from fault_matrix import FAULTS
from fault_model import Fault, Node, build_shim, judge


def _parameter(fault: Fault) -> pytest.param:
	marks = []
	if fault.slow:
		marks.append(pytest.mark.slow)
	if fault.broken_by:
		marks.append(pytest.mark.xfail(strict=True, raises=AssertionError, reason=fault.broken_by))
	return pytest.param(fault, id=fault.name, marks=marks)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
	return lambda: build_shim(tmp_path_factory.getbasetemp())


@pytest.fixture
def node(shared_folder: Path, shim: Callable[[], Path], commands: Commands) -> Iterator[Node]:
	with contextlib.ExitStack() as closing:
		yield Node(shared_folder, shim, closing, commands)


@pytest.mark.parametrize("fault", [_parameter(fault) for fault in FAULTS])
def test_the_promises_hold(fault: Fault, node: Node) -> None:
	fault.inject(node)
	node.write()
	judge(fault, node, node.run(fault.act, fault.limit))


def test_the_node_of_these_tests_pushes_where_there_is_no_fault(node: Node) -> None:
	node.deliver_once()
	assert node.counts == [3]


def test_there_are_at_least_120_faults_of_different_names() -> None:
	assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 120


def test_the_document_lists_every_fault() -> None:
	text = Path(__file__).with_name("RESULTS.md").read_text()
	rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
	assert [name for name in rows if name not in ("fault", "---")] == [fault.name for fault in FAULTS]
