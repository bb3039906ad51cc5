"""Fuzz targets, for a computer that has Atheris."""
