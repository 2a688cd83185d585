"""From a folder of images to a published SavedModel version."""
