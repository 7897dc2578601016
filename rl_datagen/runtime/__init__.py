"""What runs jobs: the executor, Ray, work folders, progress, tracking."""
