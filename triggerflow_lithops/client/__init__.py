"""What a client does with runs: start, follow, wait, cancel, purge, and check whether runs can work here."""
