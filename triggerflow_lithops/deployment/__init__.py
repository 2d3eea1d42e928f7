"""What a run stands on: the configuration, the installation, the store, and the runtime of the functions."""
