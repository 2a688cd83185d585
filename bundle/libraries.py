"""What a process must be able to read, apart from data, to run Python and TensorFlow.

Nothing here tells one user from another: no passwd, no home folder, nothing of /proc that belongs to a process.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

# Libraries; what the C library and OpenSSL read; how many CPUs and how much memory there are, and are taken.
_SYSTEM = """
    /usr /lib /lib32 /lib64 /nix/store /gnu/store
    /etc/ld.so.cache /etc/ld.so.preload /etc/hosts /etc/host.conf /etc/nsswitch.conf /etc/resolv.conf /etc/gai.conf
    /etc/localtime /etc/ssl/openssl.cnf /etc/ssl/certs /etc/pki/tls/openssl.cnf /etc/crypto-policies
    /dev/null /dev/zero /dev/urandom /dev/random
    /proc/cpuinfo /proc/meminfo /proc/stat /proc/sys/vm/overcommit_memory
    /proc/self/cmdline /proc/self/stat /proc/self/statm /proc/self/status
    /sys/devices/system/cpu /sys/devices/system/node /sys/kernel/mm/transparent_hugepage
"""
_NOWHERE = "/nowhere"


def readable(*own: str) -> list[Path]:
    """The system's libraries, this Python with what is installed in it, and the packages of ours named `own`.

    The folder that holds our packages is left out: it may be the whole project.
    """
    found = [importlib.util.find_spec(name) for name in own]
    packages = [Path(folder) for spec in found if spec for folder in spec.submodule_search_locations or ()]
    left_out = {Path.cwd(), *(package.resolve().parent for package in packages)}
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    searched = [*sys.path, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
    given = [Path(folder) for folder in (*prefixes, *searched) if folder.startswith("/") and folder.strip("/")]
    return [*map(Path, _SYSTEM.split()), *packages, *(path for path in given if path.resolve() not in left_out)]


def do_without_a_home() -> None:
    """Let TensorFlow be imported where no home and no temporary folder can be had; call it before that.

    TensorFlow looks for both. Keras it imports only if it is installed: Matplotlib comes with it, which must write.
    """
    tempfile.tempdir = os.environ["HOME"] = _NOWHERE
    os.environ.pop("KERAS_HOME", None)
    sys.modules.setdefault("keras", None)  # type: ignore[arg-type]
