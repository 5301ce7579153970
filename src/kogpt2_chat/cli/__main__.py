"""``python -m kogpt2_chat.cli`` runs the command ``kogpt2-chat``."""

from kogpt2_chat.cli import main

main()
