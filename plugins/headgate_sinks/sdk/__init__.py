"""The sink SDK: what a plugin is made of and how it is loaded."""
