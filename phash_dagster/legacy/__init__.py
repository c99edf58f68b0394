"""Brings what the predecessor kept in Redis: hashes of images, and claims on labels."""
