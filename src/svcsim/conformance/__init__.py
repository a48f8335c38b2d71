"""Judging the emulator by recordings of a real kernel."""
