"""The node's own job: count, sample, push. Nothing in here imports frappe."""
