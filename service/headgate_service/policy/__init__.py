"""Project policy: what a project decided about its events, compiled from one versioned config."""
