"""How commands reach a running Headgate: the admin socket, or HTTP as a logged-in person."""
