"""What is stored of one run, and what follows when one of its calls ends."""
