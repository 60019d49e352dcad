"""`bench prego-metrics …`: the same commands as `prego-metrics …`.

bench imports this at every call, so it imports click and nothing else that is heavy.
"""

from prego_metrics.cli.app import cli

commands = [cli]
