"""Who calls and what they may do: keys of people, sessions, tokens, passwords and JWTs."""
