"""Readers of news: MIND's files, EB-NeRD's, and plain columns."""
