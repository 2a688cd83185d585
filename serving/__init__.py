"""The embedded engine: a server that speaks TensorFlow Serving's API."""
