"""What a run stores, and how it is read: records, comparisons, stages, samples and the numbers of every figure."""
