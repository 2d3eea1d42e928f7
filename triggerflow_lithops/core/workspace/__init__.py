"""What is stored of one workspace of custom triggers, and what follows when an event arrives."""
