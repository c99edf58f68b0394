-- Numbers the rows of image_outcomes in the order in which they are written; a row that changes
-- gets a new number. By it the snapshot for questions knows what it has not seen.
CREATE SEQUENCE image_outcome_numbers;

ALTER TABLE image_outcomes
    ADD COLUMN outcome_number BIGINT DEFAULT nextval('image_outcome_numbers');
