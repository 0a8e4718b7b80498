"""Runs a program under a kernel that lacks something, as far as the program can tell.

`older_kernel.py WITHOUT WORD...`: a filter answers the system calls of WITHOUT as if they were not
there. It is one of the names below.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_CALLS = {
    "landlock": (444, 445, 446),
    "unshare": (97,) if platform.machine() == "aarch64" else (272,),
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def main(without: str, *words: str) -> None:
    """Install the filter and let a program take the place of this one."""
    code = [(_LOAD, 0, 0, 0)]
    for number in _CALLS[without]:
        code += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    code.append((_RETURN, 0, 0, _ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    described = struct.pack("@HP", len(code), ctypes.addressof(program))
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
