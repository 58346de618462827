"""Reports of training runs: what a run logged, drawn and saved, on one HTML page."""
