"""Interactions as a graph of users and items, and what is known of its nodes."""

from pyrec.graph.graph import Graph

__all__ = ["Graph"]
