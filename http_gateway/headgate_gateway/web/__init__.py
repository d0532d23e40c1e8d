"""The web app at /app: pages over the app API, for browsers."""
