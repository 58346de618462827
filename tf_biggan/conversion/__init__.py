"""Published checkpoints to our models: tables of names and the interpreter of them."""
