"""What runs off the nodes: freshness and reconciliation of the whole fleet, and the Hetzner sidecar."""
