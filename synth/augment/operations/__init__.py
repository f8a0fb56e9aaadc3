"""The operations; ``synth.augment.table`` names them."""
