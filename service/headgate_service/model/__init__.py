"""Values that import no behaviour."""
