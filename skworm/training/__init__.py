"""Training of torch modules on whole tensors: arrays, masks and modules, nothing about worms."""
