"""What a Frappe node reports to its control plane: how many tenants it holds, and how loaded it is."""

__version__ = "0.1.0"
