"""What can be measured: our engine, the baseline, the bare function, and servers that somebody else has started."""
