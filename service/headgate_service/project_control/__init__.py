"""What the people of a project see of it and do to it."""
