"""Routes beside ingestion and the app API: probes, receipts, experiments, schemas, OpenAPI."""
