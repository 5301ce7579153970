"""CTranslate2's format with int8 weights, by its own converter."""

import sys
from pathlib import Path


def main(version: Path, into: Path) -> None:
    """Convert a version's weights."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(version)).convert(str(into), quantization="int8", force=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
