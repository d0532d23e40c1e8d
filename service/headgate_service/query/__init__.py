"""Questions about a project's events: what may be asked, how the store is asked, and the answers."""
