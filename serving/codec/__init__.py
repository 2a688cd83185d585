"""Bytes to tensors and back: the JSON of the REST API, TensorProtos, tf.Examples."""
