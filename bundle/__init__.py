"""What trainer, serving and rollout share: settings, version folders, the manifest. Imports no TensorFlow."""
