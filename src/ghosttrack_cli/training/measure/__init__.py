"""What training measures on held-out rows, and when it must stop."""
