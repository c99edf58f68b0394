-- Makes room for another last batch that the totals count.
DELETE FROM counted_batches;
