"""What an operating system's refusal means for a file."""

from __future__ import annotations

import errno

from dagforge.errors import Problem, SourceLocation


def os_problem(exc: OSError, label: str, what: str) -> Problem:
    """Return what the operating system said, in our form."""
    fix = {
        errno.ENOSPC: "make room on the disk",
        errno.EDQUOT: "make room on the disk, or ask for a larger quota",
        errno.EACCES: "give yourself the permission, or choose another --output-dir",
        errno.EPERM: "give yourself the permission, or choose another --output-dir",
        errno.EROFS: "choose an --output-dir that can be written to",
        errno.ENAMETOOLONG: "choose a shorter dag_id or --output-dir",
        errno.EFBIG: "raise the limit for the size of files (ulimit -f)",
        errno.ELOOP: "remove the link that leads to itself",
        errno.EISDIR: "move the folder away, or choose another dag_id",
        errno.ENOTDIR: "move the file away that stands where a folder is needed",
    }.get(exc.errno or 0)
    reason = exc.strerror or str(exc)
    return Problem("output", f"{what}: {reason}", SourceLocation(label), fix)
