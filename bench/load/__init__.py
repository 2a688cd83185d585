"""Load generators. Each one is a process of its own that keeps a number of clients busy and reports every answer."""
