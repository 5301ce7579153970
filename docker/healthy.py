"""Exit with code 0 if this container's worker is ready, regardless of its ordinal; otherwise with 1."""

import sys
import urllib.error
import urllib.request

from kogpt2_chat.settings import load_settings
from serving.lease import ORDINALS


def main() -> int:
    """Request the health page of every possible ordinal; only this container's worker can answer."""
    ports = load_settings().ports
    for ordinal in ORDINALS:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{ports.at(ports.worker_metrics + ordinal - 1)}/health", timeout=5)
        except urllib.error.HTTPError:  # the worker reports that it is not ready
            return 1
        except OSError:  # no worker with this ordinal
            continue
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
