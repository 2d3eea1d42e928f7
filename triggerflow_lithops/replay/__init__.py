"""Replay: what the durable steps of an orchestrator do, given the history of their run. Pure: neither Lithops nor a clock."""
