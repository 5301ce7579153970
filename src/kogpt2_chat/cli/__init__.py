"""The command line: one command per job. ``kogpt2-chat --help`` lists them."""

import typer

from kogpt2_chat.cli import (
    distrust,
    explain,
    learning,
    lineage,
    moderate,
    operate,
    output,
    quarantine,
    safety,
    servers,
    talk,
)

app = typer.Typer(
    name="kogpt2-chat",
    help="Three KoGPT2 chatbots of a virtual world: talk to them, run their servers, retrain them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
talk.add_to(app)
servers.add_to(app)
learning.add_to(app)
explain.add_to(app)
lineage.add_to(app)
operate.add_to(app)
moderate.add_to(app)
quarantine.add_to(app)
safety.add_to(app)
distrust.add_to(app)


def main() -> None:
    """Run the CLI and end the process."""
    output.run(app)
