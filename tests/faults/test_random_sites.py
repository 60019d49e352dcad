"""Random trees of links, mounts, loops and closed folders: the count is the one of other, simpler code.

When volumes go away afterwards, while their entries stay, the count is never lower without a word.
"""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_model import private_mounts
from random_sites import Tree, truth

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.collectors.census import take_census
from prego_metrics.agent.collectors.lost_sites import marks_of, require_none_lost

OTHER_USER = 65534
As = Callable[[Callable[[], Any]], Any]


def ours(tree: Tree, marks: tuple[str, ...] = ()) -> tuple[int | str, tuple[str, ...]]:
	"""Return the count or the code of the error, and marks for the next one."""
	try:
		benches = open_benches(map(str, tree.benches))
		# Long after the tree was made: nothing of it is in the middle of a change.
		census = take_census(benches, tree.exclude, clock=lambda: 4e9, sleep=lambda seconds: None)
		require_none_lost(census, tree.exclude, marks)
	except NotSent as error:
		return error.code, ()
	return census.tenant_count, marks_of(census)


def attack(tree: Tree, as_somebody: As) -> list[int | str]:
	"""Return how two censuses ended, between which volumes went away."""
	first, marks = as_somebody(lambda: ours(tree))
	assert first == as_somebody(lambda: truth(tree.benches, tree.exclude))
	if isinstance(first, str):
		return [first]
	tree.lose_volumes()
	second = as_somebody(lambda: ours(tree, tuple(marks)))[0]
	if second != "sites_lost":
		assert second == as_somebody(lambda: truth(tree.benches, tree.exclude))
	assert isinstance(second, str) or second >= first, "the count fell without a word"
	return [first, second]


def attack_all(
	seeds: range, as_user: Callable[..., Any], mount: Callable[..., None] | None, seconds: float
) -> collections.Counter[str]:
	ends: collections.Counter[str] = collections.Counter()
	give_up_at = time.monotonic() + seconds
	for seed in seeds:
		if time.monotonic() > give_up_at:
			break
		folder = Path(tempfile.mkdtemp(prefix="prego-metrics-"))
		folder.chmod(0o755)
		tree = None
		try:
			tree = Tree(folder, seed, mount)
			as_somebody = (lambda act: as_user(OTHER_USER, act)) if seed % 2 else (lambda act: act())
			ends.update(str(end) if isinstance(end, str) else "counted" for end in attack(tree, as_somebody))
		except AssertionError as error:
			raise AssertionError(f"seed {seed}: {error}") from error
		finally:
			if tree:
				tree.unmount()
			shutil.rmtree(folder)
	return ends


def test_the_count_of_a_random_tree_is_that_of_simpler_code(as_user: Callable[..., Any]) -> None:
	ends = attack_all(range(100), as_user, None, 20.0)
	assert ends["counted"] > 20 and ends["sites_lost"] > 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_the_count_of_a_random_tree_with_mounts_is_that_of_simpler_code(as_user: Callable[..., Any]) -> None:
	if not private_mounts():
		pytest.skip("needs a mount namespace of its own")

	def mount(*arguments: object) -> None:
		subprocess.run(["mount", *map(str, arguments)], check=True)

	ends = attack_all(range(10_000, 20_000), as_user, mount, 60.0)
	assert ends["counted"] > 100 and ends["sites_lost"] > 10
