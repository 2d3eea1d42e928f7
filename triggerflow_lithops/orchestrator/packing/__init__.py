"""What travels with an orchestrator: its code, its modules, its values and its exceptions."""
