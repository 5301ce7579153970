"""How fast a network of KoGPT2's size is fine-tuned: the tutorial's way against the project's own trainer."""
