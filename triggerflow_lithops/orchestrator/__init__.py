"""Everything that happens inside one activation of an orchestrator."""
