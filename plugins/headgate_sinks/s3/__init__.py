"""The `s3` sink: each batch is one object in a bucket."""
