"""Shared test code: scripted peers and real processes."""
