"""
The local function service: what a cloud's function service does, on this machine.

It accepts an activation and answers at once, keeps on disk what it accepted until
it is done, and runs it in a process of its own by Lithops' own worker handler. It
starts on demand, ends by itself, and needs no port. How a client reaches it is part of
what travels with Lithops (``lithops.monitoring.backends.triggerflow.local_service``).
"""
