"""Who runs this process, also where the machine has no name for the user id (a container with ``--user``)."""

import getpass
import os
import pwd


def system_user() -> str:
    """The user's name, or one made of the id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        return f"user-{os.geteuid()}"


def has_name() -> bool:
    """Whether the machine knows a name for the user id; Hadoop's and Spark's login fails without one."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def nameless_user() -> str:
    """What to say where it does not."""
    number = os.geteuid()
    return (
        f"user id {number} has no entry in /etc/passwd, and Hadoop and Spark do not start without a user's name: add "
        f"one (`echo 'kogpt2:x:{number}:0::/tmp:/bin/sh' >> /etc/passwd` as root), or run as a user that has one"
    )
