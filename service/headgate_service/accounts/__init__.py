"""People: their accounts, how they sign in, and the tokens of their command lines."""
