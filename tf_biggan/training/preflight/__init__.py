"""The dry run of a training: what it would do, how long it takes, and the classic mistakes."""
