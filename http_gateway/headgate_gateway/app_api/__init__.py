"""The app API: JSON over HTTP for people and their tools, translated to gRPC."""
