"""
Workflows of triggers and functions of one's own, with nothing but a bucket.

``events``, ``conditions`` and ``actions`` are the words that a user writes; ``triggers`` adds
them to a workspace, ``firing`` is what runs when one fires, and ``client`` is where it begins.
"""
