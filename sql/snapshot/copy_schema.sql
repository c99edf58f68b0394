-- The tables and views of the warehouse, empty, with their comments.
COPY FROM DATABASE warehouse TO snapshot (SCHEMA);
