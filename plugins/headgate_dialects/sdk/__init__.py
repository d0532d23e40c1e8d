"""What a dialect is made of."""
