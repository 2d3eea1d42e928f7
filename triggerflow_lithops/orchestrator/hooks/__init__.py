"""Where Lithops, the clock and chance are hooked inside an orchestrator: one module per part that is replaced."""
