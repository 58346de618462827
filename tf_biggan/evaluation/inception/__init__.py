"""The Inception network of 2015."""
