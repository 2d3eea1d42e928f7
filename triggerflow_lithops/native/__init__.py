"""
Workflows of custom triggers and functions, with nothing but a bucket.

``events``, ``conditions`` and ``actions`` are the words that a user writes; ``trigger_set`` adds
them to a workspace, ``firing`` is what runs when one fires, and ``client`` is where it begins.
"""
