"""Gives a process the folder in which pods find the token of their service account.

`account_files.py FOLDER WORD...` runs a program. For it, and for no other process of this machine,
/var/run/secrets/kubernetes.io/serviceaccount is a link to `FOLDER/N`, where N is the number of its
process. The link is in a mount namespace. If the kernel grants none, the program runs without it.
"""

import contextlib
import ctypes
import os
import sys

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_HIDDEN = "secrets"
"""The entry of /var/run that a process does not share with this machine."""

_libc = ctypes.CDLL(None, use_errno=True)


def show(target: str) -> None:
    """Let this process, and those that it starts, find a link to a folder.

    Raises:
        OSError: the kernel refuses.
    """
    _unshare()
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    run = os.path.realpath("/var/run")
    before = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _mount("tmpfs", run, 0, kind="tmpfs")
        for name in os.listdir(before):
            if name != _HIDDEN:
                with contextlib.suppress(OSError):  # of another user, or gone
                    _keep(f"/proc/self/fd/{before}/{name}", f"{run}/{name}")
    finally:
        os.close(before)
    folder = f"{run}/{_HIDDEN}/kubernetes.io"
    os.makedirs(folder)
    os.symlink(target, f"{folder}/serviceaccount")


def _unshare() -> None:
    """Enter a mount namespace, and a user namespace if only that gives the right to do so."""
    user, group = os.getuid(), os.getgid()
    if not _libc.unshare(_NEW_MOUNTS):
        return
    if _libc.unshare(_NEW_USER | _NEW_MOUNTS):
        raise _error()
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _keep(before: str, path: str) -> None:
    """Show a file or folder that was there before."""
    if os.path.islink(before):
        os.symlink(os.readlink(before), path)
        return
    if os.path.isdir(before):
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_CREAT))
    _mount(before, path, _BIND | _RECURSIVE)


def _mount(source: str, target: str, flags: int, kind: str = "none") -> None:
    words = [ctypes.c_char_p(word.encode()) for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), None):
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def _is_granted(target: str) -> bool:
    """Return whether a child can show the link, since a failure leaves a process half-way."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    with contextlib.suppress(OSError):
        show(target)
        os._exit(0)
    os._exit(1)


def main(folder: str, *words: str) -> None:
    """Show the link, if the kernel grants it, and let a program take the place of this one."""
    target = f"{folder}/{os.getpid()}"
    if _is_granted(target):
        show(target)
    os.execvp(words[0], words)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
