"""Landlock: a thread gives up rights to files, for itself and for the processes that it starts.

It needs neither privileges nor namespaces, so it also works for root in a container.
https://docs.kernel.org/userspace-api/landlock.html

`landlock.py FOLDER WORD...` runs a program that can change files in one folder only.
"""

import ctypes
import errno
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to import
    from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on every processor."""
_ASK_VERSION, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_SINCE_MOVE, _SINCE_TRUNCATE = 2, 3
"""Versions of Landlock that know the rights to move a file to another folder, and to truncate."""
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGE_FOLDER = 0b11_1111_1111_0000
"""Rights to add, remove and move the files in a folder."""
_DEVICES = ("full", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def confine(folder: "str | Path") -> None:
    """Let this thread, and the processes that it starts from now on, change files in one folder.

    Devices such as /dev/null stay open to them. Nothing keeps them from changing the mode, the
    owner or the times of a file.

    Args:
        folder: the folder.

    Raises:
        OSError: the kernel cannot do that.
    """
    version = max(0, _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))
    if version < _SINCE_MOVE:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    rights = _WRITE_FILE | _CHANGE_FOLDER | (_TRUNCATE if version >= _SINCE_TRUNCATE else 0)
    ruleset = _call(_CREATE_RULESET, struct.pack("=Q", rights), 8, 0)
    try:
        for path in (folder, *(f"/dev/{name}" for name in _DEVICES)):
            _allow(ruleset, path, rights)
        if _libc.prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0))):
            raise _error()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: "str | Path", rights: int) -> None:
    """Leave the rights in a folder, or those that a file can have; a path may be absent."""
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        rights &= _WRITE_FILE | _TRUNCATE
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: "int | bytes") -> int:
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise _error()
    return result


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def main(folder: str, *words: str) -> None:
    """Confine this process and let a program take its place."""
    confine(folder)
    os.execvp(words[0], words)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
