"""A wheel of this project contains every file that the packages read."""

import tomllib

from kogpt2_chat.settings import CHECKOUT

PACKAGES = {
    "kogpt2_chat": "src/kogpt2_chat",
    "serving": "serving",
    "spark_jobs": "spark_jobs",
    "kogpt2_airflow": "plugins/kogpt2_airflow",
}
DOCUMENTATION = {".md"}


def test_every_file_that_a_package_reads_is_installed_with_it() -> None:
    """An editable install finds all files, but a wheel has only those that match the patterns."""
    packaging = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    for package, path in PACKAGES.items():
        folder = CHECKOUT / path
        patterns = packaging["package-data"].get(package, [])
        installed = {file for pattern in patterns for file in folder.glob(pattern)}
        data = {
            file for file in folder.rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc", *DOCUMENTATION}
        }
        assert data <= installed, f"{package} has files that [tool.setuptools.package-data] does not match"
