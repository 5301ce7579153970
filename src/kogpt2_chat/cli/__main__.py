"""``python -m kogpt2_chat.cli`` is ``kogpt2-chat``."""

from kogpt2_chat.cli import main

main()
