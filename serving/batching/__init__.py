"""Running requests in common batches, between a version and what computes its tensors."""
