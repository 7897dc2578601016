"""The whole chain for one task: one human demonstration in, a verified dataset and a page out."""
