"""What may be wrong with a source: duplicates, leaks, outliers, wrong labels, imbalance, shortcuts."""
