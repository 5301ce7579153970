"""What a wheel of this project holds."""

import tomllib

from kogpt2_chat.settings import CHECKOUT

PACKAGES = {
    "kogpt2_chat": "src/kogpt2_chat",
    "serving": "serving",
    "spark_jobs": "spark_jobs",
    "kogpt2_airflow": "plugins/kogpt2_airflow",
}
READ_BY_PEOPLE = {".md"}


def test_every_file_that_a_package_reads_is_installed_with_it() -> None:
    """An editable install finds all of them; a wheel holds what the patterns name."""
    packaging = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    for package, place in PACKAGES.items():
        folder = CHECKOUT / place
        patterns = packaging["package-data"].get(package, [])
        named = {path for pattern in patterns for path in folder.glob(pattern)}
        data = {
            path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc", *READ_BY_PEOPLE}
        }
        assert data <= named, f"{package} reads files that [tool.setuptools.package-data] does not name"
