"""A stand-in for the control plane's Worker, for the demo, development and tests; never for production."""
