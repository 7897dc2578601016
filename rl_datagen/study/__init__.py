"""The whole study as one graph of jobs: experts, data, VLAs, evaluations, tables."""
