"""Runs a program under a kernel without Landlock, as far as the program can tell.

`no_landlock.py WORD...`: a filter answers the system calls of Landlock as older kernels do.
"""

import ctypes
import errno
import os
import struct
import sys

_LOAD, _JUMP_IF_AT_LEAST, _JUMP_IF_MORE, _RETURN = 0x20, 0x35, 0x25, 0x06
_FIRST, _LAST = 444, 446
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def main(*words: str) -> None:
    """Install the filter and let a program take the place of this one."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),
            (_JUMP_IF_AT_LEAST, 0, 2, _FIRST),
            (_JUMP_IF_MORE, 1, 0, _LAST),
            (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (
        (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SET_SECCOMP, _FILTER, ctypes.c_char_p(described), 0, 0),
    ):
        if libc.prctl(*request):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(words[0], words)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
