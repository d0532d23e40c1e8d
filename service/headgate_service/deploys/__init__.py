"""Deploys: activates a version of a project's config, and previews what it would change."""
