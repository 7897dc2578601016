"""Errors, logging, seeding, files and provenance: what every other package stands on."""
