"""Find the user of this process, even if the user id has no name (in a container with ``--user``)."""

import getpass
import os
import pwd


def system_user() -> str:
    """Return the user's name; if the user id has none, a name made from the id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        return f"user-{os.geteuid()}"


def user_has_name() -> bool:
    """Check whether the user id has a name on this machine; without one, Hadoop's and Spark's login fails."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def missing_user_message() -> str:
    """Return the error message for a user id without a name."""
    number = os.geteuid()
    return (
        f"user id {number} has no entry in /etc/passwd, and Hadoop and Spark do not start without a user name: add "
        f"one (`echo 'kogpt2:x:{number}:0::/tmp:/bin/sh' >> /etc/passwd` as root), or run as a user that has one"
    )
