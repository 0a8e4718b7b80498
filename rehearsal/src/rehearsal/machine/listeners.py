"""The TCP sockets on which processes of this machine listen, as /proc has them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_LISTENING = "0A"


@dataclass(frozen=True)
class Listener:
    """A socket that listens.

    Attributes:
        address: its address; an IPv4 address also if it is written as IPv6.
        port: its port.
        uid: the user who opened it.
        inode: the number of the socket.
    """

    address: IPv4Address | IPv6Address
    port: int
    uid: int
    inode: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def listeners(process: int | str = "self") -> Iterator[Listener]:
    """Yield the sockets that listen in the network of a process."""
    for file in (Path(f"/proc/{process}/net/{name}") for name in ("tcp", "tcp6")):
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == _LISTENING:
                yield Listener(_address(address), int(port, 16), int(fields[7]), fields[9])


def _address(text: str) -> IPv4Address | IPv6Address:
    """Return an address that is written as words of 32 bits, each with its last byte first."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    if len(words) == 1:
        return IPv4Address(words[0])
    address = IPv6Address(b"".join(words))
    return address.ipv4_mapped or address


def owners(inode: str) -> Iterator[tuple[int, str]]:
    """Yield number and name of each process that has a socket open, if this user may know."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if inode in _sockets(process):
                yield int(process.name), (process / "comm").read_text().strip()


def of_group(group: int) -> list[Listener]:
    """Return the sockets on which a process, which leads a process group, and its group listen."""
    inodes: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            after_name = (process / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[2]) == group:
                inodes |= _sockets(process)
    return [each for each in listeners(group) if each.inode in inodes]


def _sockets(process: Path) -> set[str]:
    """Return the numbers of the sockets that a process has open."""
    links = (str(file.readlink()) for file in (process / "fd").iterdir())
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
