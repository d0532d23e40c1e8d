"""Parts of HTTP that every route shares: bodies, headers, origins, problems."""
