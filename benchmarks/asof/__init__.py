"""The as-of benchmark: one task, four shapes, every engine in its own best idiom, cells compared."""
