"""Every gRPC service. The only folder, beside the composition root, that knows gRPC."""
