"""Ingestion over HTTP: a request becomes canonical events, and the service's answer becomes the API's."""
