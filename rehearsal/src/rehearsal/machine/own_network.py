"""A process that enters a network of its own and hands out sockets of it.

`own_network.py` first writes to its standard input, which is a socket, a line with the namespaces
that it is in, or with the reason why the kernel refuses. For each byte that it then reads, it
returns a TCP socket. It ends when nobody can ask any more. No other process of this machine is in
that network, so all of its ports are free, also those below 1024.
"""

import ctypes
import fcntl
import os
import socket
import struct

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_INTERFACE_FLAGS, _UP = 0x8914, 0x1
_LOWEST_PORT = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> str:
    """Enter a new network, and a new user namespace if only that gives the right to do so.

    Returns:
        The names of the new namespaces, as /proc has them.

    Raises:
        OSError: the kernel refuses.
    """
    user, group = os.getuid(), os.getgid()
    namespaces = "net"
    if _libc.unshare(_NEW_NETWORK):
        if _libc.unshare(_NEW_USER | _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        namespaces = "user net"
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            _write(f"/proc/self/{name}", text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, struct.pack("16sH14x", b"lo", _UP))
    _write(_LOWEST_PORT, "0")
    return namespaces


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def main() -> None:
    """Serve until the other side hangs up."""
    with socket.socket(fileno=0) as connection:
        try:
            connection.sendall(f"{enter()}\n".encode())
        except OSError as error:
            connection.sendall(f"refused: {error.strerror}\n".encode())
            return
        while connection.recv(1):
            with socket.socket() as made:
                socket.send_fds(connection, [b"s"], [made.fileno()])


if __name__ == "__main__":
    main()
