"""Pure functions on uint8 [N, C, H, W] with one parameter for each image: no keys, no configuration."""
