"""Stages and what is made of them: an expert, and the whole chain from demonstration to dataset."""
