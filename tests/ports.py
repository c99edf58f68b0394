"""Ports for servers that a test starts."""

import socket


def free_port() -> int:
    """A port of the loopback address that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
