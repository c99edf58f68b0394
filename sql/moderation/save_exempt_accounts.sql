-- Keeps the members of the lists that were read.
INSERT INTO exempt_accounts BY NAME
FROM read_members;
