"""VLAs: one policy for many tasks, trained on datasets with images and instructions."""
