"""Episodes, shards, manifests and normalisation statistics."""
