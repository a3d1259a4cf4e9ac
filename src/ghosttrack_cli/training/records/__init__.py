"""What a training leaves on disk: checkpoints, history, manifest."""
