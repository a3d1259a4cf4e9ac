"""One training step: loss, gradients, update; pure functions of tensors."""
