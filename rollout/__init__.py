"""The operator's commands: bring the stack up, watch the drop folder, publish, look after it."""
