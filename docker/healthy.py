"""Whether the one worker of this container answers questions, whatever slot it took: exit code 0 or 1."""

import sys
import urllib.error
import urllib.request

from kogpt2_chat.settings import load_settings
from serving.lease import SLOTS


def main() -> int:
    """Ask the health page of each slot; only the container's own worker can be there."""
    ports = load_settings().ports
    for slot in SLOTS:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{ports.at(ports.worker_metrics + slot - 1)}/health", timeout=5)
        except urllib.error.HTTPError:  # it says itself that it is not ready
            return 1
        except OSError:  # nobody there
            continue
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
