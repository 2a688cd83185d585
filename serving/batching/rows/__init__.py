"""Proving from a graph that no row of an answer depends on another row of the request."""
