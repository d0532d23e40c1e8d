"""Project policy: what a project decided about its events, deployed as one versioned config."""
