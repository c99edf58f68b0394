"""Explains what was done about a post, an account, an image or an action, and why nothing was.

Reads the stores for moments, while the pipeline works, and writes nothing.
"""
