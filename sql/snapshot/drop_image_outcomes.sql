-- Makes room for the view that stands for it.
DROP TABLE snapshot.image_outcomes;
