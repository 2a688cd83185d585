"""What can answer the TensorFlow Serving API for this bundle."""
