-- Lets the rules of a preview follow those in force: hashes that stay keep their time.
INSERT INTO hashes_in_force BY NAME
FROM in_force
SELECT *;
